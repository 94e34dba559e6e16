// Conversions killed anywhere: at random moments, with sources and options changed in between, and at every step by which a folder gets its name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <random>
#include <set>
#include <thread>

#include "convert/convert.h"
#include "convert/file_list.h"
#include "support/files.h"

namespace dsv4 {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace testing_support;
namespace fs = std::filesystem;

const fs::path kHash = fs::path(DSV4_TEST_DATA) / "goldens/hash";

/// All files of a folder but the .xml, whose nodes OpenVINO numbers through the life of the process, the list that has its hash, and its size in the card.
std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const std::string& name : names_in(folder)) {
    if (name != "openvino_model.xml" && name != kFileListName) files[name] = read_file(folder / name);
  }
  std::string& card = files["README.md"];
  const size_t line = card.find("| `openvino_model.xml` |");
  if (line != std::string::npos) card.erase(line, card.find('\n', line) - line);
  return files;
}

class Killed : public testing::Test {
 protected:
  Killed() {
    fs::copy(kHash, checkpoint());
    write_file(checkpoint() / "LICENSE", "a licence");
  }

  fs::path checkpoint() const { return directory_.path() / "checkpoint"; }
  fs::path output() const { return directory_.path() / "out/model"; }
  fs::path undisturbed_output() const { return directory_.path() / "undisturbed/model"; }

  ConvertOptions options() const {
    ConvertOptions o;
    o.checkpoint = checkpoint();
    o.output = output();
    o.compression.format = WeightFormat::kInt4;
    o.compression.fallback = GroupSizeFallback::kAdjust;
    o.record_bytes = 1 << 19;
    if (turn_++ % 2 == 0) o.direct_bytes = 0;  // past the page cache and through it, one going on with the other's work
    return o;
  }

  std::map<std::string, std::string> undisturbed(ConvertOptions o) const {
    o.output = undisturbed_output();
    convert(o);
    const auto files = contents(o.output);
    fs::remove_all(o.output);
    return files;
  }

  /// As a user does: the same command again, unless the model is there. Everything is right then, and nothing else is left.
  void expect_completed(const ConvertOptions& o, const std::map<std::string, std::string>& expected) const {
    const std::string message = error_of([&] { convert(o); });
    if (!message.empty()) {
      EXPECT_THAT(message, HasSubstr("exists and is not empty"));
    }
    ASSERT_TRUE(fs::exists(output() / kFileListName)) << message << testing::PrintToString(names_in(output().parent_path()));
    EXPECT_TRUE(check_files(output(), read_file_list(output()).value(), nullptr).empty());
    const auto made = contents(output());
    for (const auto& [name, bytes] : expected) {
      ASSERT_TRUE(made.contains(name)) << name;
      const std::string& other = made.at(name);
      const auto at = std::mismatch(bytes.begin(), bytes.end(), other.begin(), other.end()).first - bytes.begin();
      EXPECT_TRUE(bytes == other) << name << ", of " << bytes.size() << " and " << other.size()
                                  << " bytes, differs from a conversion that nothing disturbs at " << at;
    }
    EXPECT_EQ(made.size(), expected.size());
    EXPECT_THAT(names_in(output().parent_path()), ElementsAre("model"));
  }

  /// Other bytes in the last byte of every tensor of a shard, under its size and time: another fine-tune of the same model.
  void change_weights(unsigned seed) const {
    for (const std::string& name : names_in(checkpoint())) {
      if (!name.starts_with("model-") || !name.ends_with(".safetensors")) continue;
      const fs::path file = checkpoint() / name;
      const auto time = fs::last_write_time(file);
      std::string bytes = read_file(kHash / name);
      const StoredTensors stored(kHash / name);
      for (const std::string& tensor : stored.names()) {
        if (stored.dtype(tensor) == "BF16")
          bytes[stored.place(tensor)] = static_cast<char>(bytes[stored.place(tensor)] ^ static_cast<char>(seed));
      }
      write_file(file, bytes);
      fs::last_write_time(file, time);
    }
  }

  /// Kills 'count' conversions at random moments and changes things in between; then one goes to its end.
  void random_kills(int count, unsigned seed) const {
    std::mt19937 random(seed);
    ConvertOptions o = options();
    unsigned weights = 0;
    std::string log;
    const auto start = std::chrono::steady_clock::now();
    undisturbed(o);
    const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
    for (int i = 0; i < count; ++i) {
      SCOPED_TRACE(concat("kill ", i, ", seed ", seed, log));
      const pid_t child = ::fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        try {
          convert(o);
        } catch (const std::exception&) {
          ::_exit(1);
        }
        ::_exit(0);
      }
      std::this_thread::sleep_for(std::chrono::microseconds(std::uniform_int_distribution<int64_t>(0, 5 * whole.count() / 4)(random)));
      ::kill(child, SIGKILL);
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      ASSERT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) != 0) << "it did not go on";
      const bool complete = fs::exists(output());
      const unsigned change = complete ? 3 : std::uniform_int_distribution<unsigned>(0, 7)(random);
      if (complete || change >= 6 || i + 1 == count) {
        expect_completed(o, undisturbed(o));
        fs::remove_all(output());
      } else if (change == 0) {
        change_weights(++weights % 2);
        log += concat("; weights changed after kill ", i);
      } else if (change == 1) {
        o.stateful = !o.stateful;
        log += concat("; stateful changed after kill ", i);
      } else if (change == 2) {
        write_file(checkpoint() / "LICENSE", concat("licence ", i));
      }
    }
  }

  TemporaryDirectory directory_;
  mutable int turn_ = 0;
};

