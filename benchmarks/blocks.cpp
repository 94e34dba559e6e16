// Time of the ops Embed, HyperConnect, HyperConnectHead and Experts, at toy and at V4-Flash dimensions, for one token and for 512: evaluate() alone, without
// the CPU plugin. One JSON object a line on standard output. Usage: bench_blocks [REPEATS [START]], of lines
// "DIMENSIONS OP" that begin with START. All threads of the process' arena: taskset limits them.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "openvino/core/parallel.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/parameter.hpp"
#include "ops/embed/embed.h"
#include "ops/experts/experts.h"
#include "ops/hyper_connect/hyper_connect.h"
#include "processor_time.h"

namespace {

using namespace dsv4::ops;
using dsv4::ActivationRounding;

struct Dimensions {
  const char* name;
  int64_t width, inner, experts, per_token, vocabulary;
};

constexpr int64_t kStreams = 4, kGroup = 32;

std::mt19937 generator(1);
std::string start_of_names;

/// Whether something that `name` begins is to be measured, or begins with what is.
bool wanted(const Dimensions& dims, const std::string& name) {
  const std::string whole = std::string(dims.name) + " " + name;
  const size_t shorter = std::min(whole.size(), start_of_names.size());
  return whole.compare(0, shorter, start_of_names, 0, shorter) == 0;
}

/// Random bits of matrices [count, rows, cols]: any are codes.
ov::OutputVector matrix(ov::element::Type type, int64_t count, int64_t rows, int64_t cols) {
  const auto dim = [](int64_t n) { return static_cast<size_t>(n); };
  ov::Shape shape = count > 0 ? ov::Shape{dim(count), dim(rows)} : ov::Shape{dim(rows)};
  const bool compressed = type.is_integral() || type == ov::element::f4e2m1;
  if (compressed) {
    shape.insert(shape.end(), {dim(cols / kGroup), dim(kGroup)});
  } else {
    shape.push_back(dim(cols));
  }
  const auto fill = [](ov::Tensor& tensor, const std::function<uint32_t()>& word) {
    auto* bytes = static_cast<std::byte*>(tensor.data());
    for (size_t i = 0; i < tensor.get_byte_size(); i += 4) {
      const uint32_t value = word();
      std::memcpy(bytes + i, &value, std::min<size_t>(4, tensor.get_byte_size() - i));
    }
  };
  ov::Tensor codes(type, shape);
  if (compressed) {
    fill(codes, [] { return static_cast<uint32_t>(generator()); });
  } else if (type == ov::element::f16) {
    fill(codes, [] { return (static_cast<uint32_t>(generator()) & 0x83FF83FFu) | 0x20002000u; });  // +-2^-7 .. 2^-6
  } else {
    fill(codes, [] { return (static_cast<uint32_t>(generator()) & 0x807FFFFFu) | 0x3C000000u; });  // the same
  }
  ov::OutputVector nodes = {std::make_shared<ov::op::v0::Constant>(codes)};
  if (compressed) {
    shape.back() = 1;
    const bool fp4 = type == ov::element::f4e2m1, asymmetric = type == ov::element::u4 || type == ov::element::u8;
    ov::Tensor scales(fp4 ? ov::element::f8e8m0 : ov::element::f16, shape);
    fill(scales, [fp4] { return fp4 ? 0x78787878u : 0x18001800u; });  // 2^-7, 2^-9
    nodes.push_back(std::make_shared<ov::op::v0::Constant>(scales));
    if (asymmetric) {
      ov::Tensor zero_points(type, shape);
      fill(zero_points, [] { return 0x88888888u; });
      nodes.push_back(std::make_shared<ov::op::v0::Constant>(zero_points));
    }
  }
  return nodes;
}

ov::OutputVector exact(int64_t n, float value) {
  return {ov::op::v0::Constant::create(ov::element::f32, {static_cast<size_t>(n)}, std::vector<float>(static_cast<size_t>(n), value))};
}

ov::Tensor floats(const ov::Shape& shape) {
  ov::Tensor tensor(ov::element::f32, shape);
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < tensor.get_size(); ++i) tensor.data<float>()[i] = normal(generator);
  return tensor;
}

