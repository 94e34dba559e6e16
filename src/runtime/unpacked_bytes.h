// Weights that a plugin unpacks when it compiles a model: what that takes, and whether it is there.
#pragma once

#include <cstdint>
#include <string>

#include "openvino/core/model.hpp"

namespace dsv4 {

/// Bytes that OpenVINO's CPU plugin takes at its peak for the FP4 and FP8 constants of `model`, which it folds to float32 (2026.4.1: two copies for a while).
/// Measured: docs/conversion.md, MXFP4. 0 for models without either.
uint64_t unpacked_bytes(const ov::Model& model);

/// Error that says what to do where what it unpacks does not fit into `available` bytes. `what` begins the message.
void check_unpacked_bytes(const ov::Model& model, uint64_t available, const std::string& what);

}  // namespace dsv4
