// The fuzz target of model folders on its seeds and on mutations of them.
#include <gtest/gtest.h>

#include "fuzz/folder_targets.h"
#include "support/replay.h"

namespace dsv4 {
namespace {

using testing_support::Bytes;

TEST(FuzzReplay, ModelFolders) {
  EXPECT_TRUE(fuzz::model_folder({}));
  testing_support::replay("fuzz_model_folder", 40, [](const Bytes& bytes) { return fuzz::model_folder(bytes); });
}

}  // namespace
}  // namespace dsv4
