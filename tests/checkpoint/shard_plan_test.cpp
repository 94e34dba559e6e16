// The shards of synthetic checkpoints: those of the releases to the byte, by the totals that their indexes state.
#include "checkpoint/shard_plan.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/synthesize.h"

namespace dsv4 {
namespace {

using nlohmann::json;

struct Release {
  const char* preset;
  size_t tensors;
  uint64_t bytes;
  size_t files;
  uint64_t file_bytes;  ///< headers included; 0: not known
  size_t draft_tensors;
  uint64_t draft_bytes;
};

void PrintTo(const Release& release, std::ostream* out) { *out << release.preset; }

class ShardPlan : public testing::TestWithParam<Release> {
 protected:
  Config config_ = parse_config(preset_config(GetParam().preset), GetParam().preset);
  std::vector<TensorSpec> table_ = tensor_table(config_);
  std::vector<Shard> shards_ = plan_shards(config_, table_, 0);
};

TEST_P(ShardPlan, HasTheTotalsOfTheRelease) {
  const Release& release = GetParam();
  size_t tensors = 0, drafts = 0;
  uint64_t bytes = 0, draft_bytes = 0, file_bytes = 0;
  for (const Shard& shard : shards_) {
    bytes += shard.bytes;
    file_bytes += shard.header.size() + shard.bytes;
    tensors += shard.pieces.size();
    const bool draft = shard.pieces.front().stored.name.starts_with("mtp.");
    drafts += draft ? shard.pieces.size() : 0;
    draft_bytes += draft ? shard.bytes : 0;
  }
  EXPECT_EQ(tensors, release.tensors);
  EXPECT_EQ(bytes, release.bytes);
  EXPECT_EQ(shards_.size(), release.files);
  EXPECT_EQ(drafts, release.draft_tensors);
  EXPECT_EQ(draft_bytes, release.draft_bytes);
  if (release.file_bytes > 0) {
    EXPECT_EQ(file_bytes, release.file_bytes);
  }
}

TEST_P(ShardPlan, HeadersListThePiecesInTheOrderOfTheFile) {
  for (const Shard& shard : shards_) {
    ASSERT_EQ(shard.header.size() % 8, 0u);
    // One entry after another as the text has them.
    const auto header = nlohmann::ordered_json::parse(shard.header.substr(8));
    ASSERT_EQ(header.size(), shard.pieces.size());
    uint64_t at = 0;
    size_t i = 0;
    for (const auto& [name, entry] : header.items()) {
      ASSERT_EQ(name, shard.pieces[i].stored.name);
      ASSERT_EQ(entry.at("data_offsets"), json({at, at + shard.pieces[i].bytes}));
      at += shard.pieces[i++].bytes;
    }
    ASSERT_EQ(at, shard.bytes);
  }
}

// Tensors, bytes and files of the releases' indexes; the bytes of V4-Flash's files as the hub lists them.
INSTANTIATE_TEST_SUITE_P(Releases, ShardPlan,
                         testing::Values(Release{"v4-flash", 69187, 159609485896, 46, 159617149040, 1575, 3593787756},
                                         Release{"v4-flash-0731", 72317, 166878536440, 48, 0, 4705, 10862838300},
                                         Release{"v4-pro", 145116, 864704792696, 64, 0, 2343, 13956587692}),
                         [](const testing::TestParamInfo<Release>& release) {
                           std::string name;
                           for (const char c : std::string(release.param.preset)) name += c == '-' ? std::string() : std::string(1, c);
                           return name;
                         });

TEST(ShardsOfASize, StartANewFileWhereTheCurrentOneWouldGrowPastIt) {
  const Config config = parse_config(preset_config("toy"), "toy");
  const std::vector<TensorSpec> table = tensor_table(config);
  EXPECT_EQ(plan_shards(config, table, 0).size(), 1u) << "a small model is one file";
  const std::vector<Shard> shards = plan_shards(config, table, 150000);
  ASSERT_GT(shards.size(), 5u);
  std::set<std::string> names;
  for (const Shard& shard : shards) {
    EXPECT_LE(shard.bytes, 150000u);
    for (const ShardPiece& piece : shard.pieces) EXPECT_TRUE(names.insert(piece.stored.name).second);
  }
  EXPECT_EQ(shard_name(0, 1), "model.safetensors");
  EXPECT_EQ(shard_name(6, 46), "model-00007-of-00046.safetensors");
}

}  // namespace
}  // namespace dsv4
