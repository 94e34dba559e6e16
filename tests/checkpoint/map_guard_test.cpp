// A mapped file that is truncated between the check and the read.
#include "checkpoint/map_guard.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_writer.h"

namespace dsv4::test {
namespace {

using testing::ExitedWithCode;

std::string two_pages() { return safetensors_bytes({{"w", "F32", {4096}, std::string(4 * 4096, '\1')}}); }

int sum_after_truncation(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  const std::span<const std::byte> bytes = file.bytes("w");
  std::filesystem::resize_file(path, 100);  // after the check
  int sum = 0;
  for (const std::byte byte : bytes) sum += static_cast<int>(byte);
  return sum;
}

/// A map of a file of two pages that has none any more; nobody knows of it but the kernel.
const volatile char* cut_map(const std::filesystem::path& path) {
  write_file(path, std::string(8192, 'x'));
  const int fd = ::open(path.c_str(), O_RDONLY);
  const auto* map = static_cast<const volatile char*>(::mmap(nullptr, 8192, PROT_READ, MAP_PRIVATE, fd, 0));
  std::filesystem::resize_file(path, 0);
  return map;
}

TEST(MapGuardDeathTest, AShardThatEndsWhileItIsReadIsNamed) {
  const TempDir directory;
  const std::filesystem::path path = directory / "model-00007-of-00009.safetensors";
  write_file(path, two_pages());
  EXPECT_EXIT(
      {
        report_unreadable_maps();
        ::_exit(sum_after_truncation(path) == 0 ? 2 : 3);
      },
      ExitedWithCode(1), "dsv4: error: .*model-00007-of-00009.safetensors: cannot be read any more.*truncated");
}

TEST(MapGuardDeathTest, AMapOfAnybodyIsNamed) {
  const TempDir directory;
  EXPECT_EXIT(
      {
        report_unreadable_maps();
        ::_exit(cut_map(directory / "other file")[5000] == 'x' ? 2 : 3);
      },
      ExitedWithCode(1), "^dsv4: error: /.*other file: cannot be read any more[^\n]*\n$");
}

TEST(MapGuardDeathTest, ItsNameIsOneLine) {
  const TempDir directory;
  EXPECT_EXIT(
      {
        report_unreadable_maps();
        ::_exit(cut_map(directory / "a\nb\x1b[31m\xC2\x9B\xE2\x80\xAE\xFF.bin")[0] == 'x' ? 2 : 3);
      },
      ExitedWithCode(1), R"(^dsv4: error: /.*a\\012b\\x1b\[31m\\u009b\\u202e\\xff\.bin: cannot be read any more)");
}

TEST(MapGuardDeathTest, ManyThreadsGiveOneLine) {
  const TempDir directory;
  EXPECT_EXIT(
      {
        report_unreadable_maps();
        const volatile char* map = cut_map(directory / "other");
        std::vector<std::thread> threads;
        for (int i = 0; i < 16; ++i) threads.emplace_back([map, i] { ::_exit(map[500 * i] == 'x' ? 2 : 3); });
        for (std::thread& thread : threads) thread.join();
      },
      ExitedWithCode(1), "^dsv4: error: [^\n]*\n$");
}

TEST(MapGuardDeathTest, OtherFaultsStayWhatTheyAre) {
  EXPECT_EXIT(
      {
        report_unreadable_maps();
        std::raise(SIGBUS);  // no map is there
        std::raise(SIGBUS);
        ::_exit(2);
      },
      testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace dsv4::test