TEST_F(Killed, AtRandomMomentsNothingIsLostOrMixed) { random_kills(20, 1); }
TEST_F(Killed, Full_AtRandomMomentsNothingIsLostOrMixed) {
  for (unsigned seed = 2; seed < 10; ++seed) random_kills(25, seed);
}

const std::set<uint64_t> kRenames = {
#ifdef SYS_rename
    SYS_rename,   SYS_unlink,    SYS_rmdir,    SYS_mkdir,
#endif
    SYS_renameat, SYS_renameat2, SYS_unlinkat, SYS_mkdirat};

/// From now on this process finds a file system that cannot exchange two names.
void without_exchange() {
  sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program = {std::size(filter), filter};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) ::_exit(2);
}

/// Runs the conversion in a process that is killed before the call number `n` of its first thread that names, renames or removes something. False when it
/// came to its end before.
bool killed_before_call(int n, const ConvertOptions& o, bool exchange = true) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!exchange) without_exchange();
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    std::raise(SIGSTOP);
    try {
      convert(o);
    } catch (const std::exception&) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  for (int calls = 0;;) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      return false;
    }
    if (!WIFSTOPPED(status)) return true;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    __ptrace_syscall_info info = {};
    ::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !kRenames.contains(info.entry.nr) || calls++ < n) continue;
    ::kill(child, SIGKILL);
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return true;
  }
}

bool may_trace() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 1);
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class KilledAtEveryStep : public Killed {
 protected:
  void steps(int stride);
  void replacing_steps(int stride);
};

void KilledAtEveryStep::steps(int stride) {
  if (!may_trace()) GTEST_SKIP() << "ptrace is not permitted here";
  ConvertOptions o = options();
  o.record_bytes = 1u << 30;  // none but the first and the last
  const auto expected = undisturbed(o);
  for (const bool there : {false, true}) {
    int steps = 0;
    for (bool killed = true; killed; steps += stride) {
      SCOPED_TRACE(concat(there ? "into a folder that is there" : "to a new folder", ", step ", steps));
      if (there) fs::create_directories(output());
      killed = killed_before_call(steps, o);
      expect_completed(o, expected);
      fs::remove_all(output().parent_path());
    }
    EXPECT_GT(steps, 8) << "the steps were not seen";
  }
}

TEST_F(KilledAtEveryStep, OfTheNamingTheNextRunCompletes) { steps(4); }
TEST_F(KilledAtEveryStep, Full_OfTheNamingTheNextRunCompletes) { steps(1); }

/// Whether one of the two models is whole, under its name or beside it.
bool is_whole(const fs::path& folder, const std::map<std::string, std::string>& expected) {
  if (!fs::exists(folder / kFileListName)) return false;
  auto found = contents(folder);
  for (const char* mark : {".dsv4-progress.json", ".dsv4-replacing"}) found.erase(mark);
  return found == expected;
}

void KilledAtEveryStep::replacing_steps(int stride) {
  if (!may_trace()) GTEST_SKIP() << "ptrace is not permitted here";
  ConvertOptions o = options(), old = options();
  o.record_bytes = 1u << 30;
  old.compression.format = WeightFormat::kInt8;
  const auto expected = undisturbed(o), before = undisturbed(old);
  o.overwrite = true;
  for (const bool exchange : {true, false}) {
    int steps = 0;
    for (bool killed = true; killed; steps += stride) {
      SCOPED_TRACE(concat(exchange ? "exchanged" : "moved aside", ", step ", steps));
      convert(old);
      killed = killed_before_call(steps, o, exchange);
      const fs::path aside = output().string() + ".replaced";
      EXPECT_TRUE(is_whole(output(), before) || is_whole(output(), expected) || is_whole(aside, before))
          << testing::PrintToString(names_in(output().parent_path()));
      if (exchange) {
        EXPECT_TRUE(fs::exists(output() / "openvino_model.xml")) << "the name is never without a model";
      }
      convert(o);
      EXPECT_TRUE(is_whole(output(), expected));
      EXPECT_EQ(contents(output()).size(), expected.size()) << "no marks are left";
      EXPECT_THAT(names_in(output().parent_path()), ElementsAre("model"));
      fs::remove_all(output().parent_path());
    }
    EXPECT_GT(steps, 8) << "the steps were not seen";
  }
}

TEST_F(KilledAtEveryStep, OfReplacingAFolderOneOfTheTwoIsWhole) { replacing_steps(5); }
TEST_F(KilledAtEveryStep, Full_OfReplacingAFolderOneOfTheTwoIsWhole) { replacing_steps(1); }

TEST_F(Killed, AnOverwritingConversionThatWasInterruptedGoesOnLikeAnyOther) {
  ConvertOptions o = options();
  const auto expected = undisturbed(o);
  ConvertOptions old = options();
  old.compression.format = WeightFormat::kInt8;
  convert(old);
  const auto before = contents(output());
  o.overwrite = true;
  std::atomic<bool> stop = false;
  o.stop = &stop;
  o.progress = [&](uint64_t done, uint64_t total) { stop = done > total / 2; };
  EXPECT_THAT(error_of([&] { convert(o); }), HasSubstr("the same command goes on"));
  EXPECT_EQ(contents(output()), before) << "the old one stays until the new one is complete";
  std::string notices;
  o.notice = [&](const std::string& line) { notices += line; };
  o.stop = nullptr;
  convert(o);
  EXPECT_THAT(notices, HasSubstr("going on"));
  EXPECT_TRUE(is_whole(output(), expected));
  EXPECT_THAT(names_in(output().parent_path()), ElementsAre("model"));
}

}  // namespace
}  // namespace dsv4
