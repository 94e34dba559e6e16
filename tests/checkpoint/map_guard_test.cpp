// A shard that is truncated between the check and the read.
#include "checkpoint/map_guard.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>

#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_writer.h"

namespace dsv4::test {
namespace {

std::string two_pages() { return safetensors_bytes({{"w", "F32", {4096}, std::string(4 * 4096, '\1')}}); }

int sum_after_truncation(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  const std::span<const std::byte> bytes = file.bytes("w");
  std::filesystem::resize_file(path, 100);  // after the check
  int sum = 0;
  for (const std::byte byte : bytes) sum += static_cast<int>(byte);
  return sum;
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
      testing::ExitedWithCode(1), "dsv4: error: .*model-00007-of-00009.safetensors: cannot be read any more.*truncated");
}

TEST(MapGuardDeathTest, OtherFaultsStayWhatTheyAre) {
  const TempDir directory;
  const std::filesystem::path path = directory / "other";
  write_file(path, std::string(8192, 'x'));
  EXPECT_EXIT(
      {
        report_unreadable_maps();
        const int fd = ::open(path.c_str(), O_RDONLY);
        const auto* map = static_cast<const volatile char*>(::mmap(nullptr, 8192, PROT_READ, MAP_PRIVATE, fd, 0));
        std::filesystem::resize_file(path, 0);
        ::_exit(map[5000] == 'x' ? 2 : 3);
      },
      testing::KilledBySignal(SIGBUS), "");
}

TEST(MapGuard, SlotsAreUsedAgain) {
  const int value = 0;
  for (int i = 0; i < 5000; ++i) const MapGuard guard(&value, sizeof value, "a file");
  std::vector<std::unique_ptr<MapGuard>> many;  // more than there are slots: no harm
  for (int i = 0; i < 2000; ++i) many.push_back(std::make_unique<MapGuard>(&value, sizeof value, std::string(5000, 'p')));
}

}  // namespace
}  // namespace dsv4::test
