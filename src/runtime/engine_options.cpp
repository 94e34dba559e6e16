// Options against the devices that there are.
#include "runtime/engine_options.h"

#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "openvino/runtime/core.hpp"

namespace dsv4 {

void check_options(const EngineOptions& options) {
  if (options.program == Program::kCpu && options.device != "CPU") {
    throw UsageError(concat("the CPU program runs on the CPU, not on the device ", quote(options.device), "; use --program portable"));
  }
  const bool portable = options.program == Program::kPortable, stream = options.weights == WeightMemory::kStream;
  if (portable && stream) throw UsageError("--weights stream is for the CPU program; the portable program reads the mapped file");
  if (portable && !options.routes.empty())
    throw UsageError("--routes: the portable program does not say which experts it takes; use --program cpu");
  if (!stream && options.expert_cache_bytes > 0) throw UsageError("--expert-cache is for --weights stream; give both");
  if (!stream && !options.expert_profile.empty()) throw UsageError("--expert-profile is for --weights stream; give both");
  if (options.device == "CPU") return;
  ov::Core core;
  try {
    core.get_property(options.device, ov::supported_properties);
  } catch (const std::exception&) {
    throw UsageError(
        concat("--device: OpenVINO has no device ", quote(options.device), " here; there are ", joined(core.get_available_devices())));
  }
}

ov::AnyMap compile_properties(const EngineOptions& options) {
  ov::AnyMap properties = {ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY), ov::hint::inference_precision(ov::element::f32)};
  if (options.threads > 0) properties.insert(ov::inference_num_threads(options.threads));
  return properties;
}

}  // namespace dsv4
