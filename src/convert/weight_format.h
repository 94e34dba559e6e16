// What a conversion is asked to make of the weights: the options behind --weight-format and its companions, named as in optimum-cli and NNCF.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dsv4 {

enum class WeightFormat {
  kFp32,       ///< every float constant float32
  kFp16,       ///< matrices float16; what is published in float32, and norms, stay float32
  kInt8,       ///< NNCF's INT8, a scale for each row
  kInt4,       ///< NNCF's INT4, a scale for each group of inputs
  kMxfp4,      ///< the routed experts' own FP4 values and E8M0 scales as published, the rest INT8
  kPublished,  ///< every matrix in the bits in which it is published: FP8, FP4, BF16
};

/// Which matrices a compressed format takes.
enum class Selection {
  kTrained,  ///< what is published in FP8 or FP4, and the vocabulary's matrices as INT8; what is published finer stays float16 or float32
  kNncf,     ///< every matrix that nncf.compress_weights takes
};

/// What happens to a matrix whose rows the group size does not divide.
enum class GroupSizeFallback {
  kError,   ///< the conversion is refused
  kIgnore,  ///< the matrix stays as it is
  kAdjust,  ///< the largest power of two that divides the row, if it is 32 or more, else the backup precision
};

/// Precision of the matrices that --ratio or the selection keeps out of INT4.
enum class BackupPrecision { kNone, kInt8Sym, kInt8Asym };

struct CompressionOptions {
  WeightFormat format = WeightFormat::kFp32;
  Selection selection = Selection::kTrained;
  bool symmetric = false;    ///< INT8 and INT4 without zero points
  int64_t group_size = 128;  ///< INT4: inputs that share a scale; -1: a whole row
  double ratio = 1.0;        ///< INT4: share of the weights that becomes INT4, the least sensitive ones; in [0, 1]
  bool all_layers = false;   ///< INT4: embedding and head too
  GroupSizeFallback fallback = GroupSizeFallback::kError;
  BackupPrecision backup = BackupPrecision::kInt8Asym;
};

/// Each parses its flag's text; UsageError that names flag, text and what is known for anything else.
WeightFormat parse_weight_format(const std::string& text);
Selection parse_selection(const std::string& text);
GroupSizeFallback parse_group_size_fallback(const std::string& text);
BackupPrecision parse_backup_precision(const std::string& text);

std::vector<std::string> weight_format_names();
std::string weight_format_name(WeightFormat format);
std::string selection_name(Selection selection);
std::string group_size_fallback_name(GroupSizeFallback fallback);
std::string backup_precision_name(BackupPrecision backup);

/// Whether dsv4 compresses matrices: not floats, and not what keeps its published bits.
bool is_compressed(WeightFormat format);

/// "int4, asymmetric, groups of 128, trained selection": one line for people.
std::string describe(const CompressionOptions& options);

}  // namespace dsv4
