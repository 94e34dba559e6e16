// The DeepSeek-V4 model as a graph: embedding, blocks, head, written once over the op vocabulary.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/config.h"
#include "graph/vocabulary.h"

namespace dsv4 {

/// The blocks of the model's own layers, in order: "layers.0", "layers.1", ...
std::vector<Block> model_blocks(const Config& config);

/// One block (spec 2.3): streams [T,hc,D] -> [T,hc,D].
Streams block(Vocabulary& ops, const Streams& streams, const Block& block);

/// The architecture itself (spec 2): runs the blocks of `config` through `ops`. `tap_layers`, in ascending order: the layers behind which the streams
/// are wanted too.
ModelOutputs build_model(const Config& config, Vocabulary& ops, std::span<const int64_t> tap_layers = {});

}  // namespace dsv4
