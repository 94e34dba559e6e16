// Whether a model's weights are mapped or its routed experts come from the drive, by the memory that there is.
#pragma once

#include <cstdint>

#include "openvino/core/model.hpp"
#include "runtime/engine_model.h"
#include "runtime/expert_budget.h"

namespace dsv4 {

/// What a model needs beside its weights: a sequence of the engine's context, no longer than most are, and working memory.
MemoryNeeds needs_beside_weights(const Config& config, const EngineOptions& options);

/// Settles WeightMemory::kAuto for the CPU program: weights that do not stay in memory when they are mapped come from the drive where there is room for what a
/// token needs. Says so.
void settle_weight_memory(Engine::Model& model, const ov::Model& ir, uint64_t available);

}  // namespace dsv4
