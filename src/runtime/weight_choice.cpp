// Bytes of a model's constants against the available memory.
#include "runtime/weight_choice.h"

#include <algorithm>
#include <string>

#include "checkpoint/amounts.h"
#include "checkpoint/names.h"
#include "dsv4/error.h"
#include "graph/cpu/cpu.h"
#include "runtime/constants.h"

namespace dsv4 {

namespace {

// Memory is used as a sequence grows: so much of it is left free.
constexpr int64_t kTokensLeftFor = 16384;

struct WeightBytes {
  int64_t all = 0, routed = 0;
};

WeightBytes weight_bytes(const ov::Model& ir, const Config& config) {
  const Constants constants(ir);
  WeightBytes bytes;
  constants.for_each([&](const ov::op::v0::Constant& constant) { bytes.all += static_cast<int64_t>(constant.get_byte_size()); });
  for (size_t layer = 0; layer < config.layers.size(); ++layer) {
    const std::string block = concat("layers.", layer);
    for (const std::string& name : {gate_up_stack_name(block), down_stack_name(block)}) {
      for (const char* suffix : {"", "/scale", "/zero_point"}) {
        if (const auto constant = constants.find(name + suffix)) bytes.routed += static_cast<int64_t>(constant->get_byte_size());
      }
    }
  }
  return bytes;
}

}  // namespace

MemoryNeeds needs_beside_weights(const Config& config, const EngineOptions& options) {
  const int64_t context = options.context > 0 ? options.context : config.max_position_embeddings;
  const ops::CacheLayout cache(cpu_cache_shape(config, context, options.cache));
  MemoryNeeds needs;
  for (const auto& range : cache.used(std::min(context, kTokensLeftFor))) needs.sequence += range.end - range.begin;
  needs.working = working_bytes(config, std::min(context, kPromptChunkFromDrive));
  return needs;
}

void settle_weight_memory(Engine::Model& model, const ov::Model& ir, uint64_t available) {
  EngineOptions& options = model.options;
  if (options.weights != WeightMemory::kAuto) return;
  options.weights = WeightMemory::kMap;
  const Config& config = model.config;
  const WeightBytes bytes = weight_bytes(ir, config);
  if (fits_mapped(static_cast<uint64_t>(bytes.all), available)) return;
  MemoryNeeds needs = needs_beside_weights(config, options);
  needs.dense = bytes.all - bytes.routed;
  const int64_t two_tokens = 2 * config.num_experts_per_tok * (bytes.routed / std::max<int64_t>(config.n_routed_experts, 1));
  // Parts of experts do not begin on whole blocks: slots are a little larger than experts.
  const bool streams = expert_budget(available, needs) / 21 * 20 >= two_tokens;
  if (streams) options.weights = WeightMemory::kStream;
  if (!options.notice) return;
  options.notice(concat("the model's ", byte_text(static_cast<uint64_t>(bytes.all)), " are too much for the ", byte_text(available),
                        " of memory that are available: ",
                        streams ? "experts are read when they are needed (--weights stream)"
                                : "page faults read them, which is slow (--weights map); there is not enough for --weights stream"));
}

}  // namespace dsv4
