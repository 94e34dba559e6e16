// Products of the router; then, group by group of the selected experts, their gate and up rows and their down rows, as they come into memory. The shared expert
// goes first: the others are on their way meanwhile.
#include "ops/experts/mixture.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>

#include "openvino/core/except.hpp"
#include "ops/experts/expert_math.h"
#include "ops/experts/mapped_experts.h"
#include "ops/support/op_times.h"
#include "ops/support/parallel.h"

namespace dsv4::ops {

namespace {

// Below so many values a thread is not worth waking.
constexpr int64_t kScoresAtOnce = 1 << 12;
constexpr int64_t kHiddenAtOnce = 1 << 14;
constexpr int64_t kSumsAtOnce = 1 << 16;

struct Routing {
  int32_t* experts = nullptr;  ///< [T,K]
  float* weights = nullptr;    ///< [T,K]
};

/// The experts that the table holds for a token, as stored.
void look_up(const MixtureLayer& layer, int32_t token, int32_t* experts) {
  const int64_t k = layer.experts_per_token;
  OPENVINO_ASSERT(token >= 0 && token < layer.vocabulary, "Experts: token id ", token, "; the table has ", layer.vocabulary, " rows");
  std::memcpy(experts, layer.table + token * k * static_cast<int64_t>(sizeof *experts), static_cast<size_t>(k) * sizeof *experts);
  for (int64_t i = 0; i < k; ++i) {
    OPENVINO_ASSERT(experts[i] >= 0 && experts[i] < layer.experts(), "Experts: the table names expert ", experts[i], " for token ", token,
                    "; expected 0..", layer.experts() - 1);
  }
}

/// The router's products are in float32 whatever the mode: rounded ones would select other experts.
Routing route(const MixtureLayer& layer, Activations x, const int32_t* ids, Scratch& scratch) {
  const TimePart time(OpPart::kExpertsRouter);
  const int64_t tokens = x.tokens, n = layer.experts(), k = layer.experts_per_token;
  const Routing routing{scratch.take<int32_t>(tokens * k), scratch.take<float>(tokens * k)};
  float* scores = scratch.take<float>(tokens * n);
  x.codes = nullptr;  // (planes, scales and sums belong to them)
  if (layer.table) {
    for (int64_t t = 0; t < tokens; ++t) look_up(layer, ids[t], routing.experts + t * k);
  }
  multiply(layer.gate, x, scores, n, scratch);  // [T,D] -> [T,E]
  parallel_pieces(tokens, std::max<int64_t>(kScoresAtOnce / n, 1), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      router_scores(scores + t * n, n);
      int32_t* experts = routing.experts + t * k;
      float* weights = routing.weights + t * k;
      if (!layer.table) select_experts(scores + t * n, layer.bias, n, k, weights, experts);
      expert_weights(scores + t * n, experts, k, layer.scaling_factor, weights);
    }
  });
  return routing;
}

/// The rows of the call: a token each of the shared expert, then the (token, expert) pairs in the order of the leases.
struct Batches {
  int32_t* first = nullptr;  ///< [experts of the call + 1]: rows of expert order()[i] are [first[i], first[i+1])
  int32_t* token = nullptr;  ///< of each row
  float* weight = nullptr;   ///< of each row
  int32_t* row = nullptr;    ///< [T,K] of each pair
};

/// The different experts of the call and how many tokens each has.
std::span<ExpertDemand> demands_of(const MixtureLayer& layer, const Routing& routing, int64_t tokens, Scratch& scratch) {
  const int64_t n = layer.experts(), pairs = tokens * layer.experts_per_token;
  auto* demands = scratch.take<ExpertDemand>(n);
  for (int64_t e = 0; e < n; ++e) demands[e] = {static_cast<int32_t>(e), 0};
  for (int64_t i = 0; i < pairs; ++i) ++demands[routing.experts[i]].tokens;
  const auto* end = std::remove_if(demands, demands + n, [](const ExpertDemand& demand) { return demand.tokens == 0; });
  return {demands, static_cast<size_t>(end - demands)};
}

Batches sort_by_expert(const MixtureLayer& layer, const Routing& routing, std::span<const ExpertDemand> order, int64_t tokens,
                       Scratch& scratch) {
  const int64_t k = layer.experts_per_token, pairs = tokens * k, count = std::ssize(order);
  const Batches b{scratch.take<int32_t>(count + 1), scratch.take<int32_t>(tokens + pairs), scratch.take<float>(tokens + pairs),
                  scratch.take<int32_t>(pairs)};
  auto* next = scratch.take<int32_t>(layer.experts());  // row of each expert
  b.first[0] = static_cast<int32_t>(tokens);
  for (int64_t i = 0; i < count; ++i) {
    const ExpertDemand& demand = order[static_cast<size_t>(i)];
    next[demand.expert] = b.first[i];
    b.first[i + 1] = b.first[i] + demand.tokens;
  }
  for (int64_t t = 0; t < tokens; ++t) {
    b.token[t] = static_cast<int32_t>(t);
    b.weight[t] = 1.0f;
  }
  for (int64_t i = 0; i < pairs; ++i) {
    const int32_t row = next[routing.experts[i]]++;
    b.token[row] = static_cast<int32_t>(i / k);
    b.weight[row] = routing.weights[i];
    b.row[i] = row;
  }
  return b;
}

