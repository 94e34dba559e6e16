// What the fuzz target of the CPU program's operations runs: an operation from text, as an IR of others could hold it. Whatever its attribute `parts` says, it is refused by
// ov::Exception, or it computes within the memory that it was given.
#pragma once

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "fuzz/targets.h"
#include "openvino/op/parameter.hpp"
#include "ops/attention/attention.h"
#include "ops/attention/cache_pool.h"
#include "ops/attention/runs.h"
#include "ops/embed/embed.h"
#include "ops/experts/experts.h"
#include "ops/hyper_connect/hyper_connect.h"
#include "ops/linear/linear.h"

namespace dsv4::fuzz {

/// "experts k=2 tokens=3 bytes4=17 2 3 1 4 8 8 ...": the operation, attributes and other numbers by name, and the numbers of `parts`.
struct OpText {
  std::string op;
  std::map<std::string, int64_t> numbers;
  std::vector<int64_t> parts;

  explicit OpText(std::string_view text) {
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find_first_of(" \n", begin), text.size());
      add(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  int64_t number(const std::string& name, int64_t otherwise) const {
    const auto found = numbers.find(name);
    return found == numbers.end() ? otherwise : found->second;
  }
  int64_t part(size_t weight, size_t field) const {
    return parts.at(8 * weight + field);
  }  // inputs, type, count, rows, cols, group, rows of a group, type of scales

 private:
  void add(std::string_view word) {
    const size_t equal = word.find('=');
    int64_t value = 0;
    const std::string_view digits = equal == std::string_view::npos ? word : word.substr(equal + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const bool is_number = error == std::errc() && end == digits.data() + digits.size();
    if (equal != std::string_view::npos) {
      if (is_number) numbers[std::string(word.substr(0, equal))] = value;
    } else if (is_number) {
      parts.push_back(value);
    } else if (!word.empty()) {
      op = word;
    }
  }
};

/// Sizes of the inputs that `parts` announces, by the definition of packed weights; a size that no memory has is 2^40.
inline std::vector<int64_t> input_bytes(const OpText& text) {
  constexpr double kHuge = 1099511627776.0;
  constexpr double kBits[] = {32, 16, 16, 8, 8, 4, 4, 4, 8};
  std::vector<int64_t> sizes;
  for (size_t weight = 0; 8 * weight + 7 < text.parts.size() && sizes.size() < 64; ++weight) {
    const int64_t inputs = text.part(weight, 0), type = text.part(weight, 1), group = text.part(weight, 5);
    const int64_t together = text.part(weight, 6), scale = text.part(weight, 7);
    const double bits = type >= 0 && type < 9 ? kBits[type] : 8;
    const double matrices = static_cast<double>(text.part(weight, 2)) * static_cast<double>(text.part(weight, 3)),
                 cols = static_cast<double>(text.part(weight, 4));
    const double groups = group > 0 ? matrices * std::floor(cols / static_cast<double>(group)) : 0.0;
    const double bytes[] = {matrices * std::ceil(cols * bits / 8),
                            std::floor(groups / static_cast<double>(together > 0 ? together : 1)) * (scale == 9   ? 1
                                                                                                     : scale == 0 ? 4
                                                                                                                  : 2),
                            std::ceil(groups * bits / 8)};
    for (int64_t input = 0; input < std::clamp<int64_t>(inputs, 0, 3); ++input) {
      sizes.push_back(static_cast<int64_t>(std::clamp(bytes[input], 0.0, kHuge)));
    }
  }
  for (size_t i = 0; i < sizes.size(); ++i)
    sizes[i] = std::clamp<int64_t>(text.number("bytes" + std::to_string(i), sizes[i]), 0, int64_t{1} << 40);
  return sizes;
}

/// The operation, its inputs' tensors as a caller would have them, and the number of its outputs.
class FuzzedOp {
 public:
  explicit FuzzedOp(const OpText& text) : text_(text), tokens_(std::clamp<int64_t>(text.number("tokens", 3), 0, 40)) {
    weights_.parts = text.parts;
    for (const int64_t bytes : input_bytes(text)) {
      weights_.nodes.push_back(std::make_shared<ov::op::v0::Parameter>(ov::element::u8, ov::PartialShape{bytes}));
      bytes_.push_back(bytes);
      total_ += bytes;
    }
  }

  /// ov::Exception when the operation refuses what it is given.
  void make() {
    const std::string& op = text_.op;
    if (op == "linear") {
      node_ = std::make_shared<ops::Linear>(f32({-1, -1}), weights_, mode());
    } else if (op == "embed") {
      node_ = std::make_shared<ops::Embed>(i32({-1}), weights_, text_.number("hc", 2));
    } else if (op == "experts") {
      ops::ExpertsAttributes a;
      a.hash_routed = text_.number("hash", 0) != 0;
      a.experts_per_token = text_.number("k", 2);
      a.swiglu_limit = static_cast<double>(text_.number("limit", 0));
      a.prefetch = text_.number("prefetch", 0) != 0;
      a.mode = mode();
      const auto selection = a.hash_routed ? i32({-1, -1}) : f32({-1});
      node_ = std::make_shared<ops::Experts>(f32({-1, -1}), i32({-1}), selection, weights_, a);
    } else if (op == "attention") {
      node_ = std::make_shared<ops::Attention>(f32({-1, -1}), i32({-1, ops::kRunNumbers}), f32({-1}), weights_, attention());
    } else if (op == "connect") {
      node_ = std::make_shared<ops::HyperConnect>(f32({-1, -1, -1}), nullptr, weights_, hyper_connect());
    } else if (op == "head") {
      const ops::PendingPost pending{f32({-1, -1}), f32({-1, -1}), f32({-1, -1, -1})};
      node_ = std::make_shared<ops::HyperConnectHead>(f32({-1, -1, -1}), pending, i32({-1}), weights_, hyper_connect());
    } else {
      OPENVINO_THROW("no such operation");
    }
  }

  /// One call with random inputs, where they are small enough; ov::Exception when it refuses their values.
  void compute() {
    if (total_ > (1 << 20)) return;
    const auto n = [](int64_t dim) { return static_cast<size_t>(dim); };
    const size_t t = n(tokens_);
    ov::TensorVector inputs;
    const auto floats = [&](const ov::Shape& shape) {
      inputs.push_back(filled<float>(ov::element::f32, shape, [&] { return static_cast<float>(below(2001)) / 1000.0f - 1.0f; }));
    };
    const auto ids = [&](const ov::Shape& shape, int64_t limit) {
      inputs.push_back(filled<int32_t>(ov::element::i32, shape, [&] {
        return static_cast<int32_t>(below(std::max<int64_t>(limit, 1))) + (text_.number("beyond", 0) != 0 ? 1 : 0);
      }));
    };
    const std::string& op = text_.op;
    if (op == "linear") {
      floats({t, n(text_.part(0, 4))});
    } else if (op == "embed") {
      ids({t}, text_.part(0, 3));
    } else if (op == "experts") {
      const int64_t experts = text_.part(0, 3), k = text_.number("k", 2), vocabulary = 5;
      floats({t, n(text_.part(0, 4))});
      ids({t}, vocabulary);
      text_.number("hash", 0) != 0 ? ids({n(vocabulary), n(k)}, experts) : floats({n(experts)});
    } else if (op == "attention") {
      if (!add_attention_inputs(inputs)) return;
    } else {
      const int64_t hc = std::clamp<int64_t>(text_.number("hc", 2), 1, 64), width = text_.part(0, 4) / hc;
      floats({t, n(hc), n(width)});
      if (op == "head") {
        floats({t, n(width)});
        floats({t, n(hc)});
        floats({t, n(hc), n(hc)});
        ids({2}, tokens_);
      }
    }
    for (const int64_t bytes : bytes_)
      inputs.push_back(filled<uint8_t>(ov::element::u8, {n(bytes)}, [&] { return static_cast<uint8_t>(below(256)); }));
    ov::TensorVector outputs;
    for (size_t i = 0; i < node_->get_output_size(); ++i) outputs.emplace_back(ov::element::f32, ov::Shape{0});
    require(node_->evaluate(outputs, inputs), "an operation computes or throws");
  }

 private:
  static std::shared_ptr<ov::Node> parameter(ov::element::Type type, const ov::PartialShape& shape) {
    return std::make_shared<ov::op::v0::Parameter>(type, shape);
  }
  static std::shared_ptr<ov::Node> f32(const ov::PartialShape& shape) { return parameter(ov::element::f32, shape); }
  static std::shared_ptr<ov::Node> i32(const ov::PartialShape& shape) { return parameter(ov::element::i32, shape); }

  ActivationRounding mode() const { return text_.number("int8", 0) != 0 ? ActivationRounding::kInt8 : ActivationRounding::kF32; }
  ops::HyperConnectAttributes hyper_connect() const { return {std::clamp<int64_t>(text_.number("iterations", 3), -1, 1000), 1e-6, 1e-6}; }
  ops::AttentionAttributes attention() const {
    ops::AttentionAttributes a;
    a.layer = text_.number("layer", 0);
    a.heads = text_.number("heads", 2);
    a.head_dim = text_.number("head_dim", 8);
    a.rope_dim = text_.number("rope_dim", 4);
    a.groups = text_.number("groups", 2);
    a.window = text_.number("window", 4);
    a.ratio = text_.number("ratio", 0);
    a.overlap = text_.number("overlap", 0) != 0;
    a.index_heads = text_.number("index_heads", 2);
    a.index_head_dim = text_.number("index_head_dim", 8);
    a.index_topk = text_.number("index_topk", 2);
    a.mode = mode();
    a.quantize_cache = text_.number("quantize_cache", 0) != 0;
    return a;
  }

  /// With caches of the operation's own shape; of the first one's header a byte may be another.
  bool add_attention_inputs(ov::TensorVector& inputs) {
    const ops::AttentionAttributes a = attention();
    if (a.layer > 100 || a.window > 1000 || a.head_dim > 1000 || a.index_head_dim > 1000 || a.ratio > 1000 || a.rope_dim > 1000)
      return false;
    ops::CacheShape shape;
    shape.layers.assign(static_cast<size_t>(a.layer) + 1, {a.ratio, a.overlap});
    shape.window = a.window;
    shape.head_dim = a.head_dim;
    shape.index_head_dim = a.overlap ? a.index_head_dim : 0;
    shape.capacity = 64;
    shape.type = text_.number("bf16", 0) != 0 ? CachePrecision::kBF16 : CachePrecision::kF32;
    const ops::CacheLayout layout(shape);
    ov::Tensor cache(ov::element::u8, {static_cast<size_t>(layout.bytes())});
    std::fill_n(cache.data<uint8_t>(), cache.get_size(), uint8_t{0});
    layout.write_header(reinterpret_cast<std::byte*>(cache.data<uint8_t>()));
    const int64_t at = text_.number("header", -1);
    if (at >= 0 && at < static_cast<int64_t>(cache.get_size())) cache.data<uint8_t>()[at] ^= static_cast<uint8_t>(1u << (at % 8));
    inputs.push_back(filled<float>(ov::element::f32, {static_cast<size_t>(tokens_), static_cast<size_t>(text_.part(0, 4))},
                                   [&] { return static_cast<float>(below(2001)) / 1000.0f - 1.0f; }));
    cache_ = cache;
    slot_.emplace(std::span(static_cast<std::byte*>(cache_.data()), cache_.get_byte_size()));
    // One run, or two of which the second may be none: its numbers are off by those of the text.
    second_cache_ = ov::Tensor(ov::element::u8, {static_cast<size_t>(layout.bytes())});
    std::fill_n(second_cache_.data<uint8_t>(), second_cache_.get_size(), uint8_t{0});
    layout.write_header(static_cast<std::byte*>(second_cache_.data()));
    second_slot_.emplace(std::span(static_cast<std::byte*>(second_cache_.data()), second_cache_.get_byte_size()));
    const auto off = [&](const char* name) { return static_cast<int32_t>(text_.number(name, 0)); };
    const auto tokens = static_cast<int32_t>(tokens_), split = std::clamp(off("split"), 0, tokens);
    std::vector<int32_t> numbers = {0, split > 0 ? split : tokens, off("position"), slot_->id()};
    if (split > 0) {
      const auto wrapped = [](int32_t number, int32_t by) {
        return static_cast<int32_t>(static_cast<uint32_t>(number) + static_cast<uint32_t>(by));
      };
      const int32_t second[] = {wrapped(split, off("gap")), wrapped(tokens - split, off("more")), off("position2"),
                                wrapped(second_slot_->id(), off("slot"))};
      numbers.insert(numbers.end(), std::begin(second), std::end(second));
    }
    ov::Tensor runs(ov::element::i32, {numbers.size() / 4, static_cast<size_t>(ops::kRunNumbers)});
    std::copy(numbers.begin(), numbers.end(), runs.data<int32_t>());
    inputs.push_back(runs);
    inputs.push_back(
        filled<float>(ov::element::f32, {static_cast<size_t>(a.rope_dim / 2)}, [&] { return static_cast<float>(below(1001)) / 1000.0f; }));
    return true;
  }

  int64_t below(int64_t limit) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(limit)); }

  template <class T, class F>
  static ov::Tensor filled(ov::element::Type type, const ov::Shape& shape, const F& value) {
    ov::Tensor tensor(type, shape);
    std::generate_n(static_cast<T*>(tensor.data()), tensor.get_size(), value);
    return tensor;
  }

  const OpText& text_;
  int64_t tokens_;
  ops::WeightInputs weights_;
  std::vector<int64_t> bytes_;
  int64_t total_ = 0;
  std::shared_ptr<ov::Node> node_;
  ov::Tensor cache_, second_cache_;
  std::optional<ops::CacheSlot> slot_, second_slot_;
  std::mt19937_64 random_{1};
};

/// Tells whether the operation took it and computed.
inline bool weight_parts(std::span<const uint8_t> bytes) {
  const OpText text(text_of(bytes));
  FuzzedOp op(text);
  try {
    op.make();
  } catch (const ov::Exception&) {
    return false;
  }
  try {
    op.compute();
  } catch (const ov::Exception&) {
    return false;
  }
  return true;
}

}  // namespace dsv4::fuzz
