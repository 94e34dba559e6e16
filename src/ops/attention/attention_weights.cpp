// Order and shapes of the weights of an Attention op.
#include "ops/attention/attention_weights.h"

#include <type_traits>

namespace dsv4::ops {

namespace {

using Group = std::span<const PackedMatrix>;

size_t weight_count(const AttentionAttributes& a) {
  AttentionWeights w;
  size_t count = 0;
  for_each_weight(w, a, {},
                  [&]<class T>(T&, const WeightPlace&) { count += std::is_same_v<T, Group> ? static_cast<size_t>(a.groups) : 1; });
  return count;
}

}  // namespace

AttentionWeights name_weights(std::span<const PackedMatrix> weights, const AttentionAttributes& a, Scratch& scratch) {
  AttentionWeights w;
  size_t next = 0;
  for_each_weight(w, a, {}, [&]<class T>(T& weight, const WeightPlace&) {
    if constexpr (std::is_same_v<T, Group>) {
      weight = weights.subspan(next, static_cast<size_t>(a.groups));
      next += static_cast<size_t>(a.groups);
    } else if constexpr (std::is_same_v<T, const float*>) {
      weight = exact_values(weights[next++], scratch);
    } else {
      weight = &weights[next++];
    }
  });
  return w;
}

void check_attributes(const ov::Node* node, const AttentionAttributes& a) {
  const auto within = [&](int64_t value, int64_t least, int64_t most, const char* what) {
    NODE_VALIDATION_CHECK(node, value >= least && value <= most, what, " is ", value, "; expected ", least, " to ", most);
  };
  within(a.layer, 0, kMostLayers - 1, "layer");
  within(a.heads, 1, kMostDims, "heads");
  within(a.head_dim, 1, kMostDims, "head_dim");
  within(a.rope_dim, 0, a.head_dim, "rope_dim");
  within(a.groups, 1, a.heads, "groups");
  within(a.window, 1, kMostDims, "window");
  within(a.ratio, a.overlap ? 1 : 0, kMostDims, "ratio");
  NODE_VALIDATION_CHECK(node, a.norm_eps >= 0.0 && a.norm_eps <= 1.0, "norm_eps is ", a.norm_eps, "; expected 0 to 1");
  NODE_VALIDATION_CHECK(node, a.rope_dim % 2 == 0, "rope_dim is ", a.rope_dim, "; expected an even number");
  NODE_VALIDATION_CHECK(node, a.heads % a.groups == 0, a.heads, " heads in ", a.groups, " groups");
  if (!a.overlap) return;
  within(a.index_heads, 1, kMostDims, "index_heads");
  within(a.index_head_dim, 1, kMostDims, "index_head_dim");
  within(a.rope_dim, 0, a.index_head_dim, "rope_dim");
  within(a.index_topk, 1, kMostPositions, "index_topk");
  NODE_VALIDATION_CHECK(node, !a.quantize_cache || (a.index_head_dim & (a.index_head_dim - 1)) == 0, "index_head_dim is ", a.index_head_dim,
                        "; the Hadamard transform of a quantised cache needs a power of two");
}

void check_weights(const ov::Node* node, std::span<const PackedMatrix> weights, const AttentionAttributes& a) {
  NODE_VALIDATION_CHECK(node, weights.size() == weight_count(a), weights.size(), " weights; expected ", weight_count(a));
  AttentionWeights w;
  AttentionSizes sizes;
  size_t next = 0;
  for_each_weight(w, a, sizes, [&]<class T>(T& weight, const WeightPlace&) {  // which of them have the sizes that the others have to fit
    if (static_cast<void*>(&weight) == &w.wq_a) sizes = {weights[next].cols, weights[next].rows, 0};
    if constexpr (std::is_same_v<T, Group>) sizes.o_rank = weights[next].rows;
    next += std::is_same_v<T, Group> ? static_cast<size_t>(a.groups) : 1;
  });
  next = 0;
  for_each_weight(w, a, sizes, [&]<class T>(T&, const WeightPlace& place) {
    const size_t end = next + (std::is_same_v<T, Group> ? static_cast<size_t>(a.groups) : 1);
    for (; next < end; ++next) {
      const PackedMatrix& m = weights[next];
      NODE_VALIDATION_CHECK(node, !(std::is_same_v<T, const float*>) || m.type == NumberFormat::kF32, place.name, " has to be float32");
      NODE_VALIDATION_CHECK(node, m.rows == place.rows && m.cols == place.cols, place.name, " is [", m.rows, ",", m.cols, "]; expected [",
                            place.rows, ",", place.cols, "]");
    }
  });
}

}  // namespace dsv4::ops
