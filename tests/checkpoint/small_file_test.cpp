// Which small files are read: regular ones of bounded size inside of their directory or of a hub's cache. Everything else ends in a line, and at once.
#include "checkpoint/small_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include "checkpoint/safetensors_writer.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;
using test::TempDir;
using test::write_file;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr SmallFileKind kKind = {"note", "the note of a test", 1000};
constexpr const char* kHash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

std::string outcome(const fs::path& file, bool named = false) {
  try {
    return "read: " + (named ? read_named_file(file, kKind) : read_small_file(file, kKind));
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), StartsWith(file.string()));
    return error.what();
  }
}

TEST(SmallFile, IsReadWhole) {
  const TempDir dir;
  for (const size_t size : {0, 1, 999, 1000}) {
    write_file(dir / "note", std::string(size, 'x'));
    EXPECT_EQ(outcome(dir / "note"), "read: " + std::string(size, 'x'));
  }
  const std::string long_text(3'000'000, 'y');
  write_file(dir / "note", long_text);
  EXPECT_EQ(read_small_file(dir / "note", {"note", "a long one", 3'000'000}), long_text);
  EXPECT_EQ(outcome(dir / "note"), (dir / "note").string() + ": 3000000 bytes, expected a note of at most 1000");
  EXPECT_EQ(outcome(dir / "none"), (dir / "none").string() + ": no such file, expected the note of a test");
  EXPECT_EQ(read_small_file_if_there(dir / "none", kKind), std::nullopt);
}

TEST(SmallFile, WhatIsNoFileIsNotWaitedFor) {
  const TempDir dir;
  fs::create_directory(dir / "directory");
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = dir / "socket";
  ASSERT_LT(name.size(), sizeof address.sun_path);
  std::copy(name.begin(), name.end(), address.sun_path);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  for (const char* device : {"/dev/zero", "/dev/full", "/dev/tty"}) {
    fs::create_symlink(device, dir / "device");
    EXPECT_THAT(outcome(dir / "device"), HasSubstr("is not a regular file")) << device;
    EXPECT_THAT(outcome(dir / "device", true), HasSubstr("is not a regular file")) << device;
    fs::remove(dir / "device");
  }
  EXPECT_THAT(outcome(dir / "directory"), HasSubstr("is a directory, expected the note of a test"));
  EXPECT_THAT(outcome(dir / "fifo"), HasSubstr("is not a regular file, expected the note of a test"));
  EXPECT_THAT(outcome(dir / "fifo", true), HasSubstr("is not a regular file, expected the note of a test"));
  EXPECT_THAT(outcome(dir / "socket"), HasSubstr("is not a regular file, expected the note of a test"));
  fs::create_symlink("nowhere", dir / "dead");
  EXPECT_THAT(outcome(dir / "dead"), HasSubstr("a link to a file that is missing"));
  EXPECT_THROW(read_small_file_if_there(dir / "dead", kKind), Error) << "an entry, of a download that is not complete";
  fs::create_symlink("loop", dir / "loop");
  EXPECT_THAT(outcome(dir / "loop"), HasSubstr("cannot be opened"));
  ::close(socket);
}

TEST(SmallFile, AFileThatHidesItsSizeIsBounded) {
  // Files of /proc say that they have 0 bytes.
  EXPECT_THAT(outcome("/proc/self/stat", true), StartsWith("read: "));
  EXPECT_THAT(outcome("/proc/self/maps", true), HasSubstr("more than 1000 bytes, expected a note of at most 1000"));
}

TEST(SmallFile, LinksThatStayInsideAreFollowed) {
  const TempDir dir;
  fs::create_directories(dir / "checkpoint/..data");
  write_file(dir / "checkpoint/..data/note", "inside");
  fs::create_symlink("..data/note", dir / "checkpoint/note");
  EXPECT_EQ(outcome(dir / "checkpoint/note"), "read: inside");
  fs::create_symlink(dir / "checkpoint", dir / "link");
  EXPECT_EQ(outcome(dir / "link/note"), "read: inside") << "the directory may be a link";
  fs::create_symlink(dir / "checkpoint/..data", dir / "checkpoint/sub");
  EXPECT_EQ(outcome(dir / "checkpoint/sub/note"), "read: inside");
}

TEST(SmallFile, LinksOutOfTheDirectoryAreRefused) {
  const TempDir dir;
  fs::create_directories(dir / "checkpoint");
  fs::create_directories(dir / "checkpoint-of-others");
  write_file(dir / "secret", "secret");
  write_file(dir / "checkpoint-of-others/note", "secret");
  for (const fs::path& target : {fs::path(dir / "secret"), fs::path("../secret"), fs::path("../checkpoint-of-others/note"),
                                 fs::path("/etc/passwd"), fs::path("/proc/self/environ")}) {
    fs::create_symlink(target, dir / "checkpoint/note");
    EXPECT_THAT(outcome(dir / "checkpoint/note"),
                AllOf(HasSubstr("is a link out of its directory, to "), HasSubstr("put a copy in place of the link")))
        << target;
    fs::remove(dir / "checkpoint/note");
  }
  // Through another link, and through a directory.
  fs::create_symlink("../secret", dir / "checkpoint/first");
  fs::create_symlink("first", dir / "checkpoint/note");
  EXPECT_THAT(outcome(dir / "checkpoint/note"), HasSubstr("is a link out of its directory"));
  EXPECT_EQ(outcome(dir / "checkpoint/note", true), "read: secret") << "the user named it";
}

TEST(SmallFile, LinksIntoTheBlobsOfAHubCacheAreFollowed) {
  const TempDir dir;
  const fs::path repository = dir / "hub/models--o--n", snapshot = repository / "snapshots/0123abcd";
  fs::create_directories(snapshot / "inference");
  fs::create_directories(repository / "blobs");
  fs::create_directories(dir / "hub/models--o--other/blobs");
  fs::create_directories(dir / "download");
  write_file(repository / "blobs/any", "blob");
  write_file(repository / "blobs" / kHash, "hash");
  write_file(repository / "secret", "secret");
  write_file(dir / "hub/models--o--other/blobs/any", "of another");
  fs::create_symlink("../../blobs/any", snapshot / "note");
  EXPECT_EQ(outcome(snapshot / "note"), "read: blob");
  fs::create_symlink("../../../blobs/any", snapshot / "inference/note");
  EXPECT_EQ(outcome(snapshot / "inference/note"), "read: blob");
  fs::create_symlink(repository / "blobs" / kHash, dir / "download/note");
  EXPECT_EQ(outcome(dir / "download/note"), "read: hash") << "downloads into a directory once linked to the cache";
  for (const char* target : {"../../secret", "../../../models--o--other/blobs/any"}) {
    fs::remove(snapshot / "note");
    fs::create_symlink(target, snapshot / "note");
    EXPECT_THAT(outcome(snapshot / "note"), HasSubstr("is a link out of its directory")) << target;
  }
}

}  // namespace
}  // namespace dsv4
