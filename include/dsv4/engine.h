// An engine: a model folder, opened for one of its programs and shared by the sessions that run on it.
//
// Four words stand between a program and its text. An Engine is a loaded model: weights, compiled program, options; nothing of it changes
// once it is open. A Session (dsv4/session.h) is one sequence on it, a Snapshot (dsv4/snapshot.h) a copy of a session's state, a Request
// (dsv4/request.h) a prompt and how to go on from it. An Engine object is a handle: copies share the model, every session holds one, and
// the model goes with the last of them. Weights are read where the folder's file is mapped, so the folder has to stay as it is meanwhile.
//
// Source: the folders that `dsv4 convert` writes. Everything here throws dsv4::Error (dsv4/error.h) with one line that says what is wrong
// and what to do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dsv4/active_bytes.h"
#include "dsv4/precision.h"

namespace dsv4 {

enum class Program {
  kAuto,      ///< kCpu for a stateful folder on the CPU, else kPortable
  kCpu,       ///< dsv4's own ops over the weights as they are stored; one sequence a session, CPU only
  kPortable,  ///< the folder's openvino_model.xml, on any OpenVINO device, in float32
};

/// Where the CPU program reads its weights.
enum class WeightMemory {
  kAuto,  ///< kMap where the model fits into the memory that is available, else kStream
  kMap,   ///< the mapped file: opens at once, needs no memory of its own, may be larger than RAM
  kLoad,  ///< copied into anonymous memory, which the kernel does not drop
  kLock,  ///< the mapped file, locked into RAM (needs RLIMIT_MEMLOCK)
  kStream,  ///< for models larger than memory: routed experts in a bounded cache that is filled by direct reads, all other weights copied into memory
};

struct EngineOptions {
  Program program = Program::kAuto;
  std::string device = "CPU";  ///< OpenVINO's name; of the portable program
  int threads = 0;             ///< 0: the device's default
  bool all_logits = false;     ///< sessions return logits of every position; else of the last one only, and the head runs on that alone
  std::function<void(const std::string&)> notice;  ///< lines for the user while the folder is opened; may be empty

  int64_t context = 0;  ///< most tokens of a sequence; 0: what the model was made for. Memory is used as a sequence grows, not before

  // The CPU program only:
  WeightMemory weights = WeightMemory::kAuto;
  int64_t expert_cache_bytes = 0;        ///< kStream: bytes for routed experts; 0: what the machine leaves
  std::filesystem::path expert_profile;  ///< kStream: if this file is there, its most used experts are read first; empty: none
  std::filesystem::path routes;          ///< written: which experts each token is routed to; empty: not
  ActivationRounding activations = ActivationRounding::kInt8;
  CachePrecision cache = CachePrecision::kBF16;
  bool quantize_cache = false;  ///< round what is cached to FP8 and FP4 values as the model was trained; costs time, saves no memory
};

struct Step;  // dsv4/step.h

/// Cheap to copy. Thread-safe.
class Engine {
 public:
  /// Error when files are missing, are not a dsv4 model, or the options do not fit it.
  explicit Engine(const std::filesystem::path& folder, const EngineOptions& options = {});

  const EngineOptions& options() const;
  Program program() const;           ///< never kAuto
  int64_t vocab_size() const;        ///< V: ids are in [0,V)
  int64_t context() const;           ///< most tokens of a sequence
  bool is_end(int64_t token) const;  ///< one of the model's end-of-sequence tokens
  bool stateful() const;             ///< false: the prefill-only form, which runs the whole sequence every time
  int64_t static_length() const;     ///< tokens of every sequence, neither fewer nor more (--static-shape); 0: any number
  int threads() const;               ///< that inferences run on: no more than the process may use processors, whatever the options say
  double open_seconds() const;       ///< reading and compiling took
  int64_t prompt_chunk() const;      ///< tokens of a prompt that are best fed in one inference: more where experts come from the drive
  ActiveBytes active_bytes() const;  ///< of the CPU program where an indexer selects; zeros for the portable one
  /// Bytes of the cache that the next token reads when a sequence has `position` tokens; 0 for the portable program.
  int64_t cache_bytes(int64_t position) const;

  /// All parts in one inference (for the portable program one after another); returns logits by part: rows [n,V] as they were asked for.
  /// To be called from any thread: steps take turns; a session may be in one at a time. Error, with nothing changed, for no parts, a session
  /// of another engine or twice, a lost one, ids outside [0,V), no room in a context, and kAll where only the last logits are to be had (the
  /// portable program without all_logits). Error too when the inference fails: the state of every session of the step is lost then, as
  /// Session::feed says.
  std::vector<std::vector<float>> step(std::span<const Step> steps) const;

  struct Model;  ///< what it holds (src/runtime/engine_model.h)

 private:
  friend struct Inner;  // what dsv4's own rooms see beyond this: src/runtime/inner.h

  std::shared_ptr<const Model> model_;
};

}  // namespace dsv4
