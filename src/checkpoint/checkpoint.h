// A published checkpoint directory: shards found and checked, both naming schemes resolved, every weight readable as float32 rows.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/config.h"
#include "checkpoint/dtype.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensor_table.h"

namespace dsv4 {

/// Bytes of one tensor, or of one expert's slice of a stacked tensor, inside the map. They may lie at any address: no alignment is
/// promised.
struct TensorView {
  std::string stored_name;    ///< as in the file
  DType dtype = DType::kF32;  ///< what the bytes are; the file may label them otherwise (FP4 is kI8 here, E8M0 is kF8E8M0)
  Shape shape;                ///< as stored (FP4: [out, in/2]; INT4: [out, in/8]; scales: [out blocks, in groups])
  std::span<const std::byte> bytes;
  const SafetensorsFile* file = nullptr;
};

/// How the bytes of a weight are to be read; a checkpoint may differ from tensor_table's `Published` (Base: FP8 experts, F32 scales; HF:
/// BF16).
enum class Encoding {
  kFp8,    ///< e4m3, a scale a block, a row or the matrix
  kFp4,    ///< e2m1, an E8M0 scale for 32 inputs
  kNvfp4,  ///< e2m1, an E4M3 scale for 16 inputs, and one F32 of the matrix that they are multiplied with or divided by
  kInt4,   ///< (code - zero point or 8) times a scale of a group, a row or the matrix
  kBf16,
  kF16,
  kF32,
  kI64,  ///< expert ids, in 64 or 32 bits
};

/// The second scale of an NVFP4 weight: its values are e2m1 * e4m3 * value, or e2m1 * e4m3 / value.
struct GlobalScale {
  float value = 1.0f;  ///< finite and above 0
  bool divides = false;
};

/// What drafts tokens for speculative decoding (docs/model.md): told by the tensors, and the config agrees.
enum class DraftKind {
  kNone,
  kNextN,   ///< mtp.0: a block that joins a position's streams with the next token
  kDspark,  ///< mtp.0 to the last stage: a block of tokens at once
};

/// The numbers of a view of I64 or I32.
std::vector<int64_t> integers(const TensorView& view);

class Checkpoint {
 public:
  /// Opens config.json, the index and shards (or model.safetensors alone) and checks every tensor of the table: there, right dtype and
  /// shape, scale there, file not truncated. Names are DeepSeek's whatever the files use. Throws Error with file and tensor. Unknown
  /// tensors are an error, but for `mtp.*` that the config does not describe, which `notices()` reports.
  static Checkpoint open(const std::filesystem::path& directory);

  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  const std::filesystem::path& directory() const;
  const Config& config() const;
  /// The config.json that config() was read from.
  const std::string& config_text() const;
  /// tensor_table(config()) without mtp.*.
  const std::vector<TensorSpec>& table() const;
  /// mtp.* of tensor_table(config()), readable as all others; empty without a draft.
  const std::vector<TensorSpec>& draft_table() const;
  DraftKind draft_kind() const;
  /// Lines for the user: MTP or DSpark tensors skipped, expert dtype decided by the tensors, ...
  const std::vector<std::string>& notices() const;
  /// Whose names the files use: "DeepSeek", "transformers" or "mixed".
  const std::string& naming() const;
  /// Files that hold tensors, in shard order.
  const std::vector<std::unique_ptr<SafetensorsFile>>& files() const;

  /// All by DeepSeek name; Error if there is no such tensor.
  Encoding encoding(const std::string& name) const;
  Shape shape(const std::string& name) const;               ///< logical
  const TensorView& stored(const std::string& name) const;  ///< weight bytes as stored
  const TensorView* scale(const std::string& name) const;   ///< its scale, or nullptr
  const TensorView* zero_point(
      const std::string& name) const;  ///< INT4: eight codes a word down the rows (I32), or a signed byte each (I8); or nullptr
  const TensorView* global_scale(const std::string& name) const;  ///< NVFP4: one F32; or nullptr
  GlobalScale second_scale(const std::string& name) const;        ///< NVFP4: what that says; else a factor of 1
  int64_t scale_rows(const std::string& name) const;              ///< rows that share a scale
  int64_t scale_cols(const std::string& name) const;              ///< inputs that share a scale

  /// Rows [row_begin, row_end) of a tensor of rank 1 (one row) or 2, dequantised to the float32 nearest to the exact value, row-major into `out`. Error for I64,
  /// for rows that are not there, for a scale that is NaN and for a file that was truncated meanwhile.
  void read_rows(const std::string& name, int64_t row_begin, int64_t row_end, float* out) const;
  /// The whole tensor (any rank).
  std::vector<float> read(const std::string& name) const;
  std::vector<int64_t> read_i64(const std::string& name) const;

  /// The pages of this tensor (and of its scales and zero points) are no longer needed.
  void release(const std::string& name) const;

 private:
  struct Impl;
  explicit Checkpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dsv4
