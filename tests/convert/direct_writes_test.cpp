// Writing the .bin past the page cache: regions against a string in memory, and whole conversions on file systems and disks that go wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "convert/bin_file.h"
#include "support/faulty_io.h"
#include "support/files.h"

namespace dsv4 {
namespace {

using testing::HasSubstr;
using namespace testing_support;

constexpr size_t kBytes = 150'000'001;  // more than is kept in memory at once

/// A file that four threads fill in any order, as a string; with bytes that nobody writes.
class Filled {
 public:
  explicit Filled(unsigned seed) : bytes_(kBytes, '\0'), seed_(seed) {}

  /// Every `step`-th byte range from `start` on gets a value.
  void fill(BinFile& file, size_t start, size_t step) {
    std::vector<size_t> places;
    for (size_t at = start; at + kLength <= kBytes; at += step) places.push_back(at);
    std::shuffle(places.begin(), places.end(), std::mt19937(seed_));
    std::vector<std::thread> threads;
    for (size_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (size_t i = t; i < places.size(); i += 4) {
          std::string value(kLength, static_cast<char>('a' + (places[i] / step + seed_) % 26));
          bytes_.replace(places[i], kLength, value);
          file.write_at(places[i], value.data(), value.size());
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  const std::string& bytes() const { return bytes_; }

 private:
  static constexpr size_t kLength = 50'000;

  std::string bytes_;
  unsigned seed_;
};

class DirectWrites : public testing::Test {
 protected:
  std::filesystem::path path() const { return directory_.path() / "model.bin"; }
  std::string contents() const { return read_file(path()); }

  TemporaryDirectory directory_;
};

TEST_F(DirectWrites, AreThoseOfTheCallsInAnyOrder) {
  Filled filled(1);
  const FaultyIo counted("model.bin", {});
  BinFile file(path(), kBytes, true);
  filled.fill(file, 10, 370'001);
  file.sync();
  EXPECT_TRUE(contents() == filled.bytes());
  filled.fill(file, 100'000, 370'001);  // regions that were written before
  file.write_at(kBytes - 3, "end", 3);
  file.close();
  const std::string written = contents();
  EXPECT_EQ(written.substr(kBytes - 3), "end");
  EXPECT_TRUE(written.substr(0, kBytes - 3) == filled.bytes().substr(0, kBytes - 3));
  if (counted.direct_writes() == 0) GTEST_SKIP() << "this file system refuses direct writes by itself; the bytes are right";
}

TEST_F(DirectWrites, GoOnInAFileThatHasContents) {
  std::string bytes(9'000'123, 'x');
  write_file(path(), bytes);
  BinFile file(path(), bytes.size(), true);
  for (const size_t at : {size_t{0}, size_t{4'194'302}, size_t{8'500'000}, bytes.size() - 4}) {
    bytes.replace(at, 4, "here");
    file.write_at(at, "here", 4);
  }
  file.close();
  EXPECT_TRUE(contents() == bytes);
}

TEST_F(DirectWrites, HalfBytesMeet) {
  std::string bytes(8'400'000, '\0');
  BinFile file(path(), bytes.size(), true);
  for (const uint64_t byte : {uint64_t{5}, uint64_t{4'194'303}, uint64_t{8'399'999}}) {
    const uint8_t low = 0x3, high = 0xA;
    file.write_nibbles(byte, 1, &high, 1);
    file.write_nibbles(byte, 0, &low, 1);
    bytes[byte] = '\xA3';
  }
  const std::vector<uint8_t> codes = {1, 2, 3, 4, 5, 6};
  file.write_nibbles(100, 1, codes.data(), codes.size());
  bytes.replace(100, 4, std::string("\x10\x32\x54\x06", 4));
  file.close();
  EXPECT_TRUE(contents() == bytes);
}

TEST_F(DirectWrites, ShortOnesAreContinuedAndRefusedOnesAreBuffered) {
  for (const bool refused : {false, true}) {
    const FaultyIo faulty("model.bin", {.short_reads = true, .short_writes = true, .refuse_direct_writes = refused});
    std::filesystem::remove(path());
    Filled filled(2);
    BinFile file(path(), kBytes, true);
    filled.fill(file, 0, 910'007);
    filled.fill(file, 400'000, 910'007);
    file.close();
    EXPECT_TRUE(contents() == filled.bytes());
  }
}

TEST_F(DirectWrites, AFullDiskIsAnErrorAndNothingHangs) {
  const FaultyIo faulty("model.bin", {.writes_until_full = 3});
  BinFile file(path(), kBytes, true);
  const std::string value(1'000'000, 'v');
  const std::string error = error_of([&] {
    for (size_t at = 0; at + value.size() < kBytes; at += value.size()) file.write_at(at, value.data(), value.size());
    file.sync();
  });
  EXPECT_THAT(error, HasSubstr("model.bin"));
  EXPECT_THAT(error, HasSubstr("cannot write"));
  EXPECT_THAT(error_of([&] { file.sync(); }), HasSubstr("cannot write"));  // still
}

}  // namespace
}  // namespace dsv4
