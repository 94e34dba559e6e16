// DirectFile against the bytes that were written, on real files, on tmpfs and on files that go wrong.
#include "files/direct_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/faulty_io.h"
#include "support/files.h"

namespace dsv4 {
namespace {

using testing_support::error_of;
using testing_support::Faults;
using testing_support::FaultyIo;
using testing_support::TemporaryDirectory;
using testing_support::write_file;

constexpr size_t kAlignment = 4096;  // a multiple of what any file system asks for
constexpr size_t kBytes = 1024 * 1024 + 1234;

std::string random_bytes(size_t size) {
  std::mt19937_64 random(5);
  std::string bytes(size, '\0');
  for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
    const uint64_t word = random();
    std::memcpy(bytes.data() + at, &word, std::min(sizeof word, size - at));
  }
  return bytes;
}

uint64_t up(uint64_t value) { return (value + kAlignment - 1) / kAlignment * kAlignment; }

/// Bytes [begin, end) of the file by whole units; `needed` is `end`.
std::string read_range(const DirectFile& file, uint64_t begin, uint64_t end) {
  const uint64_t first = begin / kAlignment * kAlignment, last = up(end);
  const std::unique_ptr<std::byte, decltype(&std::free)> memory(static_cast<std::byte*>(std::aligned_alloc(kAlignment, last - first)),
                                                                std::free);
  std::memset(memory.get(), 0x5A, last - first);
  file.read(first, last, end, memory.get());
  return {reinterpret_cast<const char*>(memory.get()) + (begin - first), end - begin};
}

/// A file of random bytes at `where`.
class Random {
 public:
  explicit Random(const std::filesystem::path& where) : path(where), bytes(random_bytes(kBytes)) { write_file(path, bytes); }

  /// Ranges in the middle, at the start, up to the odd end, and all.
  void expect_ranges(const DirectFile& file) const {
    const std::vector<std::pair<uint64_t, uint64_t>> ranges = {
        {0, 1}, {0, kAlignment}, {5000, 5001}, {123456, 987654}, {kBytes - 1, kBytes}, {kBytes - 5000, kBytes}, {0, kBytes}};
    for (const auto& [begin, end] : ranges)
      EXPECT_EQ(read_range(file, begin, end), bytes.substr(begin, end - begin)) << begin << " to " << end;
  }

