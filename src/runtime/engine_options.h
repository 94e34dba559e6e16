// What an engine's options mean to OpenVINO.
#pragma once

#include "dsv4/engine.h"
#include "openvino/core/any.hpp"

namespace dsv4 {

/// UsageError for options that contradict each other, or for a device that OpenVINO does not have; before a folder is looked at.
void check_options(const EngineOptions& options);

/// For one inference at a time, in float32 whatever the CPU prefers.
ov::AnyMap compile_properties(const EngineOptions& options);

}  // namespace dsv4
