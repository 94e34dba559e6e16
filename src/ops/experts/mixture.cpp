// Three regions of products: the router; gate and up rows of all selected experts and of the shared one; their down rows.
#include "ops/experts/mixture.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <span>

#include "openvino/core/except.hpp"
#include "ops/experts/expert_math.h"
#include "ops/experts/prefetch.h"
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

/// The (token, expert) pairs in the order of experts: pairs of expert e are rows [first[e], first[e+1]).
struct Batches {
  int32_t* first = nullptr;  ///< [E+1]
  int32_t* token = nullptr;  ///< [T*K] of each row
  float* weight = nullptr;   ///< [T*K] of each row
  int32_t* row = nullptr;    ///< [T,K] of each pair
};

Batches sort_by_expert(const MixtureLayer& layer, const Routing& routing, int64_t tokens, Scratch& scratch) {
  const int64_t n = layer.experts(), k = layer.experts_per_token, pairs = tokens * k;
  const Batches b{scratch.take<int32_t>(n + 1), scratch.take<int32_t>(pairs), scratch.take<float>(pairs), scratch.take<int32_t>(pairs)};
  std::fill_n(b.first, n + 1, 0);
  for (int64_t i = 0; i < pairs; ++i) ++b.first[routing.experts[i] + 1];
  for (int64_t e = 0; e < n; ++e) b.first[e + 1] += b.first[e];
  for (int64_t i = 0; i < pairs; ++i) {  // first[e] moves on to where expert e ends ...
    const int32_t row = b.first[routing.experts[i]]++;
    b.token[row] = static_cast<int32_t>(i / k);
    b.weight[row] = routing.weights[i];
    b.row[i] = row;
  }
  std::copy_backward(b.first, b.first + n, b.first + n + 1);  // ... which is where the next one begins
  b.first[0] = 0;
  return b;
}

/// f(expert, first row, rows) for every expert that has rows.
template <class F>
void for_each_batch(const Batches& batches, int64_t experts, const F& f) {
  for (int64_t e = 0; e < experts; ++e) {
    if (batches.first[e] < batches.first[e + 1]) f(e, batches.first[e], batches.first[e + 1] - batches.first[e]);
  }
}

/// The last `selected` products are those of routed experts, in the order of `ahead`; all at once where nothing is read ahead.
void multiply_in_order(std::span<const Product> products, size_t selected, std::optional<ReadAhead>& ahead, Scratch& scratch) {
  size_t before = products.size() - selected;  // go with the first routed ones
  for (size_t left = selected; left > 0;) {
    const size_t now = ahead ? ahead->next(left) : left;
    multiply(products.first(before + now), scratch);
    products = products.subspan(before + now);
    before = 0;
    left -= now;
  }
}

}  // namespace

void mixture_of_experts(const MixtureLayer& layer, const float* x, const int32_t* ids, int64_t tokens, float* y) {
  Scratch scratch;
  const int64_t n = layer.experts(), k = layer.experts_per_token, width = layer.width(), inner = layer.inner();
  const int64_t pairs = tokens * k, rows = pairs + tokens;  // the shared expert's rows come last
  const Activations inputs = make_activations(x, tokens, width, width, layer.mode, scratch);
  const Routing routing = route(layer, inputs, ids, scratch);
  const TimePart time(OpPart::kExpertsProducts);
  const Batches batches = sort_by_expert(layer, routing, tokens, scratch);
  std::optional<ReadAhead> ahead;
  size_t selected = 0;  // experts
  for_each_batch(batches, n, [&](int64_t, int64_t, int64_t) { ++selected; });
  if (layer.prefetch) {
    // The kernel works while the first products below are computed, those of the shared expert, which is in memory. In layers with a hash table the experts
    // are known from the ids alone, so that an op before this one could ask for them.
    PackedMatrix* order = scratch.take<PackedMatrix>(static_cast<int64_t>(2 * selected));
    size_t i = 0;
    for_each_batch(batches, n, [&](int64_t e, int64_t, int64_t) {
      order[i] = layer.gate_up.at(e);
      order[selected + i++] = layer.down.at(e);
    });
    ahead.emplace(std::span(order, 2 * selected));
  }

  Product* products = scratch.take<Product>(n + 2);
  std::uninitialized_default_construct_n(products, n + 2);
  float* hidden = scratch.take<float>(rows * 2 * inner);  // [T*K+T,2I]: gate values, up values
  float* shared = hidden + pairs * 2 * inner;
  size_t count = 0;
  products[count++] = {layer.w1, inputs, shared, 2 * inner};
  products[count++] = {layer.w3, inputs, shared + inner, 2 * inner};
  for_each_batch(batches, n, [&](int64_t e, int64_t first, int64_t size) {
    Activations gathered = inputs;
    gathered.row = batches.token + first;
    gathered.tokens = size;
    products[count++] = {layer.gate_up.at(e), gathered, hidden + first * 2 * inner, 2 * inner};
  });
  multiply_in_order({products, count}, selected, ahead, scratch);

  parallel_pieces(rows, std::max<int64_t>(kHiddenAtOnce / inner, 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      float* gate = hidden + r * 2 * inner;
      swiglu(gate, gate + inner, inner, layer.swiglu_limit, r < pairs ? batches.weight[r] : 1.0f);
    }
  });

  const Activations activated = make_activations(hidden, rows, inner, 2 * inner, layer.mode, scratch);  // [T*K+T,I]
  float* results = scratch.take<float>(rows * width);                                                   // [T*K+T,D]
  count = 0;
  products[count++] = {layer.w2, activated.slice(pairs, tokens), results + pairs * width, width};
  for_each_batch(batches, n, [&](int64_t e, int64_t first, int64_t size) {
    products[count++] = {layer.down.at(e), activated.slice(first, size), results + first * width, width};
  });
  multiply_in_order({products, count}, selected, ahead, scratch);

  const float** terms = scratch.take<const float*>(pairs);
  for (int64_t i = 0; i < pairs; ++i) terms[i] = results + batches.row[i] * width;
  parallel_pieces(tokens, std::max<int64_t>(kSumsAtOnce / ((k + 1) * width), 1), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) add_rows(results + (pairs + t) * width, terms + t * k, k, width, y + t * width);
  });
}

}  // namespace dsv4::ops
