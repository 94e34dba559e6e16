// Lines on standard error, and what exceptions of libraries become.
#include "cli/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

#include "dsv4/error.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Messages, AreOneLineOfLessThanTwoThousandBytes) {
  EXPECT_EQ(message_line("a\nb\xE2\x80\xAE"), "dsv4: a\\x0ab\\u202e\n");
  for (const size_t size : {1990u, 1992u, 1993u, 5000u}) {
    const std::string line = message_line("begin " + std::string(size, 'x') + " end");
    EXPECT_LT(line.size(), 2000u);
    EXPECT_TRUE(line.starts_with("dsv4: begin x") && line.ends_with("x end\n")) << line;
  }
  EXPECT_EQ(message_line(std::string(1992, 'x')).size(), 1999u);
}

TEST(Messages, OfTheFileSystemNameTheFile) {
  try {
    FAIL() << std::filesystem::file_size("/no/such\x1b/file");
  } catch (const std::exception& error) {
    EXPECT_EQ(error_text(error), "/no/such\\x1b/file: No such file or directory; check the path and its permissions");
  }
}

TEST(Messages, OfLibrariesNeverStandAloneNorNamePlacesInSources) {
  const std::runtime_error openvino(
      "Exception from src/inference/src/cpp/core.cpp:98:\nCheck 'a > b' failed at src/core/src/model.cpp:12:\n\n");
  EXPECT_THAT(error_text(openvino), AllOf(HasSubstr("unexpected failure"), HasSubstr("a > b"), Not(HasSubstr("src/"))));
  EXPECT_EQ(error_text(std::bad_alloc()), "out of memory");
  EXPECT_EQ(error_text(Error("said by dsv4")), "said by dsv4");
}

}  // namespace
}  // namespace dsv4
