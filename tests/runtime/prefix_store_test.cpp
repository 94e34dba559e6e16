// Sequences that are kept: which of them a prompt goes on from, what that gives, and that memory is bounded.
#include "runtime/prefix_store.h"

#include <gtest/gtest.h>

#include "runtime/converted_model.h"

namespace dsv4 {
namespace {

using namespace testing_support;
using Tokens = std::vector<int64_t>;

class PrefixStoreOfToy : public testing::Test {
 protected:
  struct Loaded {
    TemporaryDirectory directory;
    Engine engine{convert_golden("toy", directory.path(), true), {}};
  };
  static std::unique_ptr<Loaded>& loaded() {
    static std::unique_ptr<Loaded> loaded;
    return loaded;
  }
  static const Engine& engine() {
    if (!loaded()) loaded() = std::make_unique<Loaded>();
    return loaded()->engine;
  }
  /// Models must be gone before OpenVINO's own static objects are.
  static void TearDownTestSuite() { loaded().reset(); }

  static Tokens some(size_t count, int64_t last) {
    Tokens tokens(count);
    for (size_t i = 0; i < count; ++i) tokens[i] = static_cast<int64_t>(i * 7 % 500);
    tokens.back() = last;
    return tokens;
  }
  static void keep(PrefixStore& store, const Tokens& tokens) {
    Session session(engine());
    session.feed(tokens);
    store.keep(session, tokens);
  }
  static int64_t found(PrefixStore& store, const Tokens& tokens) {
    const std::optional<Session> session = store.find(tokens);
    return session ? session->position() : 0;
  }
  static Tokens joined(Tokens first, const Tokens& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
  }
};

TEST_F(PrefixStoreOfToy, FindsTheLongestBeginning) {
  PrefixStore store(1 << 30);
  const Tokens first = some(20, 1), second = joined(first, some(30, 2)), third = joined(second, some(10, 3));
  EXPECT_EQ(found(store, third), 0);
  keep(store, second);
  keep(store, first);
  EXPECT_EQ(found(store, third), 50);
  EXPECT_EQ(found(store, joined(first, {9, 9})), 20);
  EXPECT_EQ(found(store, {9, 9}), 0);
  EXPECT_EQ(found(store, {}), 0);
}

TEST_F(PrefixStoreOfToy, LeavesATokenToBeFed) {
  PrefixStore store(1 << 30);
  const Tokens tokens = some(40, 1);
  keep(store, tokens);
  EXPECT_EQ(found(store, tokens), 39) << "the same prompt again";
  EXPECT_EQ(found(store, some(40, 2)), 39) << "another last token";
  EXPECT_EQ(found(store, some(33, 9)), 32);
  EXPECT_EQ(found(store, some(20, 9)), 0) << "farther back than a session goes";
}

TEST_F(PrefixStoreOfToy, GivesWhatAFreshSequenceGives) {
  PrefixStore store(1 << 30);
  const Tokens tokens = some(64, 1), more = joined(tokens, some(32, 2));
  keep(store, tokens);
  for (int again = 0; again < 2; ++again) {
    std::optional<Session> session = store.find(more);
    ASSERT_TRUE(session);
    ASSERT_EQ(session->position(), 64);
    Session fresh(engine());
    EXPECT_EQ(session->feed(std::span(more).subspan(64)), fresh.feed(more));
  }
}

TEST_F(PrefixStoreOfToy, ForgetsWhatNobodyAskedForTheLongest) {
  Session session(engine());
  session.feed(some(40, 1));
  PrefixStore store(2 * session.snapshot_bytes());
  keep(store, joined({1}, some(39, 1)));
  keep(store, joined({2}, some(39, 1)));
  EXPECT_EQ(store.counts().sequences, 2);
  EXPECT_EQ(found(store, joined({1}, some(40, 3))), 39) << "the last but one is the same, and a session goes back";
  keep(store, joined({3}, some(39, 1)));
  EXPECT_EQ(store.counts().sequences, 2);
  EXPECT_LE(store.counts().bytes, 2 * session.snapshot_bytes());
  EXPECT_EQ(found(store, joined({2}, some(40, 3))), 0);
  EXPECT_EQ(found(store, joined({1}, some(40, 3))), 39);
  keep(store, joined({3}, some(39, 1)));
  EXPECT_EQ(store.counts().sequences, 2) << "the same once";
  PrefixStore few(1 << 30, 1);
  keep(few, joined({1}, some(39, 1)));
  keep(few, joined({2}, some(39, 1)));
  EXPECT_EQ(few.counts().sequences, 1);
  PrefixStore none(0);
  keep(none, some(40, 1));
  EXPECT_EQ(none.counts().sequences, 0);
}

}  // namespace
}  // namespace dsv4
