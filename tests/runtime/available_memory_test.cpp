// What may be taken of memory, from trees of /proc and of control groups that the tests write.
#include "runtime/available_memory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <string>

#include "support/files.h"

namespace dsv4 {
namespace {

constexpr uint64_t kMega = 1 << 20;
constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

class AvailableMemory : public testing::Test {
 protected:
  AvailableMemory() {
    put("proc/meminfo", "MemTotal:       64000000 kB\nMemFree:         1000 kB\nMemAvailable:    1024000 kB\nHugePages_Total:       0\n");
  }

  void put(const std::string& file, const std::string& text) {
    std::filesystem::create_directories((root_.path() / file).parent_path());
    testing_support::write_file(root_.path() / file, text);
  }
  /// A group of version 2, in MB.
  void group(const std::string& where, const std::string& max, uint64_t current, uint64_t cache = 0, const std::string& high = "max") {
    put(where + "/memory.max", max + "\n");
    put(where + "/memory.high", high + "\n");
    put(where + "/memory.current", std::to_string(current * kMega) + "\n");
    put(where + "/memory.stat",
        "anon 7\nfile 123\ninactive_anon 99\nactive_file 0\ninactive_file " + std::to_string(cache * kMega) + "\nslab 5\n");
  }
  /// One of version 1.
  void old_group(const std::string& where, uint64_t limit, uint64_t usage, uint64_t cache = 0) {
    put(where + "/memory.limit_in_bytes", std::to_string(limit * kMega) + "\n");
    put(where + "/memory.usage_in_bytes", std::to_string(usage * kMega) + "\n");
    put(where + "/memory.stat",
        "cache 1\ninactive_file 1\nactive_file 1\ntotal_inactive_file " + std::to_string(cache * kMega) + "\ntotal_active_file 0\n");
  }
  void mounts(const std::string& lines) { put("proc/self/mountinfo", "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n" + lines); }
  void own(const std::string& lines) { put("proc/self/cgroup", lines); }
  static std::string mega(uint64_t n) { return std::to_string(n * kMega); }
  uint64_t available() const { return available_memory(root_.path()) / kMega; }

