// Tensors that no part of the model needs: draft blocks and stages, rotary tables.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/tiny_checkpoint.h"

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
