// One Attention op with random weights, run over a sequence in any split, and the same layer from the formulas in float64.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "block_support.h"
#include "openvino/op/constant.hpp"
#include "openvino/op/parameter.hpp"
#include "ops/attention/attention.h"
#include "ops/attention/cache_pool.h"
#include "ops/attention/runs.h"

namespace dsv4::ops::testing {

struct AttentionCase {
  std::string name;
  AttentionAttributes attributes;
  int64_t hidden = 20;
  int64_t q_rank = 12;
  int64_t o_rank = 6;
  CachePrecision type = CachePrecision::kF32;
  int64_t tokens = 70;
};

/// Row-major values of a matrix, or of a vector as one row.
struct Values {
  int64_t rows = 0, cols = 0;
  std::vector<float> values;
  const float* row(int64_t i) const { return values.data() + i * cols; }
};

struct CaseWeights {
  struct Compressor {
    Values wkv, wgate, ape, norm;
  };
  Values wq_a, q_norm, wq_b, wkv, kv_norm, sinks, wo_b, index_wq_b, weights_proj;
  std::vector<Values> wo_a;
  Compressor compressor, index_compressor;
  std::vector<float> frequencies;
};

inline std::vector<float> random_values(int64_t n, float mean, float deviation, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = normal(random);
  return values;
}

inline CaseWeights random_weights(const AttentionCase& c, uint32_t seed = 1) {
  const AttentionAttributes& a = c.attributes;
  const auto values = [&](int64_t rows, int64_t cols, float mean, float deviation) {
    return Values{rows, cols, random_values(rows * cols, mean, deviation, ++seed)};
  };
  const auto matrix = [&](int64_t rows, int64_t cols) { return values(rows, cols, 0.0f, 1.0f / std::sqrt(static_cast<float>(cols))); };
  const auto norm = [&](int64_t n) { return values(1, n, 1.0f, 0.3f); };
  const auto compressor = [&](int64_t h) {
    const int64_t raw = (a.overlap ? 2 : 1) * h;
    return CaseWeights::Compressor{matrix(raw, c.hidden), matrix(raw, c.hidden), values(a.ratio, raw, 0.0f, 0.5f), norm(h)};
  };
  CaseWeights w;
  const int64_t width = a.heads * a.head_dim;
  w.wq_a = matrix(c.q_rank, c.hidden);
  w.q_norm = norm(c.q_rank);
  w.wq_b = matrix(width, c.q_rank);
  w.wkv = matrix(a.head_dim, c.hidden);
  w.kv_norm = norm(a.head_dim);
  w.sinks = values(1, a.heads, 0.0f, 2.0f);
  for (int64_t g = 0; g < a.groups; ++g) w.wo_a.push_back(matrix(c.o_rank, width / a.groups));
  w.wo_b = matrix(c.hidden, a.groups * c.o_rank);
  if (a.ratio > 0) w.compressor = compressor(a.head_dim);
  if (a.overlap) {
    w.index_wq_b = matrix(a.index_heads * a.index_head_dim, c.q_rank);
    w.weights_proj = matrix(a.index_heads, c.hidden);
    w.index_compressor = compressor(a.index_head_dim);
  }
  for (int64_t j = 0; j < a.rope_dim / 2; ++j) {
    w.frequencies.push_back(static_cast<float>(std::pow(100.0, -2.0 * static_cast<double>(j) / static_cast<double>(a.rope_dim))));
  }
  return w;
}

/// The weights in the op's order.
inline std::vector<const Values*> in_order(const CaseWeights& w, const AttentionAttributes& a) {
  std::vector<const Values*> all = {&w.wq_a, &w.q_norm, &w.wq_b, &w.wkv, &w.kv_norm, &w.sinks};
  for (const Values& group : w.wo_a) all.push_back(&group);
  all.push_back(&w.wo_b);
  const auto compressor = [&](const CaseWeights::Compressor& c) { all.insert(all.end(), {&c.wkv, &c.wgate, &c.ape, &c.norm}); };
  if (a.ratio > 0) compressor(w.compressor);
  if (a.overlap) {
    all.insert(all.end(), {&w.index_wq_b, &w.weights_proj});
    compressor(w.index_compressor);
  }
  return all;
}

/// Float32 whatever the model's format.
inline bool is_exact(const CaseWeights& w, const Values* v) {
  return v == &w.q_norm || v == &w.kv_norm || v == &w.sinks || v == &w.compressor.ape || v == &w.compressor.norm ||
         v == &w.index_compressor.ape || v == &w.index_compressor.norm;
}

inline ov::OutputVector constant_of(const Values& values, bool as_vector) {
  const ov::Shape shape =
      as_vector ? ov::Shape{values.values.size()} : ov::Shape{static_cast<size_t>(values.rows), static_cast<size_t>(values.cols)};
  return {ov::op::v0::Constant::create(ov::element::f32, shape, values.values)};
}

inline WeightInputs weight_inputs(const CaseWeights& w, const AttentionAttributes& a) {
  WeightInputs inputs;
  for (const Values* values : in_order(w, a)) inputs.add(constant_of(*values, is_exact(w, values) && values->rows == 1));
  return inputs;
}

/// The weights in a format, where they have the model's; `weights` become what that stands for. Groups of 32 columns.
inline WeightInputs packed_inputs(CaseWeights& weights, const AttentionAttributes& a, testing_blocks::Kind kind) {
  WeightInputs inputs;
  testing_blocks::Random random(7);
  for (const Values* values : in_order(weights, a)) {
    if (is_exact(weights, values)) {
      inputs.add(constant_of(*values, values->rows == 1));
      continue;
    }
    const auto packed = random.weight(kind, 0, values->rows, values->cols, 32, 1.0 / std::sqrt(static_cast<double>(values->cols)));
    const_cast<Values*>(values)->values.assign(packed.values.begin(), packed.values.end());
    inputs.add(packed.nodes);
  }
  return inputs;
}

inline CacheLayout layout_of(const AttentionCase& c, int64_t capacity) {
  const AttentionAttributes& a = c.attributes;
  CacheShape shape;
  shape.layers.assign(static_cast<size_t>(a.layer) + 2, CacheLayer{});  // neighbours of another kind
  shape.layers[static_cast<size_t>(a.layer)] = {a.ratio, a.overlap};
  shape.window = a.window;
  shape.head_dim = a.head_dim;
  shape.index_head_dim = a.index_head_dim;
  shape.capacity = capacity;
  shape.type = c.type;
  return CacheLayout(shape);
}

/// A cache with whatever is in memory: only the header is written.
inline ov::Tensor new_cache(const CacheLayout& layout) {
  ov::Tensor cache(ov::element::u8, {static_cast<size_t>(layout.bytes())});
  std::memset(cache.data(), 0x7F, cache.get_byte_size());  // floats and bf16 of 3.4e38
  layout.write_header(static_cast<std::byte*>(cache.data()));
  return cache;
}

inline std::vector<ov::Output<ov::Node>> parameters(const AttentionCase& c) {
  const auto parameter = [](ov::element::Type type, const ov::PartialShape& shape) {
    return std::make_shared<ov::op::v0::Parameter>(type, shape)->output(0);
  };
  return {parameter(ov::element::f32, {-1, c.hidden}), parameter(ov::element::i32, {-1, kRunNumbers}),
          parameter(ov::element::f32, {c.attributes.rope_dim / 2})};
}

inline CacheSlot slot_of(const ov::Tensor& cache) {
  return CacheSlot({static_cast<std::byte*>(const_cast<void*>(static_cast<const void*>(cache.data()))), cache.get_byte_size()});
}

inline ov::Tensor runs_tensor(const std::vector<std::array<int32_t, 4>>& runs) {
  ov::Tensor tensor(ov::element::i32, {runs.size(), 4});
  for (size_t i = 0; i < runs.size(); ++i) std::copy(runs[i].begin(), runs[i].end(), tensor.data<int32_t>() + 4 * i);
  return tensor;
}

/// evaluate() without a plugin.
class Runner {
 public:
  Runner(const AttentionCase& c, const CaseWeights& weights) : Runner(c, weights, weight_inputs(weights, c.attributes)) {}
  Runner(const AttentionCase& c, const CaseWeights& weights, const WeightInputs& all) : case_(c), frequencies_(weights.frequencies) {
    const auto inputs = parameters(c);
    op_ = std::make_shared<Attention>(inputs[0], inputs[1], inputs[2], all, c.attributes);
    for (const auto& node : all.nodes) {
      const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(node.get_node_shared_ptr());
      weights_.emplace_back(constant->get_element_type(), constant->get_shape(), const_cast<void*>(constant->get_data_ptr()));
      kept_.push_back(constant);
    }
  }

