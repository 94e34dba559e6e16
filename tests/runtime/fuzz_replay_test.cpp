// The fuzz targets of model folders, expert profiles and snapshots on their seeds and on mutations of them.
#include <gtest/gtest.h>

#include "fuzz/folder_targets.h"
#include "fuzz/profile_targets.h"
#include "fuzz/snapshot_targets.h"
#include "support/replay.h"

namespace dsv4 {
namespace {

using testing_support::Bytes;

TEST(FuzzReplay, ModelFolders) {
  EXPECT_TRUE(fuzz::model_folder({}));
  testing_support::replay("fuzz_model_folder", 40, [](const Bytes& bytes) { return fuzz::model_folder(bytes); });
}

TEST(FuzzReplay, ExpertProfiles) {
  testing_support::replay("fuzz_expert_profile", 3000, [](const Bytes& bytes) { return fuzz::expert_profile(bytes); });
}

TEST(FuzzReplay, Snapshots) {
  EXPECT_TRUE(fuzz::sealed_snapshot({}));
  testing_support::replay("fuzz_snapshot", 400, [](const Bytes& bytes) { return fuzz::snapshot(bytes); });
}

}  // namespace
}  // namespace dsv4
