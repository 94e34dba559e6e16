// A loaded model folder: the IR compiled for a device, its config, and the sessions that run on it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "checkpoint/config.h"
#include "openvino/core/model.hpp"
#include "openvino/runtime/compiled_model.hpp"

namespace dsv4 {

struct EngineOptions {
  std::string device = "CPU";
  int threads = 0;          ///< 0: the device's default
  bool all_logits = false;  ///< sessions return logits of every position; else of the last one only, and the head runs on that alone
};

/// What an OpenVINO exception says, on one line.
std::string first_line(const std::string& text);

/// The IR of a folder that `dsv4 convert` wrote, constants mapped, not compiled. Error when a file is missing or is no IR.
std::shared_ptr<ov::Model> read_ir(const std::filesystem::path& folder);

/// Reads and compiles once; sessions share it. The portable program is run in float32 whatever the CPU prefers, and
/// activations are never rounded to integers, so that results are the same everywhere.
class Engine {
 public:
  /// `folder` is what `dsv4 convert` wrote. Error when files are missing or are not a dsv4 model.
  explicit Engine(const std::filesystem::path& folder, const EngineOptions& options = {});

  const Config& config() const { return config_; }
  bool stateful() const { return stateful_; }               ///< false: the prefill-only form, which runs the whole sequence every time
  int64_t static_length() const { return static_length_; }  ///< tokens of every sequence, neither fewer nor more; 0: any number
  const EngineOptions& options() const { return options_; }
  const ov::CompiledModel& compiled() const { return compiled_; }
  double compile_seconds() const { return compile_seconds_; }

 private:
  EngineOptions options_;
  Config config_;
  bool stateful_ = true;
  int64_t static_length_ = 0;
  double compile_seconds_ = 0.0;
  ov::CompiledModel compiled_;
};

}  // namespace dsv4