  /// x [n, D] of positions from `position` on.
  std::vector<float> run(const ov::Tensor& cache, const float* x, int64_t n, int64_t position) {
    const CacheSlot slot = slot_of(cache);
    return run({{0, static_cast<int32_t>(n), static_cast<int32_t>(position), slot.id()}}, x, n);
  }

  /// x [n, D] of these runs.
  std::vector<float> run(const std::vector<std::array<int32_t, 4>>& runs, const float* x, int64_t n) {
    ov::Tensor input(ov::element::f32, {static_cast<size_t>(n), static_cast<size_t>(case_.hidden)});
    std::memcpy(input.data(), x, input.get_byte_size());
    ov::TensorVector inputs = {input, runs_tensor(runs), ov::Tensor(ov::element::f32, {frequencies_.size()}, frequencies_.data())};
    inputs.insert(inputs.end(), weights_.begin(), weights_.end());
    ov::TensorVector outputs = {ov::Tensor(ov::element::f32, {0, static_cast<size_t>(case_.hidden)})};
    if (!op_->evaluate(outputs, inputs)) return {};
    const float* out = outputs[0].data<const float>();
    return {out, out + outputs[0].get_size()};
  }

  /// The whole of x [tokens, D] from position 0, in calls of these lengths.
  std::vector<float> run_all(const ov::Tensor& cache, const std::vector<float>& x, const std::vector<int64_t>& calls) {
    std::vector<float> out;
    int64_t position = 0;
    for (const int64_t n : calls) {
      const std::vector<float> part = run(cache, x.data() + position * case_.hidden, n, position);
      out.insert(out.end(), part.begin(), part.end());
      position += n;
    }
    return out;
  }