ov::Tensor integers(size_t n, int64_t below) {
  ov::Tensor tensor(ov::element::i32, {n});
  for (size_t i = 0; i < n; ++i) tensor.data<int32_t>()[i] = static_cast<int32_t>(generator() % static_cast<uint32_t>(below));
  return tensor;
}

std::shared_ptr<ov::op::v0::Parameter> parameter(ov::element::Type type, const ov::PartialShape& shape) {
  return std::make_shared<ov::op::v0::Parameter>(type, shape);
}

/// Runs `op` with `given` in place of its parameters; `renew` changes the inputs before each run, untimed.
void measure(const std::string& name, const Dimensions& dims, int64_t tokens, int repeats, const ov::Node& op,
             const ov::TensorVector& given, int64_t bytes, const std::function<void()>& renew) {
  if (!wanted(dims, name)) return;
  ov::TensorVector inputs;
  size_t next = 0;
  for (size_t i = 0; i < op.get_input_size(); ++i) {
    const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(op.get_input_node_shared_ptr(i));
    inputs.push_back(constant ? constant->get_tensor_view() : given.at(next++));
  }
  ov::TensorVector outputs;
  for (size_t i = 0; i < op.get_output_size(); ++i) outputs.emplace_back(ov::element::f32, ov::Shape{0});
  std::vector<double> times;
  double processor = 1e30;  // time of all threads, which other users of the machine do not lengthen
  for (int i = 0; i <= repeats; ++i) {
    renew();
    const double processor_begin = processor_microseconds();
    const auto begin = std::chrono::steady_clock::now();
    if (!op.evaluate(outputs, inputs)) std::abort();
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count());
    processor = std::min(processor, processor_microseconds() - processor_begin);
  }
  times.erase(times.begin());  // its memory was allocated
  std::sort(times.begin(), times.end());
  std::printf("{\"op\": \"%s\", \"dimensions\": \"%s\", \"tokens\": %lld, \"us\": %.1f, \"median_us\": %.1f, \"processor_us\": %.1f",
              name.c_str(), dims.name, static_cast<long long>(tokens), times.front(), times[times.size() / 2], processor);
  if (bytes > 0) std::printf(", \"gigabytes_per_second\": %.2f", static_cast<double>(bytes) / times.front() * 1e-3);
  std::printf(", \"threads\": %d}\n", parallel_get_max_threads());
  std::fflush(stdout);
}

void measure_hyper_connect(const Dimensions& dims, int64_t tokens, int repeats) {
  const size_t t = static_cast<size_t>(tokens), hc = static_cast<size_t>(kStreams), d = static_cast<size_t>(dims.width);
  const ov::TensorVector state = {floats({t, hc, d}), floats({t, d}), floats({t, hc}), floats({t, hc, hc})};
  const ov::Output<ov::Node> streams = parameter(ov::element::f32, {-1, kStreams, dims.width});
  const PendingPost pending{parameter(ov::element::f32, {-1, dims.width}), parameter(ov::element::f32, {-1, kStreams}),
                            parameter(ov::element::f32, {-1, kStreams, kStreams})};
  for (const ov::element::Type type : {ov::element::f32, ov::element::f16}) {
    for (const bool head : {false, true}) {
      const int64_t outputs = head ? kStreams : (2 + kStreams) * kStreams;
      WeightInputs weights;
      weights.add(matrix(type, 0, outputs, kStreams * dims.width));
      weights.add(exact(outputs, 0.1f));
      weights.add(exact(head ? 1 : 3, 1.0f));
      weights.add(exact(dims.width, 1.0f));
      if (head) {
        ov::TensorVector inputs = state;
        inputs.push_back(integers(1, tokens));
        const HyperConnectHead op(streams, pending, parameter(ov::element::i32, {-1}), weights, {});
        measure("HyperConnectHead " + type.to_string(), dims, tokens, repeats, op, inputs, 0, [] {});
      } else {
        measure("HyperConnect " + type.to_string(), dims, tokens, repeats, HyperConnect(streams, &pending, weights, {}), state, 0, [] {});
      }
    }
  }
}

