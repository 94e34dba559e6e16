// The portable program behind an engine and its sessions: the folder's own graph of standard operations, on any OpenVINO device.
#pragma once

#include <memory>

#include "dsv4/engine.h"
#include "dsv4/session.h"
#include "openvino/core/model.hpp"

namespace dsv4 {

/// Compiles the folder's IR into `model`, whose options, folder and config are set: float32 whatever the device prefers, and activations
/// never rounded to integers, so that results are the same everywhere. Error when the IR is not such a program or the device does not take
/// it.
void open_portable_program(Engine::Model& model, const std::shared_ptr<ov::Model>& ir);

/// The state of an empty sequence; `model` outlives it.
std::unique_ptr<Session::State> make_portable_state(const Engine::Model& model);

}  // namespace dsv4
