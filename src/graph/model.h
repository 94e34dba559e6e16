// The DeepSeek-V4 model as a graph: embedding, layers, head, written once over the op vocabulary.
#pragma once

#include <memory>

#include "checkpoint/config.h"
#include "graph/vocabulary.h"
#include "graph/weights.h"

namespace dsv4 {

struct PortableOptions {
  bool stateful = true;  ///< false: the prefill-only form, input_ids alone
};

/// The architecture itself (spec 2): runs the blocks of `config` through `vocabulary`.
std::shared_ptr<ov::Model> build_model(const Config& config, Vocabulary& vocabulary);

/// The portable program: standard ops only, inputs and state as design.md section 3 says.
std::shared_ptr<ov::Model> build_portable_model(const Config& config, WeightSource& weights, const PortableOptions& options = {});

}  // namespace dsv4
