// Random walks of a session: tokens, ways back, forks, snapshots in files. Every row of logits of the tokens that remain has the bits of a fresh session's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "dsv4/session.h"
#include "runtime/converted_model.h"

namespace dsv4 {
namespace {

using namespace testing_support;
using Tokens = std::vector<int64_t>;
using Logits = std::vector<float>;

constexpr size_t kVocabulary = 512;

/// A session and the tokens and rows of logits of its sequence.
class Walk {
 public:
  Walk(const Engine& engine, std::filesystem::path file, uint32_t seed) : session_(engine), file_(std::move(file)), random_(seed) {
    // The start, the middle of a block of 4, the ends of blocks of 4 and 128, the wrap of the window (128 rows) and of its ring (136).
    constexpr int64_t kStarts[] = {0, 2, 117, 120, 124, 127, 128, 131, 134, 250, 256, 261};
    add(kStarts[seed % std::size(kStarts)]);
  }

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
      add(1 + below(8));
      step();
      EXPECT_EQ(session_.position(), std::ssize(tokens_));
    }
    add(3);
  }

  void expect_bits_of(Session fresh) const {
    const Logits expected = fresh.feed(tokens_);
    ASSERT_EQ(expected.size(), logits_.size());
    for (size_t row = 0; row < tokens_.size(); ++row) {
      const size_t at = row * kVocabulary;
      ASSERT_EQ(std::memcmp(&expected[at], &logits_[at], kVocabulary * sizeof(float)), 0) << "position " << row << " of " << tokens_.size();
    }
  }

 private:
  int64_t below(int64_t limit) { return static_cast<int64_t>(random_() % static_cast<uint32_t>(limit)); }

  void add(int64_t n) {
    if (n == 0) return;
    Tokens fresh;
    for (int64_t i = 0; i < n; ++i) fresh.push_back(below(kVocabulary));
    const Logits rows = session_.feed(fresh);
    tokens_.insert(tokens_.end(), fresh.begin(), fresh.end());
    logits_.insert(logits_.end(), rows.begin(), rows.end());
  }

  void cut(int64_t position) {
    tokens_.resize(static_cast<size_t>(position));
    logits_.resize(static_cast<size_t>(position) * kVocabulary);
  }

  void step() {
    const int64_t position = session_.position();
    switch (below(7)) {
      case 0: {
        Session other = session_.fork();
        if (below(2) == 0) other.feed(Tokens{1, 2, 3, 4, 5, 6, 7, 8, 9});  // the other one writes
        if (below(2) == 0) session_ = session_.fork();
        EXPECT_EQ(other.position() % 9, position % 9);
        break;
      }
      case 1:
        EXPECT_EQ(std::ssize(session_.save().states.at("cache").bytes), session_.snapshot_bytes());
        write_snapshot(session_.save(), file_);
        session_ = Session(session_.engine());
        session_.restore(read_snapshot(file_));
        known_from_ = position;
        session_.keep();
        break;
      case 2:
        session_.keep(3);
        EXPECT_LE(session_.kept().size(), 3u);
        break;
      case 3: {
        const std::vector<int64_t> kept = session_.kept();
        const int64_t least = known_from_ == 0 ? 0 : kept.empty() ? position : kept.front();
        const int64_t to = least + below(position - least + 1);
        int64_t from = 0;
        for (const int64_t k : kept) from = k <= to ? k : from;
        const bool rewound = position - to <= session_.rewindable();
        EXPECT_EQ(session_.truncate(to), rewound ? 0 : to - from);
        cut(to);
        break;
      }
      default: {
        const int64_t n = std::min(below(9), session_.rewindable());
        session_.rewind(n);
        cut(position - n);
      }
    }
  }

  Session session_;
  std::filesystem::path file_;
  std::mt19937 random_;
  int64_t known_from_ = 0;
  Tokens tokens_;
  Logits logits_;
};

void walk(uint32_t first_seed, uint32_t walks, bool exact) {
  const TemporaryDirectory directory;
  EngineOptions options = every_position(Program::kCpu);
  if (!exact) {
    options.activations = ActivationRounding::kInt8;
    options.cache = CachePrecision::kBF16;
  }
  const Engine engine(convert_golden("toy", directory.path()), options);
  for (uint32_t seed = first_seed; seed < first_seed + walks; ++seed) {
    SCOPED_TRACE(seed);
    Walk w(engine, directory.path() / "state", seed);
    w.run(12);
    w.expect_bits_of(Session(engine));
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Walks, GiveTheBitsOfAFreshSession) { walk(0, 48, true); }
TEST(Full_Walks, GiveTheBitsOfAFreshSession) {
  walk(1000, 500, true);
  walk(2000, 500, false);
}

}  // namespace
}  // namespace dsv4