  testing_support::TemporaryDirectory root_;
};

const char kMount2[] = "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
const char kMount1[] = "31 22 0:27 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory\n";

TEST_F(AvailableMemory, IsTheMachinesWhereThereAreNoGroups) { EXPECT_EQ(available(), 1000u); }

TEST_F(AvailableMemory, IsUnlimitedWhereNothingIsKnown) {
  std::filesystem::remove_all(root_.path() / "proc");
  EXPECT_EQ(available_memory(root_.path()), kUnlimited);
}

TEST_F(AvailableMemory, IsWhatTheOwnGroupLeaves) {
  mounts(kMount2);
  own("0::/user.slice/job\n");
  group("sys/fs/cgroup/user.slice/job", mega(800), 300);
  EXPECT_EQ(available(), 500u);
}

TEST_F(AvailableMemory, CountsThePageCacheOfAGroupAsFree) {
  mounts(kMount2);
  own("0::/job\n");
  group("sys/fs/cgroup/job", mega(800), 700, 650);
  EXPECT_EQ(available(), 750u);
  put("sys/fs/cgroup/job/memory.stat", "active_file " + mega(100) + "\ninactive_file " + mega(200) + "\n");
  EXPECT_EQ(available(), 400u);
}

TEST_F(AvailableMemory, IsTheLeastOfAllParents) {
  mounts(kMount2);
  own("0::/a/b/c\n");
  group("sys/fs/cgroup/a", mega(600), 500);
  group("sys/fs/cgroup/a/b", "max", 450);
  group("sys/fs/cgroup/a/b/c", mega(400), 10);
  EXPECT_EQ(available(), 100u);
  group("sys/fs/cgroup/a/b/c", mega(50), 10);
  EXPECT_EQ(available(), 40u);
}

TEST_F(AvailableMemory, OtherGroupsDoNotCount) {
  mounts(kMount2);
  own("0::/a/b\n");
  group("sys/fs/cgroup/a/other", mega(10), 0);
  group("sys/fs/cgroup/b", mega(10), 0);
  EXPECT_EQ(available(), 1000u);
}

TEST_F(AvailableMemory, MemoryHighIsALimitToo) {
  mounts(kMount2);
  own("0::/job\n");
  group("sys/fs/cgroup/job", mega(800), 100, 0, mega(300));
  EXPECT_EQ(available(), 200u);
}

TEST_F(AvailableMemory, IsNothingAboveALimit) {
  mounts(kMount2);
  own("0::/job\n");
  group("sys/fs/cgroup/job", mega(100), 150);
  EXPECT_EQ(available(), 0u);
}

TEST_F(AvailableMemory, MaxAndGarbageAreNoLimits) {
  mounts(kMount2);
  own("0::/job\n");
  for (const std::string text : {"max", "", "-1", "monkeys", "99999999999999999999999999", "0x10", "\xff\xfe"}) {
    group("sys/fs/cgroup/job", text, 10);
    EXPECT_EQ(available(), 1000u) << text;
  }
  group("sys/fs/cgroup/job", mega(100), 10);
  put("sys/fs/cgroup/job/memory.current", "none\n");
  EXPECT_EQ(available(), 1000u);
}

TEST_F(AvailableMemory, TornFilesOfProcAreNoLimits) {
  group("sys/fs/cgroup/job", mega(100), 10);
  for (const std::string lines : {"", "\n", "0\n", "0:\n", "0::\n", "::::\n", "memory\n", "0::relative\n"}) {
    mounts(kMount2);
    own(lines);
    EXPECT_EQ(available(), 1000u) << lines;
  }
  own("0::/job\n");
  for (const std::string lines : {"", " - \n", "30 22 0:26 / - cgroup2\n", "30 22 0:26 / /sys/fs/cgroup rw cgroup2 cgroup2 rw\n",
                                  "30 22 0:26 / /sys/fs/cgroup rw - cgroup\n"}) {
    mounts(lines);
    EXPECT_EQ(available(), 1000u) << lines;
  }
}

TEST_F(AvailableMemory, Version1HasItsOwnNames) {
  mounts(kMount1);
  own("9:name=systemd:/elsewhere\n4:cpu,memory:/jobs/one\n");
  old_group("sys/fs/cgroup/memory", kUnlimited / kMega / 2, 5000);  // version 1 writes "no limit" as 2^63 less a page
  old_group("sys/fs/cgroup/memory/jobs", 700, 600, 400);
  old_group("sys/fs/cgroup/memory/jobs/one", 900, 100);
  EXPECT_EQ(available(), 500u);
}

TEST_F(AvailableMemory, BothVersionsAtOnceAreBothKept) {
  mounts(std::string(kMount1) +
         "32 22 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n33 22 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
  own("4:memory:/old\n1:cpu:/old\n0::/new\n");
  old_group("sys/fs/cgroup/memory/old", 700, 100);
  group("sys/fs/cgroup/unified/new", mega(500), 100);
  EXPECT_EQ(available(), 400u);
  group("sys/fs/cgroup/unified/new", "max", 100);
  EXPECT_EQ(available(), 600u);
}

TEST_F(AvailableMemory, AContainerSeesItsOwnGroupAtTheTop) {
  // Bound into the container, which knows the group's name outside (no namespace of groups) or does not (a namespace, or another name).
  mounts("31 22 0:27 /docker/ab12 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
  old_group("sys/fs/cgroup/memory", 300, 100);
  old_group("sys/fs/cgroup/memory/inner", 150, 50);
  own("4:memory:/docker/ab12\n");
  EXPECT_EQ(available(), 200u);
  own("4:memory:/docker/ab12/inner\n");
  EXPECT_EQ(available(), 100u);
  own("4:memory:/\n");
  EXPECT_EQ(available(), 200u);
  own("4:memory:/docker/ab123\n");
  EXPECT_EQ(available(), 200u);
  own("4:memory:/../../outside\n");
  EXPECT_EQ(available(), 200u);
}

TEST_F(AvailableMemory, MountPointsMayHaveBlanks) {
  mounts("30 22 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw\n");
  own("0::/a:b c\n");
  group("my groups/a:b c", mega(200), 50);
  EXPECT_EQ(available(), 150u);
}

TEST(AvailableMemoryHere, IsNoMoreThanTheMachineHas) {
  std::ifstream in("/proc/meminfo");
  std::string key;
  uint64_t total = 0;
  in >> key >> total;
  ASSERT_EQ(key, "MemTotal:");
  EXPECT_GT(available_memory(), 0u);
  EXPECT_LE(available_memory(), total * 1024);
}

}  // namespace
}  // namespace dsv4