void measure_experts(const Dimensions& dims, ov::element::Type type, int repeats) {
  if (!wanted(dims, "Experts " + type.to_string())) return;
  WeightInputs weights;
  weights.add(matrix(ov::element::f16, 0, dims.experts, dims.width));
  weights.add(matrix(type, dims.experts, 2 * dims.inner, dims.width), MatrixForm::kStack);
  weights.add(matrix(type, dims.experts, dims.width, dims.inner), MatrixForm::kStack);
  for (int i = 0; i < 2; ++i) weights.add(matrix(type, 0, dims.inner, dims.width));
  weights.add(matrix(type, 0, dims.width, dims.inner));
  int64_t bytes_of_a_token = 0;  // the router, K routed experts, the shared one
  for (size_t i = 0; i < weights.nodes.size(); ++i) {
    const int64_t bytes = weights.nodes[i].get_tensor().get_partial_shape()[0].get_length();
    const bool stacked = i >= 1 && i < 1 + static_cast<size_t>(weights.parts[6] + weights.parts[12]);
    bytes_of_a_token += stacked ? bytes / dims.experts * dims.per_token : bytes;
  }
  const auto inputs_of = [&](const ExpertsAttributes& attributes) {
    return Experts(parameter(ov::element::f32, {-1, dims.width}), parameter(ov::element::i32, {-1}), exact(dims.experts, 0.0f)[0], weights,
                   attributes);
  };
  for (const ActivationRounding mode : {ActivationRounding::kInt8, ActivationRounding::kF32}) {
    for (const bool prefetch : {false, true}) {
      for (const int64_t tokens : {1, 512}) {
        if (prefetch && tokens > 1) continue;
        const Experts op = inputs_of({.experts_per_token = dims.per_token, .swiglu_limit = 10.0, .mode = mode, .prefetch = prefetch});
        ov::Tensor x = floats({static_cast<size_t>(tokens), static_cast<size_t>(dims.width)});
        const int64_t bytes = tokens == 1 ? bytes_of_a_token : 0;
        const std::string name =
            "Experts " + type.to_string() + (mode == ActivationRounding::kInt8 ? " int8" : " f32") + (prefetch ? " prefetch" : "");
        measure(name, dims, tokens, tokens == 1 ? repeats : std::max(1, repeats / 20), op,
                {x, integers(static_cast<size_t>(tokens), dims.vocabulary)}, bytes, [&] {
                  std::normal_distribution<float> normal;
                  for (int64_t i = 0; i < std::min<int64_t>(dims.width * tokens, 4096); ++i) x.data<float>()[i] = normal(generator);
                });
      }
    }
  }
}

void measure_embed(const Dimensions& dims, int64_t tokens, int repeats) {
  WeightInputs table;
  table.add(matrix(ov::element::u8, 0, dims.vocabulary, dims.width));
  measure("Embed u8", dims, tokens, repeats, Embed(parameter(ov::element::i32, {-1}), table, kStreams),
          {integers(static_cast<size_t>(tokens), dims.vocabulary)}, 0, [] {});
}

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::max(1, std::atoi(argv[1])) : 100;
  if (argc > 2) start_of_names = argv[2];
  const Dimensions toy{"toy", 128, 64, 8, 2, 1000}, flash{"V4-Flash", 4096, 2048, 64, 6, 2000};
  for (const Dimensions& dims : {toy, flash}) {
    for (const int64_t tokens : {1, 512}) {
      measure_embed(dims, tokens, repeats);
      measure_hyper_connect(dims, tokens, tokens == 1 ? repeats : std::max(1, repeats / 10));
    }
    for (const ov::element::Type type : {ov::element::u4, ov::element::f4e2m1}) measure_experts(dims, type, repeats);
  }
}