/// `products`: of the shared expert, then of the group's experts, whose matrices are not set yet.
void multiply_as_they_arrive(std::span<const Product> products, size_t shared, ExpertLeases& leases, size_t first, ExpertPart part,
                             Scratch& scratch) {
  Product* now = scratch.take<Product>(std::ssize(products));
  std::uninitialized_default_construct_n(now, products.size());
  size_t count = static_cast<size_t>(std::copy_n(products.begin(), shared, now) - now);
  for (size_t left = products.size() - shared; left > 0 || count > 0; count = 0) {
    const std::span<const int32_t> arrived = leases.arrived(part, count == 0);
    for (const int32_t i : arrived) {
      now[count] = products[shared + static_cast<size_t>(i) - first];
      now[count++].matrix = leases.matrix(static_cast<size_t>(i), part);
    }
    left -= arrived.size();
    multiply({now, count}, scratch);
  }
}

}  // namespace

void mixture_of_experts(const MixtureLayer& layer, const float* x, const int32_t* ids, int64_t tokens, float* y) {
  Scratch scratch;
  const int64_t k = layer.experts_per_token, width = layer.width(), inner = layer.inner(), pairs = tokens * k;
  const Activations inputs = make_activations(x, tokens, width, width, layer.mode, scratch);
  const Routing routing = route(layer, inputs, ids, scratch);
  if (layer.observer) layer.observer->routed(layer.index, {routing.experts, static_cast<size_t>(pairs)});
  const TimePart time(OpPart::kExpertsProducts);
  const std::span<const ExpertDemand> demands = demands_of(layer, routing, tokens, scratch);
  const std::unique_ptr<ExpertLeases> leases =
      layer.source ? layer.source->acquire(layer.index, demands) : lease_in_place(layer.gate_up, layer.down, layer.prefetch, demands);
  const Batches batches = sort_by_expert(layer, routing, leases->order(), tokens, scratch);

  float* results = scratch.take<float>((tokens + pairs) * width);  // [T+T*K,D]
  Product* products = scratch.take<Product>(std::ssize(demands) + 2);
  std::uninitialized_default_construct_n(products, demands.size() + 2);
  float* hidden = nullptr;  // [rows of a group,2I]: gate values, up values
  int64_t most = 0;
  for (ExpertLeases::Group group = leases->next(); !group.empty(); group = leases->next()) {
    const bool with_shared = group.begin == 0;
    const int64_t begin = with_shared ? 0 : batches.first[group.begin], rows = batches.first[group.end] - begin;
    if (rows > most) {
      hidden = scratch.take<float>(rows * 2 * inner);
      most = rows;
    }
    size_t count = 0;
    if (with_shared) {
      products[count++] = {layer.w1, inputs, hidden, 2 * inner};
      products[count++] = {layer.w3, inputs, hidden + inner, 2 * inner};
    }
    size_t shared = count;
    for (size_t i = group.begin; i < group.end; ++i) {
      Activations gathered = inputs;
      gathered.row = batches.token + batches.first[i];
      gathered.tokens = batches.first[i + 1] - batches.first[i];
      products[count++] = {{}, gathered, hidden + (batches.first[i] - begin) * 2 * inner, 2 * inner};
    }
    multiply_as_they_arrive({products, count}, shared, *leases, group.begin, ExpertPart::kGateUp, scratch);

    parallel_pieces(rows, std::max<int64_t>(kHiddenAtOnce / inner, 1), [&](int64_t from, int64_t to) {
      for (int64_t r = from; r < to; ++r) {
        float* gate = hidden + r * 2 * inner;
        swiglu(gate, gate + inner, inner, layer.swiglu_limit, batches.weight[begin + r]);
      }
    });

    const Activations activated = make_activations(hidden, rows, inner, 2 * inner, layer.mode, scratch);  // [rows,I]
    count = 0;
    if (with_shared) products[count++] = {layer.w2, activated.slice(0, tokens), results, width};
    shared = count;
    for (size_t i = group.begin; i < group.end; ++i) {
      const int64_t first = batches.first[i], size = batches.first[i + 1] - first;
      products[count++] = {{}, activated.slice(first - begin, size), results + first * width, width};
    }
    multiply_as_they_arrive({products, count}, shared, *leases, group.begin, ExpertPart::kDown, scratch);
  }

  const float** terms = scratch.take<const float*>(pairs);
  for (int64_t i = 0; i < pairs; ++i) terms[i] = results + batches.row[i] * width;
  parallel_pieces(tokens, std::max<int64_t>(kSumsAtOnce / ((k + 1) * width), 1), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) add_rows(results + t * width, terms + t * k, k, width, y + t * width);
  });
}

}  // namespace dsv4::ops
