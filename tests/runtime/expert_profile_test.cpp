// Usage profiles: what is written is read again, and a file that is none is refused by name.
#include "runtime/expert_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dsv4/error.h"
#include "support/files.h"

namespace dsv4 {
namespace {

using testing::HasSubstr;
using testing_support::error_of;
using testing_support::read_file;
using testing_support::TemporaryDirectory;
using testing_support::write_file;

class ExpertProfileFile : public testing::Test {
 protected:
  ExpertProfileFile() { write_expert_profile(file_, profile_); }

  std::string refusal(const std::string& content) {
    write_file(file_, content);
    return error_of([&] { read_expert_profile(file_, 2, 3); });
  }

  TemporaryDirectory directory_;
  std::filesystem::path file_ = directory_.path() / "usage";
  ExpertProfile profile_{2, 3, {0.0f, 1.5f, 1e-30f, 46.0f, 2.0f, 0.25f}};
};

TEST_F(ExpertProfileFile, IsReadAsItWasWritten) {
  const auto found = read_expert_profile(file_, 2, 3);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->frequencies, profile_.frequencies);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_.path()), {}), 1);  // nothing is left beside it
}

TEST_F(ExpertProfileFile, NeedNotBeThere) { EXPECT_FALSE(read_expert_profile(directory_.path() / "none", 2, 3)); }

TEST_F(ExpertProfileFile, OfAnotherModelIsRefused) {
  EXPECT_THAT(error_of([&] { read_expert_profile(file_, 3, 2); }),
              AllOf(HasSubstr("usage"), HasSubstr("2 layers with 3 experts each; this one has 3 with 2")));
}

TEST_F(ExpertProfileFile, ThatIsDamagedIsRefused) {
  const std::string whole = read_file(file_);
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_THAT(refusal(whole.substr(0, length)), HasSubstr("usage: ")) << length;
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 4);
    EXPECT_THAT(refusal(changed), HasSubstr("usage: ")) << i;
  }
  EXPECT_THAT(refusal(whole + "x"), HasSubstr("damaged"));
  EXPECT_THAT(refusal("dsv4 expert profile 1, 99999999999999999999 x 3\n"), HasSubstr("its first line says no sizes"));
  EXPECT_THAT(refusal("dsv4 expert profile 1, 4194304 x 4194304\n"), HasSubstr("its first line says no sizes"));
  EXPECT_THAT(refusal("layer 0 1 2\n"), HasSubstr("is no expert profile"));
}

TEST_F(ExpertProfileFile, KeepsWhatWasThereWhereItCannotBeWritten) {
  EXPECT_THAT(error_of([&] { write_expert_profile(directory_.path() / "no" / "usage", profile_); }), HasSubstr("cannot write"));
}

}  // namespace
}  // namespace dsv4
