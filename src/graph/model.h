// The DeepSeek-V4 model as a graph: embedding, layers, head, written once over the op vocabulary.
#pragma once

#include <memory>
#include <optional>

#include "checkpoint/config.h"
#include "graph/vocabulary.h"
#include "graph/weights.h"

namespace dsv4 {

/// How the routed experts are multiplied.
enum class ExpertForm {
  kGrouped,  ///< GroupedMatMul-17: OpenVINO 2026.3 or later
  kGather,   ///< the routed experts' weights by Gather, as they are stored, and operations up to opset 15
};

/// Rows and tokens a row of a program that takes nothing else.
struct StaticShape {
  int64_t batch = 1;
  int64_t length = 1;
};

struct PortableOptions {
  bool stateful = true;  ///< false: the prefill-only form, input_ids alone
  ExpertForm experts = ExpertForm::kGrouped;
  std::optional<StaticShape> static_shape;  ///< of the prefill-only form: no dynamic dimension in the whole program; Error with `stateful`
};

/// The architecture itself (spec 2): runs the blocks of `config` through `vocabulary`.
std::shared_ptr<ov::Model> build_model(const Config& config, Vocabulary& vocabulary);

/// The portable program: standard ops only, inputs and state as docs/architecture.md says (Contract of the portable program).
std::shared_ptr<ov::Model> build_portable_model(const Config& config, WeightSource& weights, const PortableOptions& options = {});

}  // namespace dsv4