  const std::shared_ptr<Attention>& op() const { return op_; }

 private:
  AttentionCase case_;
  std::vector<float> frequencies_;
  std::shared_ptr<Attention> op_;
  ov::TensorVector weights_;
  std::vector<std::shared_ptr<ov::op::v0::Constant>> kept_;
};

inline std::vector<int64_t> by_one(int64_t tokens) { return std::vector<int64_t>(static_cast<size_t>(tokens), 1); }

inline std::vector<int64_t> random_calls(int64_t tokens, int64_t most, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int64_t> calls;
  while (tokens > 0) {
    calls.push_back(std::min<int64_t>(tokens, 1 + static_cast<int64_t>(random() % static_cast<uint32_t>(most))));
    tokens -= calls.back();
  }
  return calls;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Largest |a - b|, relative to the largest |b|; infinite if the sizes differ or a value is no number.
inline double difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size() || b.empty()) return HUGE_VAL;
  double most = 0.0, largest = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!std::isfinite(d)) return HUGE_VAL;
    most = std::max(most, d);
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return most / largest;
}

/// The layer over x [tokens, D] from the formulas, without a cache; rows rounded as the case's cache keeps them. In attention_formulas.cpp.
std::vector<float> formulas(const AttentionCase& c, const CaseWeights& w, const std::vector<float>& x);

}  // namespace dsv4::ops::testing