  std::filesystem::path path;
  std::string bytes;
};

class DirectFileTest : public testing::Test {
 protected:
  TemporaryDirectory directory_;
  Random random_{directory_.path() / "weights.bin"};
};

TEST_F(DirectFileTest, ReadsWhatWasWrittenIncludingTheOddEnd) {
  const DirectFile file(random_.path);
  EXPECT_EQ(file.size(), kBytes);
  EXPECT_EQ(kAlignment % file.alignment(), 0u);
  random_.expect_ranges(file);
}

TEST_F(DirectFileTest, ShortReadsAreContinuedDirectlyAndBuffered) {
  for (const bool refused : {false, true}) {
    const FaultyIo faulty("weights.bin", {.short_reads = true, .refuse_direct_open = refused});
    const DirectFile file(random_.path);
    for (int turn = 0; turn < 20; ++turn) random_.expect_ranges(file);
  }
}

TEST_F(DirectFileTest, ReadsThatNeverReachAWholeUnitEnd) {
  // Every read of one unit ends inside it: a direct read can go on at multiples only.
  const FaultyIo faulty("weights.bin", {.short_reads = true});
  const DirectFile file(random_.path);
  for (uint64_t at = 0; at + kAlignment < 64 * kAlignment; at += kAlignment) {
    ASSERT_EQ(read_range(file, at, at + kAlignment), random_.bytes.substr(at, kAlignment));
  }
}

TEST_F(DirectFileTest, RefusedAtOpenItReadsBuffered) {
  const FaultyIo faulty("weights.bin", {.refuse_direct_open = true});
  const DirectFile file(random_.path);
  EXPECT_FALSE(file.direct());
  random_.expect_ranges(file);
  EXPECT_GT(faulty.reads(), 0);
  EXPECT_EQ(faulty.direct_reads(), 0);
}

TEST_F(DirectFileTest, RefusedAtTheFirstReadItReadsBufferedFromThenOn) {
  if (!DirectFile(random_.path).direct()) GTEST_SKIP() << "this file system refuses direct reads by itself";
  const FaultyIo faulty("weights.bin", {.refuse_direct_reads = true});
  const DirectFile file(random_.path);
  EXPECT_TRUE(file.direct());
  random_.expect_ranges(file);
  EXPECT_FALSE(file.direct());
  EXPECT_EQ(faulty.direct_reads(), 1);
}

TEST_F(DirectFileTest, WithoutAStatedAlignmentItIsAPage) {
  const FaultyIo faulty("weights.bin", {.hide_alignment = true});
  const DirectFile file(random_.path);
  EXPECT_EQ(file.alignment(), 4096u);
  random_.expect_ranges(file);
}

TEST_F(DirectFileTest, AFailedReadIsTriedOnceMore) {
  const FaultyIo faulty("weights.bin", {.eio = 1});
  random_.expect_ranges(DirectFile(random_.path));
}

TEST_F(DirectFileTest, AReadThatFailsTwiceIsAnErrorAndTheNextOneIsNot) {
  const FaultyIo faulty("weights.bin", {.eio = 2});
  const DirectFile file(random_.path);
  const std::string error = error_of([&] { read_range(file, 8192, 9000); });
  EXPECT_NE(error.find("weights.bin: cannot read at byte 8192: Input/output error"), std::string::npos) << error;
  random_.expect_ranges(file);
}

TEST_F(DirectFileTest, ADriveThatAlwaysFailsIsAnError) {
  const FaultyIo faulty("weights.bin", {.eio = -1});
  const DirectFile file(random_.path);
  EXPECT_NE(error_of([&] { read_range(file, 0, 100); }).find("Input/output error"), std::string::npos);
  EXPECT_EQ(faulty.reads(), 2);
}

TEST_F(DirectFileTest, AFileThatBecameShorterIsNamed) {
  const DirectFile file(random_.path);
  std::filesystem::resize_file(random_.path, kBytes - 100);
  const std::string error = error_of([&] { read_range(file, kBytes - 5000, kBytes); });
  EXPECT_NE(error.find("weights.bin: became shorter while in use: 1049710 bytes of 1049810"), std::string::npos) << error;
  EXPECT_EQ(read_range(file, 0, 4096), random_.bytes.substr(0, 4096));  // what is there is there
  EXPECT_NE(error_of([&] { file.check_unchanged(); }), "");
}

TEST_F(DirectFileTest, AFileThatWasWrittenToIsNamed) {
  const DirectFile file(random_.path);
  EXPECT_EQ(error_of([&] { file.check_unchanged(); }), "");
  std::filesystem::last_write_time(random_.path, std::filesystem::last_write_time(random_.path) + std::chrono::seconds(2));
  EXPECT_NE(error_of([&] { file.check_unchanged(); }).find("was changed while in use"), std::string::npos);
  const FaultyIo faulty("weights.bin", {.eio = -1});
  EXPECT_NE(error_of([&] { read_range(file, 0, 100); }).find("was changed while in use"), std::string::npos);
}

TEST_F(DirectFileTest, AFileThatIsReplacedStaysTheOneThatWasOpened) {
  for (const bool refused : {false, true}) {  // the fallback opens nothing anew
    const Random fresh(directory_.path() / "weights.bin");
    const FaultyIo faulty("weights.bin", {.refuse_direct_reads = refused});
    const DirectFile file(fresh.path);
    write_file(directory_.path() / "other", std::string(kBytes, 'x'));
    std::filesystem::rename(directory_.path() / "other", fresh.path);
    fresh.expect_ranges(file);
  }
}

TEST_F(DirectFileTest, ManyThreadsReadWhileItTurnsBuffered) {
  const FaultyIo faulty("weights.bin", {.short_reads = true, .refuse_direct_reads = true, .delay = 200});
  const DirectFile file(random_.path);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (size_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (size_t at = t * 4096; at + 100000 < kBytes; at += 8 * 40960)
        wrong += read_range(file, at, at + 100000) != random_.bytes.substr(at, 100000);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(DirectFileTest, WhatIsNoFileIsRefused) {
  EXPECT_NE(error_of([&] { DirectFile(directory_.path() / "missing"); }).find("missing: cannot open: No such file"), std::string::npos);
  EXPECT_NE(error_of([&] { DirectFile{directory_.path()}; }).find("is not a regular file"), std::string::npos);
  ASSERT_EQ(::mkfifo((directory_.path() / "fifo").c_str(), 0600), 0);
  EXPECT_NE(error_of([&] { DirectFile(directory_.path() / "fifo"); }).find("is not a regular file"), std::string::npos);
}

TEST_F(DirectFileTest, ErrorsCallTheFileAsTheyAreTold) {
  EXPECT_EQ(error_of([&] { DirectFile(directory_.path() / "missing", "short name"); }),
            "short name: cannot open: No such file or directory");
}

TEST(DirectFileOnTmpfs, ReadsTheSameBytes) {  // refuses O_DIRECT before Linux 6.6
  const std::filesystem::path shm = "/dev/shm";
  if (!std::filesystem::is_directory(shm) || ::access(shm.c_str(), W_OK) != 0) GTEST_SKIP() << "there is no /dev/shm";
  const std::filesystem::path path = shm / ("dsv4_direct_file_test_" + std::to_string(::getpid()));
  const Random random(path);
  const DirectFile file(path);
  std::filesystem::remove(path);  // also when a check below fails
  random.expect_ranges(file);
}

}  // namespace
}  // namespace dsv4
