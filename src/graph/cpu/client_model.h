// The CPU program for clients of OpenVINO: op Sequences around it, with the inputs, output and state of the portable program.
#pragma once

#include <memory>

#include "graph/cpu/cpu.h"

namespace dsv4 {

/// Inputs `input_ids`, `attention_mask`, `position_ids` i64 and `beam_idx` i32; output `logits` f32 [B,S,V]; one state, `sequences` i32 [B,1,2], whose only dynamic
/// dimension is the batch, so that GenAI resets it and never trims it. No constants but the weights, which are what `weights` gives.
/// For a file: `options.for_file` is taken as set.
std::shared_ptr<ov::Model> build_client_model(const Config& config, PackedWeights& weights, CpuOptions options, CachePrecision cache);

}  // namespace dsv4
