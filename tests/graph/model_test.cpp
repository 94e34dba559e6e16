// What the architecture asks of a program: which words, with which names, in which order; over a vocabulary that only writes them down.
#include "graph/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "openvino/op/parameter.hpp"

namespace dsv4 {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

class Recorder final : public Vocabulary {
 public:
  std::vector<std::string> said;

  Streams embed() override { return say("embed"), streams(); }
  HyperConnection hyper_connect_pre(const Streams& from, const std::string& site, const std::string& norm) override {
    read_.push_back(from.value);
    return say("pre " + site + " " + norm), HyperConnection{value(), from.value, value(), value()};
  }
  Streams hyper_connect_post(const HyperConnection& connection, const Value& output) override {
    say("post");
    EXPECT_TRUE(output.get_node_shared_ptr());
    EXPECT_EQ(connection.residual, read_.back()) << "a post belongs to the pre before it";
    return streams();
  }
  Value hyper_connect_head(const Streams& from, const std::string& site, const std::string& norm) override {
    read_.push_back(from.value);
    return say("head " + site + " " + norm), value();
  }
  Value attention(const Value&, const Block& block) override { return say("attention " + block.prefix, block), value(); }
  Value experts(const Value&, const Block& block) override { return say("experts " + block.prefix, block), value(); }
  Value logits(const Value&, const std::string& weight) override { return say("logits " + weight), value(); }
  std::shared_ptr<ov::Model> finish(const ModelOutputs&) override { return nullptr; }

  std::vector<Block> blocks;  ///< of attention and experts, by turns
  /// The streams that each pre and the head read, in order.
  const std::vector<Value>& read() const { return read_; }

  static Value value() { return std::make_shared<ov::op::v0::Parameter>(ov::element::f32, ov::PartialShape{1, 1, 8}); }
  static Streams streams() { return {value(), {}}; }

 private:
  void say(const std::string& what) { said.push_back(what); }
  void say(const std::string& what, const Block& block) {
    said.push_back(what);
    blocks.push_back(block);
  }

  std::vector<Value> read_;
};

Config toy() { return read_config(std::filesystem::path(DSV4_TEST_DATA) / "goldens" / "toy"); }

TEST(Block, NamesItsWeightsByItsPrefix) {
  Recorder words;
  block(words, Recorder::streams(), {"mtp.0", {LayerKind::kSliding, 0, false}, 7});
  EXPECT_THAT(words.said, ElementsAre("pre mtp.0.hc_attn mtp.0.attn_norm.weight", "attention mtp.0", "post",
                                      "pre mtp.0.hc_ffn mtp.0.ffn_norm.weight", "experts mtp.0", "post"));
  ASSERT_THAT(words.blocks, SizeIs(2));
  for (const Block& asked : words.blocks) EXPECT_EQ(asked.cache, 7);
}

TEST(Model, IsEmbeddingBlocksAndHead) {
  const Config config = toy();
  Recorder words;
  const ModelOutputs outputs = build_model(config, words);
  const auto layers = static_cast<size_t>(config.num_hidden_layers);
  ASSERT_THAT(words.said, SizeIs(1 + 6 * layers + 2));
  EXPECT_EQ(words.said.front(), "embed");
  EXPECT_EQ(words.said[words.said.size() - 2], "head hc_head norm.weight");
  EXPECT_EQ(words.said.back(), "logits head.weight");
  ASSERT_THAT(words.blocks, SizeIs(2 * layers));
  for (size_t i = 0; i < words.blocks.size(); ++i) {
    const Block& asked = words.blocks[i];
    EXPECT_EQ(asked.prefix, "layers." + std::to_string(i / 2));
    EXPECT_EQ(asked.cache, static_cast<int64_t>(i / 2));
    EXPECT_EQ(asked.kind.kind, config.layers[i / 2].kind);
    EXPECT_EQ(asked.kind.compress_ratio, config.layers[i / 2].compress_ratio);
  }
  EXPECT_EQ(outputs.streams.value, words.read().back()) << "the head reads the streams behind the last block";
  EXPECT_TRUE(outputs.logits.get_node_shared_ptr());
  EXPECT_THAT(outputs.taps, SizeIs(0));
}

TEST(Model, TapsAreTheStreamsThatTheNextBlockReads) {
  Recorder words;
  const ModelOutputs outputs = build_model(toy(), words, std::vector<int64_t>{0, 2});
  ASSERT_THAT(outputs.taps, SizeIs(2));
  EXPECT_EQ(outputs.taps[0].value, words.read()[2]) << "the first pre of layer 1";
  EXPECT_EQ(outputs.taps[1].value, words.read()[6]) << "the first pre of layer 3";
}

}  // namespace
}  // namespace dsv4
