// The CPU program behind an engine and its sessions: dsv4's own ops over the weights as the folder stores them (docs/cpu-program.md).
#pragma once

#include <memory>

#include "dsv4/engine.h"
#include "dsv4/session.h"
#include "openvino/core/model.hpp"

namespace dsv4 {

/// Builds the program over the constants of the IR and compiles it into `model`, whose options, folder and config are set. Error when the
/// weights are not what it needs.
void open_cpu_program(Engine::Model& model, const std::shared_ptr<ov::Model>& ir);

/// The state of an empty sequence; `model` outlives it.
std::unique_ptr<Session::State> make_cpu_state(const Engine::Model& model);

}  // namespace dsv4
