// What the kernel says is free, for the machine and for the control groups around this process.
#include "runtime/available_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

/// "123\n" of a control group's file; kUnlimited for "max", for what is no number and for a file that is not there.
uint64_t read_number(const fs::path& file) {
  std::ifstream in(file);
  std::string word;
  in >> word;
  const bool number = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
  uint64_t value = 0;
  return number && std::istringstream(word) >> value ? value : kUnlimited;
}

/// The sum of the numbers behind these keys of a file with a key and a number a line.
uint64_t sum_of(const fs::path& file, std::initializer_list<std::string_view> keys) {
  std::ifstream in(file);
  uint64_t sum = 0, value = 0;
  for (std::string key; in >> key >> value;) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) sum += value;
  }
  return sum;
}

/// Words between `separator`s.
std::vector<std::string> words(const std::string& text, char separator) {
  std::vector<std::string> found;
  std::istringstream in(text);
  for (std::string word; std::getline(in, word, separator);) found.push_back(word);
  return found;
}

bool contains(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

/// A path of mountinfo, in which blanks, line ends and backslashes are \ and three octal digits.
fs::path unescaped(std::string_view text) {
  std::string path;
  while (!text.empty()) {
    const bool octal =
        text.size() >= 4 && text[0] == '\\' && std::all_of(text.begin() + 1, text.begin() + 4, [](char c) { return c >= '0' && c <= '7'; });
    path += octal ? static_cast<char>((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0')) : text[0];
    text.remove_prefix(octal ? 4 : 1);
  }
  return path;
}

/// Where groups that limit memory are mounted.
struct Mount {
  bool version2 = false;
  fs::path group;  // that the mount shows at its top
  fs::path point;
};

std::vector<Mount> memory_mounts(const fs::path& root) {
  std::vector<Mount> mounts;
  std::ifstream in(root / "proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    // 30 23 0:26 /group /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::vector<std::string> before = words(line.substr(0, dash), ' '), after = words(line.substr(dash + 3), ' ');
    if (before.size() < 5 || after.empty()) continue;
    const bool version2 = after[0] == "cgroup2",
               version1 = after[0] == "cgroup" && after.size() >= 3 && contains(words(after[2], ','), "memory");
    if (version1 || version2) mounts.push_back({version2, unescaped(before[3]), unescaped(before[4])});
  }
  return mounts;
}

/// This process's group of the version that limits memory, as /proc/self/cgroup has it; empty where it is in none.
fs::path own_group(const fs::path& root, bool version2) {
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    // 4:cpu,memory:/group or, of version 2, 0::/group; a group's name may have colons
    const size_t first = line.find(':'), second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (version2 ? line.starts_with("0:") && controllers.empty() : contains(words(controllers, ','), "memory"))
      return line.substr(second + 1);
  }
  return {};
}

/// What one group leaves of its own limit.
uint64_t left_in(const fs::path& group, bool version2) {
  uint64_t limit = version2 ? std::min(read_number(group / "memory.max"),
                                       read_number(group / "memory.high"))  // above "high" it is slowed down until it stands
                            : read_number(group / "memory.limit_in_bytes");
  const uint64_t used = read_number(group / (version2 ? "memory.current" : "memory.usage_in_bytes"));
  if (limit == kUnlimited || used == kUnlimited) return kUnlimited;
  const uint64_t cache = version2 ? sum_of(group / "memory.stat", {"inactive_file", "active_file"})
                                  : sum_of(group / "memory.stat", {"total_inactive_file", "total_active_file"});  // with the groups below
  const uint64_t taken = used - std::min(cache, used);
  return limit - std::min(taken, limit);
}

}  // namespace

uint64_t available_memory(const fs::path& root) {
  uint64_t available = kUnlimited;
  std::ifstream in(root / "proc/meminfo");
  std::string key;
  for (uint64_t kilobytes = 0; in >> key >> kilobytes; in.ignore(std::numeric_limits<std::streamsize>::max(), '\n')) {
    if (key == "MemAvailable:") available = kilobytes * 1024;
  }
  for (const Mount& mount : memory_mounts(root)) {
    // The way from the mount's top to the own group. A container may show its own group as the top, whether or not it knows that group's name.
    const fs::path below = own_group(root, mount.version2).lexically_relative(mount.group);
    fs::path group = root / mount.point.relative_path();
    available = std::min(available, left_in(group, mount.version2));
    if (below.empty() || *below.begin() == "..") continue;
    for (const fs::path& name : below) {
      if (name == ".") continue;
      group /= name;
      available = std::min(available, left_in(group, mount.version2));
    }
  }
  return available;
}

}  // namespace dsv4
