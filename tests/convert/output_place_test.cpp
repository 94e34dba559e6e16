// Outputs that are there already: empty folders, mount points, links; the lock; and what may not be touched.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "convert/convert.h"
#include "convert/file_list.h"
#include "support/files.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;
using namespace testing_support;
namespace fs = std::filesystem;

const fs::path kToy = fs::path(DSV4_TEST_DATA) / "goldens/toy";

class Place : public testing::Test {
 protected:
  fs::path output() const { return directory_.path() / "model"; }

  ConvertOptions options() const {
    ConvertOptions o;
    o.checkpoint = kToy;
    o.output = output();
    o.compression.format = WeightFormat::kInt8;
    o.record_bytes = 1 << 16;
    return o;
  }

  /// Stops at half of the bytes.
  void interrupt(ConvertOptions o) const {
    std::atomic<bool> stop = false;
    o.stop = &stop;
    o.progress = [&](uint64_t done, uint64_t total) { stop = done > total / 2; };
    EXPECT_THAT(error_of([&] { convert(o); }), HasSubstr("the same command goes on"));
  }

  static void expect_whole(const fs::path& folder) {
    EXPECT_TRUE(check_files(folder, read_file_list(folder).value(), nullptr).empty());
    EXPECT_TRUE(unlisted_files(folder, read_file_list(folder).value()).empty());
    EXPECT_TRUE(fs::exists(folder / "openvino_model.xml"));
  }

  TemporaryDirectory directory_;
};

TEST_F(Place, AnEmptyFolderStaysTheSameFolder) {
  fs::create_directory(output());
  fs::permissions(output(), fs::perms::owner_all);
  struct stat before {
  }, after{};
  ASSERT_EQ(::stat(output().c_str(), &before), 0);
  interrupt(options());
  EXPECT_THAT(names_in(output()), ElementsAre("model.partial"));
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("model"));
  convert(options());
  ASSERT_EQ(::stat(output().c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(before.st_mode, after.st_mode);
  expect_whole(output());
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("model"));
}

TEST_F(Place, ALinkToAFolderStaysALink) {
  fs::create_directory(directory_.path() / "real");
  fs::create_directory_symlink(directory_.path() / "real", output());
  interrupt(options());
  convert(options());
  EXPECT_TRUE(fs::is_symlink(output()));
  expect_whole(directory_.path() / "real");
  EXPECT_THAT(names_in(directory_.path()), UnorderedElementsAre("model", "real"));
}

TEST_F(Place, ALinkToNothingIsRefusedAndLeftAlone) {
  fs::create_symlink(directory_.path() / "missing", output());
  EXPECT_THAT(error_of([&] { convert(options()); }), AllOf(HasSubstr(output().string()), HasSubstr("link")));
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("model"));
}

TEST_F(Place, AFreshDiskCountsAsEmpty) {
  fs::create_directories(output() / "lost+found");
  convert(options());
  EXPECT_TRUE(fs::exists(output() / "openvino_model.xml"));
  EXPECT_TRUE(fs::exists(output() / "lost+found"));
}

TEST_F(Place, WorkBesideAnOutputThatWasMadeSinceIsGoneOnWith) {
  interrupt(options());
  ASSERT_THAT(names_in(directory_.path()), ElementsAre("model.partial"));
  fs::create_directory(output());
  ConvertOptions o = options();
  std::string notices;
  o.notice = [&](const std::string& line) { notices += line; };
  convert(o);
  EXPECT_THAT(notices, HasSubstr("going on"));
  expect_whole(output());
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("model"));
}

TEST_F(Place, AFileThatAppearsInTheOutputMeanwhileIsLeftAloneAndTheWorkStays) {
  fs::create_directory(output());
  ConvertOptions o = options();
  o.progress = [&](uint64_t, uint64_t) { write_file(output() / "config.json", "precious"); };
  EXPECT_THAT(error_of([&] { convert(o); }), AllOf(HasSubstr("config.json"), HasSubstr("the same command goes on")));
  EXPECT_EQ(read_file(output() / "config.json"), "precious");
  EXPECT_THAT(names_in(output()), UnorderedElementsAre("config.json", "model.partial")) << "nothing half";
  EXPECT_THAT(error_of([&] { convert(options()); }), AllOf(HasSubstr("not empty"), HasSubstr("config.json")));
  fs::remove(output() / "config.json");
  convert(options());
  expect_whole(output());
}

/// Runs `work` in a process that may mount; false when this machine does not let it.
bool with_a_disk_at(const fs::path& folder, const std::string& size, const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", folder.c_str(), "tmpfs", 0, ("size=" + size).c_str()) != 0) {
      ::_exit(77);
    }
    try {
      work();
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) return false;
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  return true;
}

TEST_F(Place, AMountPointGetsTheModelOnItsDisk) {
  fs::create_directory(output());
  const bool mounted = with_a_disk_at(output(), "64m", [&] {
    interrupt(options());
    EXPECT_THAT(names_in(directory_.path()), ElementsAre("model"));
    EXPECT_THAT(names_in(output()), ElementsAre("model.partial"));
    convert(options());
    expect_whole(output());
  });
  if (!mounted) GTEST_SKIP() << "mounting a tmpfs in a namespace of its own is not permitted here";
}

TEST_F(Place, TheRoomIsThatOfTheDiskThatIsWritten) {
  fs::create_directory(output());
  const bool mounted = with_a_disk_at(output(), "1m", [&] {
    EXPECT_THAT(error_of([&] { convert(options()); }), AllOf(HasSubstr("needs"), HasSubstr("free"), HasSubstr(output().string())));
    EXPECT_TRUE(fs::is_empty(output()));
  });
  if (!mounted) GTEST_SKIP() << "mounting a tmpfs in a namespace of its own is not permitted here";
}

TEST_F(Place, TheLockIsTakenBeforeTheCheckpointIsLookedAt) {
  ConvertOptions o = options();
  std::string message;
  o.progress = [&](uint64_t, uint64_t) {
    ConvertOptions second = options();
    second.checkpoint = directory_.path() / "missing";
    if (message.empty()) message = error_of([&] { convert(second); });
  };
  convert(o);
  EXPECT_THAT(message, HasSubstr("another conversion"));
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("model"));
}

TEST_F(Place, ALockThatAKilledRunLeftIsNoObstacleAndAnythingElseIsLeftAlone) {
  const fs::path lock = directory_.path() / "model.partial.lock";
  write_file(lock, "");
  convert(options());
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("model"));
  fs::remove_all(output());
  write_file(lock, "precious");
  EXPECT_THAT(error_of([&] { convert(options()); }), AllOf(HasSubstr(lock.string()), HasSubstr("in the way")));
  EXPECT_EQ(read_file(lock), "precious");
  fs::remove(lock);
  fs::create_directory(lock);
  EXPECT_THAT(error_of([&] { convert(options()); }), HasSubstr(lock.string()));
  EXPECT_TRUE(fs::is_directory(lock));
}

TEST_F(Place, ParentsThatWereMadeForNothingGo) {
  ConvertOptions o = options();
  o.checkpoint = directory_.path() / "missing";
  o.output = directory_.path() / "a/b/model";
  EXPECT_THAT(error_of([&] { convert(o); }), HasSubstr("missing"));
  EXPECT_TRUE(fs::is_empty(directory_.path()));
}

}  // namespace
}  // namespace dsv4
