// Prefetch: pages of a mapped file that were not in memory come into it; anything else is left alone.
#include "ops/experts/prefetch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace dsv4::ops {
namespace {

const size_t kPage = static_cast<size_t>(sysconf(_SC_PAGESIZE));

/// A mapped file whose pages are on disk alone.
class ColdFile {
 public:
  explicit ColdFile(size_t bytes) : bytes_(bytes), path_(testing::TempDir() + "dsv4_prefetch_XXXXXX") {
    file_ = mkstemp(path_.data());
    const std::vector<char> data(bytes, 'x');
    const bool written = file_ >= 0 && write(file_, data.data(), bytes) == static_cast<ssize_t>(bytes) && fsync(file_) == 0;
    memory_ = written ? mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file_, 0) : MAP_FAILED;
    if (memory_ == MAP_FAILED) ADD_FAILURE() << "no mapped file at " << path_;
    posix_fadvise(file_, 0, static_cast<off_t>(bytes), POSIX_FADV_DONTNEED);
  }
  ~ColdFile() {
    if (memory_ != MAP_FAILED) munmap(memory_, bytes_);
    close(file_);
    unlink(path_.c_str());
  }
  ColdFile(const ColdFile&) = delete;
  ColdFile& operator=(const ColdFile&) = delete;

  const std::byte* data() const { return static_cast<const std::byte*>(memory_); }

  /// Pages of [begin, begin + n) that are in memory.
  size_t present(size_t begin, size_t n) const {
    const size_t first = begin / kPage * kPage, size = begin + n - first;
    std::vector<unsigned char> flags((size + kPage - 1) / kPage);
    if (mincore(static_cast<std::byte*>(memory_) + first, size, flags.data()) != 0) return 0;
    return static_cast<size_t>(std::count_if(flags.begin(), flags.end(), [](unsigned char f) { return (f & 1) != 0; }));
  }

 private:
  size_t bytes_;
  std::string path_;
  int file_ = -1;
  void* memory_ = MAP_FAILED;
};

TEST(Prefetch, BringsPartsOfAWeightIntoMemory) {
  constexpr int64_t kRows = 1024, kCols = 4096, kGroup = 8;
  PackedMatrix stack{NumberFormat::kU4, 3, kRows, kCols, kGroup};
  const auto codes = static_cast<size_t>(stack.code_bytes()), scales = static_cast<size_t>(stack.scale_bytes());
  const ColdFile file(codes + scales + static_cast<size_t>(stack.zero_point_bytes()) + 100);
  if (file.present(0, codes + scales) > 0) GTEST_SKIP() << "the file system keeps all pages in memory";
  stack.codes = file.data() + 100;
  stack.scales = stack.codes + codes;
  stack.zero_points = stack.scales + scales;
  const PackedMatrix second = stack.at(1);
  {
    Prefetch prefetch;
    prefetch.add(second);
    prefetch.start();
  }
  const auto complete = [&](const std::byte* begin, int64_t bytes) {
    const auto offset = static_cast<size_t>(begin - file.data()), size = static_cast<size_t>(bytes);
    return file.present(offset, size) == (offset + size + kPage - 1) / kPage - offset / kPage;
  };
  const auto all = [&] {
    return complete(second.codes, second.code_bytes()) && complete(second.scales, second.scale_bytes()) &&
           complete(second.zero_points + second.first_zero_point / 2, second.zero_point_bytes());
  };
  // The disk works by itself; nothing here touches a page. The limit is for a broken program alone.
  for (int i = 0; i < 3000 && !all(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(all());
  EXPECT_EQ(file.present(100, kPage * 64), 0u);  // of the first matrix
}

TEST(ReadAhead, GivesEveryMatrixOnceInOrder) {
  // Addresses that are never read: only the kernel is told about them.
  std::vector<PackedMatrix> order;
  const std::vector<std::byte> memory(size_t{1} << 16);
  for (const int64_t megabytes : {1, 40, 60, 300, 20, 20, 100, 1}) {
    PackedMatrix m{NumberFormat::kF32, 1, megabytes << 10, 256, 0};
    m.codes = memory.data();
    order.push_back(m);
  }
  ReadAhead ahead(order);
  const auto calls = [&](size_t matrices) {
    std::vector<size_t> sizes;
    for (size_t left = matrices; left > 0; left -= sizes.back()) sizes.push_back(ahead.next(left));
    return sizes;
  };
  EXPECT_EQ(calls(4), (std::vector<size_t>{3, 1}));  // 101 MiB, then one that is larger than any limit
  EXPECT_EQ(calls(4), (std::vector<size_t>{2, 2}));  // 40 MiB: 140 would be too many
}

TEST(Prefetch, LeavesOtherMemoryAlone) {
  const std::vector<std::byte> memory(size_t{1} << 20, std::byte{7});
  PackedMatrix m{NumberFormat::kI8, 1, 128, 4096, 4096};
  m.codes = memory.data() + 3;
  m.scales = memory.data() + 128 * 4096 + 3;
  for (int i = 0; i < 2; ++i) {
    Prefetch prefetch;
    prefetch.add(m);
    prefetch.start();
  }
  EXPECT_EQ(std::count(memory.begin(), memory.end(), std::byte{7}), static_cast<std::ptrdiff_t>(memory.size()));
}

}  // namespace
}  // namespace dsv4::ops
