// The reference against an executable float64 model: tiny sizes, compress rates 4 and 16, weights as an F32 checkpoint.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "checkpoint/checkpoint.h"
#include "reference/golden_data.h"
#include "reference/reference.h"

namespace dsv4 {
namespace {

using nlohmann::json;

template <class T>
void append(std::string& bytes, const std::vector<T>& values) {
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

/// Numbers of any nesting, depth first.
template <class T>
void collect(const json& value, std::vector<T>& out) {
  if (!value.is_array()) return out.push_back(value.get<T>());
  for (const json& item : value) collect(item, out);
}

template <class T>
std::vector<T> flat(const json& value) {
  std::vector<T> out;
  collect(value, out);
  return out;
}

std::vector<int64_t> shape_of(const json& value) {
  std::vector<int64_t> shape;
  for (const json* level = &value; level->is_array(); level = &level->front()) shape.push_back(static_cast<int64_t>(level->size()));
  return shape;
}

void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  if (!out) throw std::runtime_error("cannot write " + path.string());
}

/// Every weight as F32 (hash tables as I64): the values are multiples of 2^-12, hence exact.
void write_weights(const json& weights, const std::filesystem::path& path) {
  json header;
  std::string data;
  for (const auto& [name, value] : weights.items()) {
    const size_t begin = data.size();
    const bool table = name.ends_with("tid2eid");
    if (table) {
      append(data, flat<int64_t>(value));
    } else {
      append(data, flat<float>(value));
    }
    header[name] = {{"dtype", table ? "I64" : "F32"}, {"shape", shape_of(value)}, {"data_offsets", {begin, data.size()}}};
  }
  const std::string text = header.dump();
  std::string file;
  append(file, std::vector<uint64_t>{text.size()});
  write_file(path, file + text + data);
}

/// The oracle's config (DeepSeek's inference names) as a published config.json.
json published_config(const json& c) {
  return {
      {"architectures", {"DeepseekV4ForCausalLM"}},
      {"model_type", "deepseek_v4"},
      {"vocab_size", c["vocab_size"]},
      {"hidden_size", c["dim"]},
      {"num_hidden_layers", c["n_layers"]},
      {"num_hash_layers", c["n_hash_layers"]},
      {"num_attention_heads", c["n_heads"]},
      {"num_key_value_heads", 1},
      {"head_dim", c["head_dim"]},
      {"qk_rope_head_dim", c["rope_head_dim"]},
      {"q_lora_rank", c["q_lora_rank"]},
      {"o_groups", c["o_groups"]},
      {"o_lora_rank", c["o_lora_rank"]},
      {"sliding_window", c["window_size"]},
      {"compress_ratios", c["compress_ratios"]},
      {"n_routed_experts", c["n_routed_experts"]},
      {"num_experts_per_tok", c["n_activated_experts"]},
      {"n_shared_experts", 1},
      {"moe_intermediate_size", c["moe_inter_dim"]},
      {"routed_scaling_factor", c["route_scale"]},
      {"swiglu_limit", c["swiglu_limit"]},
      {"index_n_heads", c["index_n_heads"]},
      {"index_head_dim", c["index_head_dim"]},
      {"index_topk", c["index_topk"]},
      {"rope_theta", c["rope_theta"]},
      {"compress_rope_theta", c["compress_rope_theta"]},
      {"rope_scaling",
       {{"type", "yarn"},
        {"factor", c["rope_factor"]},
        {"original_max_position_embeddings", c["original_seq_len"]},
        {"beta_fast", c["beta_fast"]},
        {"beta_slow", c["beta_slow"]}}},
      {"max_position_embeddings", 1024},
      {"hc_mult", c["hc_mult"]},
      {"hc_sinkhorn_iters", c["hc_sinkhorn_iters"]},
      {"hc_eps", c["hc_eps"]},
      {"rms_norm_eps", c["norm_eps"]},
      {"num_nextn_predict_layers", 1},
      {"scoring_func", "sqrtsoftplus"},
      {"topk_method", "noaux_tc"},
      {"norm_topk_prob", true},
      {"hidden_act", "silu"},
      {"bos_token_id", 0},
      {"eos_token_id", 1},
  };
}

/// Both flattened; the tolerance is relative to the largest expected value.
void expect_close(const float* actual, const std::vector<double>& expected, double relative, const std::string& what) {
  double scale = 0.0, max = 0.0;
  for (size_t i = 0; i < expected.size(); ++i) {
    scale = std::max(scale, std::fabs(expected[i]));
    max = std::max(max, std::fabs(actual[i] - expected[i]));
  }
  EXPECT_GT(scale, 0.0) << what;
  EXPECT_LT(max, relative * scale) << what;
}

class Oracle : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    golden_ = new json(dsv4_test::read_json(dsv4_test::data_directory() / "oracle" / "golden_tiny.json"));
    directory_ = std::filesystem::temp_directory_path() / ("dsv4-oracle-" + std::to_string(::getpid()));
    std::filesystem::create_directory(directory_);
    write_file(directory_ / "config.json", published_config((*golden_)["config"]).dump(2));
    write_weights((*golden_)["weights"], directory_ / "model.safetensors");
    trace_ = new ReferenceTrace;
    const Checkpoint checkpoint = Checkpoint::open(directory_);
    logits_ = Reference(checkpoint).logits((*golden_)["tokens"].get<std::vector<int64_t>>(), trace_);
  }

  static void TearDownTestSuite() {
    std::filesystem::remove_all(directory_);
    delete golden_;
    delete trace_;
  }

  static inline json* golden_ = nullptr;
  static inline ReferenceTrace* trace_ = nullptr;
  static inline std::vector<float> logits_;
  static inline std::filesystem::path directory_;
};

TEST_F(Oracle, LogitsAgreeAtEveryPosition) {
  const auto expected = flat<double>((*golden_)["logits"]);
  ASSERT_EQ(logits_.size(), expected.size());
  expect_close(logits_.data(), expected, 1e-5, "logits");
}

TEST_F(Oracle, StreamsOfTheLastTokenAgreeAfterEveryLayer) {
  const json& layers = (*golden_)["streams_after_layer"];
  ASSERT_EQ(trace_->streams.size(), layers.size());
  for (size_t l = 0; l < layers.size(); ++l) {
    const auto expected = flat<double>(layers[l]);
    const std::vector<float>& streams = trace_->streams[l];
    ASSERT_EQ(streams.size(), (*golden_)["tokens"].size() * expected.size());
    expect_close(streams.data() + streams.size() - expected.size(), expected, 1e-5, "layer " + std::to_string(l));
  }
}

TEST_F(Oracle, TheIndexerSelectsTheSameEntries) {
  int64_t dropped = 0;
  for (const auto& [layer, expected] : (*golden_)["indexer_selection"].items()) {
    const auto& selection = trace_->index_selection[std::stoul(layer)];
    const auto want = expected.get<std::vector<std::vector<int32_t>>>();
    EXPECT_EQ(selection, want) << "layer " << layer;
    for (size_t t = 0; t < want.size(); ++t) dropped += static_cast<int64_t>((t + 1) / 4 - want[t].size());
  }
  EXPECT_GT(dropped, 0) << "the golden no longer exercises the selection";
}

TEST_F(Oracle, OtherLayersReportNoSelection) {
  for (const size_t l : {size_t{0}, size_t{2}, size_t{4}}) EXPECT_TRUE(trace_->index_selection[l].empty()) << "layer " << l;
}

}  // namespace
}  // namespace dsv4
