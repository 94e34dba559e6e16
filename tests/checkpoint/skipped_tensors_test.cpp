// Tensors that no part of the model needs: draft blocks and stages, rotary tables.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/tiny_checkpoint.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

using test::RawTensor;
using test::TempDir;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Checkpoint, DSparkStagesAreSkippedWithANotice) {
  const std::string config = test::tiny_config({{"num_nextn_predict_layers", 1}, {"compress_ratios", {0, 4, 0, 0, 0}}});
  std::vector<RawTensor> tensors = test::random_tensors(config);
  std::erase_if(tensors,
                [](const RawTensor& tensor) { return tensor.name.starts_with("mtp.0.e_proj") || tensor.name.starts_with("mtp.0.h_"); });
  const auto mtp = static_cast<size_t>(
      std::count_if(tensors.begin(), tensors.end(), [](const RawTensor& tensor) { return tensor.name.starts_with("mtp."); }));
  tensors.push_back({"mtp.0.main_proj.weight", "F8_E4M3", {64, 192}, std::string(64 * 192, '\1')});
  tensors.push_back({"mtp.0.main_proj.scale", "F8_E8M0", {1, 2}, std::string(2, '\1')});
  tensors.push_back({"mtp.2.markov_head.markov_w1.weight", "BF16", {24, 16}, std::string(24 * 16 * 2, '\0')});
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, tensors);
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  EXPECT_THAT(checkpoint.notices(), ElementsAre("DSpark draft stages, " + std::to_string(mtp + 3) +
                                                " tensors, not converted: they are only for speculative decoding"));
}

/// Two layers and three DSpark stages.
std::string dspark_config(const nlohmann::json& changes = nlohmann::json::object()) {
  nlohmann::json config = nlohmann::json::parse(test::tiny_config({{"num_nextn_predict_layers", 1}, {"compress_ratios", {0, 4, 0, 0, 0}}}));
  config.merge_patch(
      {{"dspark_block_size", 5}, {"dspark_noise_token_id", 23}, {"dspark_target_layer_ids", {0, 1}}, {"dspark_markov_rank", 16}});
  config.merge_patch(changes);
  return config.dump();
}

TEST(Checkpoint, DSparkStagesAreATableOfTheirOwn) {
  const TempDir dir;
  test::write_checkpoint(dir.path(), dspark_config(), test::random_tensors(dspark_config()));
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  EXPECT_EQ(checkpoint.draft_kind(), DraftKind::kDspark);
  EXPECT_EQ(checkpoint.shape("mtp.0.main_proj.weight"), (Shape{64, 128}));
  EXPECT_EQ(checkpoint.read("mtp.2.confidence_head.proj.weight").size(), 64u + 16u);
  for (const TensorSpec& spec : checkpoint.table()) EXPECT_FALSE(spec.name.starts_with("mtp.")) << spec.name;
}

/// Opening a checkpoint of `config` with the tensors of dspark_config().
std::string refusal_of_stages(const std::string& config, const std::function<void(std::vector<RawTensor>&)>& change = {}) {
  std::vector<RawTensor> tensors = test::random_tensors(dspark_config());
  if (change) change(tensors);
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, tensors);
  try {
    Checkpoint::open(dir.path());
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Checkpoint, DSparkStagesOfAnotherNumberAreRefused) {
  EXPECT_THAT(refusal_of_stages(dspark_config({{"compress_ratios", {0, 4, 0, 0}}})),
              HasSubstr("the draft has stage 2, but config.json says 2 stages"));
  EXPECT_THAT(refusal_of_stages(dspark_config({{"compress_ratios", {0, 4, 0, 0, 0, 0}}})), HasSubstr("mtp.3."));
}

TEST(Checkpoint, DSparkTensorsAreChecked) {
  EXPECT_THAT(refusal_of_stages(dspark_config(),
                                [](auto& tensors) {
                                  std::erase_if(tensors, [](const RawTensor& tensor) { return tensor.name == "mtp.1.attn.attn_sink"; });
                                }),
              HasSubstr("mtp.1.attn.attn_sink"));
  EXPECT_THAT(refusal_of_stages(dspark_config({{"dspark_markov_rank", 8}})), HasSubstr("markov_w1"));
  EXPECT_THAT(refusal_of_stages(dspark_config({{"dspark_target_layer_ids", {1}}})), HasSubstr("mtp.0.main_proj.weight"));
}

TEST(Checkpoint, ADraftThatTensorsAndConfigDoNotAgreeOnIsNone) {
  const std::string nextn = test::tiny_config({{"num_nextn_predict_layers", 1}, {"compress_ratios", {0, 4, 0}}});
  for (const auto& [config, tensors] : {std::pair(nextn, dspark_config()), std::pair(dspark_config(), nextn)}) {
    const TempDir dir;
    test::write_checkpoint(dir.path(), config, test::random_tensors(tensors));
    const Checkpoint checkpoint = Checkpoint::open(dir.path());
    EXPECT_EQ(checkpoint.draft_kind(), DraftKind::kNone);
    EXPECT_TRUE(checkpoint.draft_table().empty());
    EXPECT_EQ(checkpoint.notices().size(), 1u);
  }
}

TEST(Checkpoint, MissingMtpBlockIsANotice) {
  const std::string with_mtp = test::tiny_config({{"num_nextn_predict_layers", 1}, {"compress_ratios", {0, 4, 0}}});
  const TempDir dir;
  test::write_checkpoint(dir.path(), with_mtp, test::random_tensors(test::tiny_config()));
  EXPECT_THAT(Checkpoint::open(dir.path()).notices(),
              ElementsAre("no mtp.* tensors, although config.json says num_nextn_predict_layers 1"));
}

TEST(Checkpoint, MtpTensorsThatConfigDoesNotMentionAreSkipped) {
  const std::string with_mtp = test::tiny_config({{"num_nextn_predict_layers", 1}, {"compress_ratios", {0, 4, 0}}});
  const TempDir dir;
  test::write_checkpoint(dir.path(), test::tiny_config(), test::random_tensors(with_mtp));
  EXPECT_THAT(Checkpoint::open(dir.path()).notices(), ElementsAre(HasSubstr("MTP block, ")));
}

TEST(Checkpoint, RotaryTablesAreIgnored) {
  const std::string config = test::tiny_config();
  std::vector<RawTensor> tensors = test::random_tensors(config);
  for (const char* name : {"model.rotary_emb.main_inv_freq", "layers.0.attn.rotary_emb.inv_freq"}) {
    tensors.push_back({name, "F32", {2}, std::string(8, '\0')});
  }
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, tensors);
  EXPECT_NO_THROW(Checkpoint::open(dir.path()));
}

}  // namespace
}  // namespace dsv4
