// Sums of what memory is needed for.
#include "runtime/expert_budget.h"

#include <algorithm>
#include <limits>

#include "checkpoint/config.h"

namespace dsv4 {

namespace {

constexpr uint64_t kLeastReserve = 1000000000;
constexpr int64_t kWithoutTokens = int64_t{256} << 20;  // the program itself, OpenVINO, what is there for any number of tokens

}  // namespace

uint64_t memory_reserve(uint64_t available) { return std::max(kLeastReserve, available / 10); }

int64_t expert_budget(uint64_t available, const MemoryNeeds& needs) {
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max() / 2;
  return static_cast<int64_t>(std::min(available, kMost)) - static_cast<int64_t>(std::min(memory_reserve(available), kMost)) -
         needs.total();
}

bool fits_mapped(uint64_t model_bytes, uint64_t available) { return model_bytes / 9 < available / 10; }

int64_t working_bytes(const Config& config, int64_t tokens) {
  // Floats a token: results and activations of its experts and the shared one; the streams of the hyper-connections, before and after; what attention projects.
  const int64_t experts = (config.num_experts_per_tok + 1) * (config.hidden_size + config.moe_intermediate_size);
  const int64_t streams = 4 * config.hc_mult * config.hidden_size;
  const int64_t attention = 3 * config.num_attention_heads * config.head_dim;
  return kWithoutTokens + tokens * (experts + streams + attention) * static_cast<int64_t>(sizeof(float));
}

}  // namespace dsv4
