// Snapshots as files: what is written is read again; damaged and foreign files are refused in one line that names them, and no session changes.
#include "runtime/snapshot_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "dsv4/session.h"
#include "runtime/converted_model.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using namespace testing_support;
using Tokens = std::vector<int64_t>;
using Logits = std::vector<float>;

std::string damaged(std::string file, std::mt19937& random) {
  const auto below = [&](size_t limit) { return random() % std::max<size_t>(1, limit); };
  const size_t at = below(2) == 0 ? below(std::min<size_t>(file.size(), 400)) : below(file.size());  // fields, or anything
  switch (below(7)) {
    case 0:
      file[at] = static_cast<char>(file[at] ^ (1 << below(8)));
      break;
    case 1:
      file.resize(at);
      break;
    case 2:
      file.erase(at, 1 + below(64));
      break;
    case 3:
      file.insert(at, std::string(1 + below(64), static_cast<char>(below(256))));
      break;
    case 4: {  // a number
      constexpr int64_t kNumbers[] = {0, 1, -1, 7, 8, 9, INT64_MAX, INT64_MIN, int64_t{1} << 40, 130, 131};
      const int64_t number = kNumbers[below(std::size(kNumbers))];
      const size_t place = std::min(at / 8 * 8, file.size() - 8);
      file.replace(place, 8, reinterpret_cast<const char*>(&number), 8);
      break;
    }
    case 5:
      std::swap(file[at], file[below(file.size())]);
      break;
    default:
      file.append(1 + below(4096), static_cast<char>(below(256)));
  }
  return file;
}

class SnapshotFile : public testing::Test {
 protected:
  SnapshotFile() : folder_(convert_golden("toy", directory_.path())), file_(directory_.path() / "state") {}

  TemporaryDirectory directory_;
  std::filesystem::path folder_, file_;
  Tokens tokens_ = dsv4_test::golden_tokens("toy");
};

void expect_equal(const Snapshot& a, const Snapshot& b) {
  EXPECT_EQ(a.position, b.position);
  EXPECT_EQ(a.back, b.back);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(a.digest, b.digest);
  ASSERT_EQ(a.states.size(), b.states.size());
  for (const auto& [name, state] : a.states) {
    const Snapshot::State& other = b.states.at(name);
    EXPECT_EQ(state.type, other.type);
    EXPECT_EQ(state.shape, other.shape);
    EXPECT_EQ(state.bytes, other.bytes);
  }
}

TEST_F(SnapshotFile, HoldsTheSnapshotOfEveryProgram) {
  const std::filesystem::path prefill_only = convert_golden("toy", directory_.path(), false);
  for (const auto& [folder, program] :
       {std::pair{folder_, Program::kCpu}, {folder_, Program::kPortable}, {prefill_only, Program::kPortable}}) {
    const Engine engine(folder, every_position(program));
    Session session(engine), other(engine);
    for (const size_t position : {size_t{0}, size_t{131}}) {
      if (position > 0) session.feed(std::span(tokens_).first(position));
      const Snapshot snapshot = session.save();
      int64_t bytes = std::ssize(snapshot.tokens) * 8;
      for (const auto& [name, state] : snapshot.states) bytes += std::ssize(state.bytes);
      EXPECT_EQ(session.snapshot_bytes(), bytes);
      write_snapshot(snapshot, file_);
      expect_equal(read_snapshot(file_), snapshot);
      other.restore(read_snapshot(file_));
      EXPECT_EQ(other.position(), session.position());
    }
    EXPECT_EQ(other.feed(std::span(tokens_).subspan(131, 9)), session.feed(std::span(tokens_).subspan(131, 9)));
  }
}

TEST_F(SnapshotFile, ThatIsDamagedIsRefused) {
  const Engine engine(folder_, last_position(Program::kCpu));
  Session session(engine);
  session.feed(std::span(tokens_).first(130));
  write_snapshot(session.save(), file_);
  const std::string good = read_file(file_);
  const Logits expected = session.feed(Tokens{7});
  session.rewind(1);
  std::mt19937 random(3);
  for (int tried = 0; tried < 2000;) {
    const std::string bad = damaged(good, random);
    if (bad == good) continue;
    ++tried;
    write_file(file_, bad);
    const std::string message = error_of([&] { session.restore(read_snapshot(file_)); });
    ASSERT_THAT(message, StartsWith(file_.string() + ": ")) << "attempt " << tried;
    ASSERT_EQ(message.find('\n'), std::string::npos);
    ASSERT_EQ(session.position(), 130);
  }
  EXPECT_EQ(session.feed(Tokens{7}), expected);
}

TEST_F(SnapshotFile, ThatIsSomethingElseIsRefused) {
  const auto refusal = [&] { return error_of([&] { read_snapshot(file_); }); };
  EXPECT_THAT(refusal(), AllOf(StartsWith(file_.string()), HasSubstr("No such file")));
  for (const std::string& text : {std::string(), std::string("DSV4ST"), std::string(100, '\0'), read_file(folder_ / "config.json")}) {
    write_file(file_, text);
    EXPECT_THAT(refusal(), AllOf(StartsWith(file_.string()), HasSubstr("no snapshot"))) << text;
  }
  std::filesystem::remove(file_);
  std::filesystem::create_directory(file_);
  EXPECT_THAT(refusal(), HasSubstr("is no file"));
  std::filesystem::remove(file_);

  const Engine engine(folder_, last_position(Program::kCpu));
  write_snapshot(Session(engine).save(), file_);
  std::string later = read_file(file_);
  later[8] = 2;
  write_file(file_, later);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("form 2"), HasSubstr("reads form 1")));

  EngineOptions options = last_position(Program::kCpu);
  options.cache = CachePrecision::kBF16;
  Session rounded{Engine(folder_, options)};
  rounded.feed(Tokens{1, 2, 3});
  write_snapshot(rounded.save(), file_);
  EXPECT_THAT(error_of([&] { Session(engine).restore(read_snapshot(file_)); }), HasSubstr("other options"));
}

TEST_F(SnapshotFile, AppearsWholeOrNotAtAll) {
  const Engine engine(folder_, last_position(Program::kCpu));
  const Snapshot snapshot = Session(engine).save();
  const std::filesystem::path nowhere = directory_.path() / "no" / "state";
  EXPECT_THAT(error_of([&] { write_snapshot(snapshot, nowhere); }), AllOf(HasSubstr(nowhere.string()), HasSubstr("No such file")));
  EXPECT_THAT(error_of([&] { check_snapshot_path(nowhere); }), HasSubstr("No such file"));
  EXPECT_THAT(error_of([&] { check_snapshot_path(directory_.path()); }), HasSubstr("no regular file"));
  EXPECT_THAT(error_of([&] { write_snapshot(snapshot, "/dev/null"); }), HasSubstr("no regular file"));
  write_file(file_, "what was there");
  check_snapshot_path(file_);
  EXPECT_EQ(read_file(file_), "what was there");
  write_snapshot(snapshot, file_);
  expect_equal(read_snapshot(file_), snapshot);
  std::filesystem::create_symlink(file_, directory_.path() / "link");
  write_file(file_, "what was there");
  write_snapshot(snapshot, directory_.path() / "link");
  EXPECT_TRUE(std::filesystem::is_symlink(directory_.path() / "link"));
  expect_equal(read_snapshot(file_), snapshot);
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) EXPECT_NE(entry.path().extension(), ".partial");
}

}  // namespace
}  // namespace dsv4
