// write_op_model FOLDER: a small model of our ops as model.xml and model.bin, its input (ids.bin i32) and what it gives in this process (logits.bin f32).
// Attention is beside the path from ids to logits, for its caches belong to the process that runs it.
#include <fstream>
#include <iostream>

#include "openvino/core/graph_util.hpp"
#include "openvino/core/model.hpp"
#include "openvino/pass/serialize.hpp"
#include "ops/attention_case.h"
#include "ops/block_support.h"
#include "ops/embed/embed.h"
#include "ops/experts/experts.h"
#include "ops/hyper_connect/hyper_connect.h"
#include "ops/linear/linear.h"

namespace {

using namespace dsv4::ops;
using namespace dsv4::ops::testing_blocks;
using dsv4::ActivationRounding;

constexpr int64_t kStreams = 4, kWidth = 64, kInner = 32, kExperts = 6, kPerToken = 2, kVocabulary = 40;
const HyperConnectAttributes kConnect{.iterations = 20, .eps = 1e-6, .norm_eps = 1e-6};

WeightInputs site(Random& random, Kind kind, bool head) {
  const int64_t outputs = head ? kStreams : (2 + kStreams) * kStreams;
  WeightInputs weights;
  weights.add(random.weight(kind, 0, outputs, kStreams * kWidth, 32, 0.05).nodes);
  weights.add(random.exact(outputs, 0.0, 0.5).nodes);
  weights.add(random.exact(head ? 1 : 3, 1.0, 0.1).nodes);
  weights.add(random.exact(kWidth, 1.0, 0.1).nodes);
  return weights;
}

ov::Output<ov::Node> experts(Random& random, const ov::Output<ov::Node>& x, const ov::Output<ov::Node>& ids, Kind kind, bool hashed) {
  WeightInputs weights;
  weights.add(random.weight(kind, 0, kExperts, kWidth, 32, 0.2).nodes);
  weights.add(random.weight(kind, kExperts, 2 * kInner, kWidth, 32, 0.2).nodes, MatrixForm::kStack);
  weights.add(random.weight(kind, kExperts, kWidth, kInner, 32, 0.2).nodes, MatrixForm::kStack);
  weights.add(random.weight(kind, 0, kInner, kWidth, 32, 0.2).nodes);
  weights.add(random.weight(kind, 0, kInner, kWidth, 32, 0.2).nodes);
  weights.add(random.weight(kind, 0, kWidth, kInner, 32, 0.2).nodes);
  std::vector<int32_t> table;
  for (int64_t i = 0; i < kVocabulary * kPerToken; ++i) table.push_back(random.integer(0, kExperts - 1));
  const ov::Output<ov::Node> selection = hashed ? constant(ov::element::i32, {kVocabulary, kPerToken}, table)->output(0)
                                                : constant(ov::element::f32, {kExperts}, random.floats(kExperts, 0.3))->output(0);
  const ExpertsAttributes attributes{.hash_routed = hashed,
                                     .experts_per_token = kPerToken,
                                     .scaling_factor = 1.5,
                                     .swiglu_limit = 10.0,
                                     .mode = hashed ? ActivationRounding::kInt8 : ActivationRounding::kF32,
                                     .prefetch = hashed};
  return std::make_shared<Experts>(x, ids, selection, weights, attributes);
}

const dsv4::ops::testing::AttentionCase& attention_case() {
  static const dsv4::ops::testing::AttentionCase instance = [] {
    dsv4::ops::testing::AttentionCase c;
    c.hidden = kWidth;
    c.attributes = {.layer = 1,
                    .heads = 4,
                    .head_dim = 16,
                    .rope_dim = 8,
                    .groups = 2,
                    .window = 4,
                    .ratio = 4,
                    .overlap = true,
                    .index_heads = 2,
                    .index_head_dim = 8,
                    .index_topk = 2};
    return c;
  }();
  return instance;
}

std::shared_ptr<ov::Model> model() {
  Random random(1);
  const auto ids = parameter(ov::element::i32, {-1});
  WeightInputs table;
  table.add(random.weight(Kind::kU8, 0, kVocabulary, kWidth, 0, 1.0).nodes);
  ov::Output<ov::Node> streams = std::make_shared<Embed>(ids, table, kStreams);
  const dsv4::ops::testing::AttentionCase& c = attention_case();
  const dsv4::ops::testing::CaseWeights attention = dsv4::ops::testing::random_weights(c);
  const auto x = parameter(ov::element::f32, {-1, kWidth}), runs = parameter(ov::element::i32, {-1, kRunNumbers});
  const auto begin = std::make_shared<HyperConnect>(streams, nullptr, site(random, Kind::kBF16, false), kConnect);
  streams = begin->output(3);
  const auto attended =
      std::make_shared<Attention>(x, runs, constant(ov::element::f32, {attention.frequencies.size()}, attention.frequencies),
                                  dsv4::ops::testing::weight_inputs(attention, c.attributes), c.attributes);
  PendingPost pending{begin->output(0), begin->output(1), begin->output(2)};
  bool hashed = true;
  for (const Kind kind : {Kind::kF16, Kind::kU4, Kind::kF4E2M1, Kind::kI8}) {
    const auto connect = std::make_shared<HyperConnect>(streams, &pending, site(random, kind, false), kConnect);
    streams = connect->output(3);
    pending = {experts(random, connect->output(0), ids, kind, hashed), connect->output(1), connect->output(2)};
    hashed = false;
  }
  const auto last = constant(ov::element::i32, {2}, std::vector<int32_t>{10, 0});
  const auto hidden = std::make_shared<HyperConnectHead>(streams, pending, last, site(random, Kind::kF32, true), kConnect);
  WeightInputs head;
  head.add(random.weight(Kind::kI4, 0, kVocabulary, kWidth, 32, 0.2).nodes);
  const auto logits = std::make_shared<Linear>(hidden, head, ActivationRounding::kF32);
  ids->output(0).set_names({"ids"});
  x->output(0).set_names({"x"});
  runs->output(0).set_names({"runs"});
  attended->output(0).set_names({"attended"});
  logits->output(0).set_names({"logits"});
  return std::make_shared<ov::Model>(ov::OutputVector{logits, attended}, ov::ParameterVector{ids, x, runs});
}

void write(const std::string& path, const ov::Tensor& values) {
  std::ofstream file(path, std::ios::binary);
  file.write(static_cast<const char*>(values.data()), static_cast<std::streamsize>(values.get_byte_size()));
  if (!file.flush()) throw std::runtime_error(path + " cannot be written");
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) throw std::runtime_error("usage: write_op_model FOLDER");
  const std::string folder = argv[1];
  const auto ops = model();
  ov::serialize(ops, folder + "/model.xml", folder + "/model.bin");
  ov::Core core;
  ov::InferRequest request = core.compile_model(ops, "CPU", ov::hint::inference_precision(ov::element::f32)).create_infer_request();
  const ov::Tensor ids = tensor(ov::element::i32, {11}, std::vector<int32_t>{3, 39, 0, 17, 17, 8, 1, 22, 22, 5, 30});
  write(folder + "/ids.bin", ids);
  request.set_tensor("ids", ids);
  request.set_tensor("x", ov::Tensor(ov::element::f32, {0, static_cast<size_t>(kWidth)}));
  request.set_tensor("runs", ov::Tensor(ov::element::i32, {0, static_cast<size_t>(kRunNumbers)}));
  request.infer();
  write(folder + "/logits.bin", request.get_tensor("logits"));
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
