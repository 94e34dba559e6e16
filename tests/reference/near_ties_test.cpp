// Near ties against errors: a small sequence whose rows are moved by choices, and the real reference with a choice made otherwise.
#include "reference/near_ties.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "checkpoint/checkpoint.h"
#include "reference/golden_data.h"

namespace dsv4 {
namespace {

constexpr int64_t kVocab = 4, kRows = 400;
constexpr double kTolerance = 1e-4;

/// A model of one number a row: each row's logits depend on its own choices and, less, on those of every row before it.
class Toy {
 public:
  explicit Toy(std::vector<CloseChoice> close) : close_(std::move(close)) {}

  std::vector<float> logits(const std::set<Choice>& turned, const std::map<int64_t, float>& errors = {}) const {
    std::vector<float> logits;
    float moved = 0.0f;
    for (int64_t t = 0; t < kRows; ++t) {
      float own = 0.0f;
      for (const Choice& choice : turned) own += choice.row == t ? 0.05f + 0.01f * static_cast<float>(choice.layer) : 0.0f;
      const auto error = errors.find(t);
      const float value = 1.0f + own + moved + (error == errors.end() ? 0.0f : error->second);
      for (int64_t v = 0; v < kVocab; ++v) logits.push_back(v == t % kVocab ? value : 0.1f);
      moved += 0.1f * own;
    }
    return logits;
  }

  /// The verdict on what made `turned` otherwise, and has errors.
  JudgedLogits judge(const std::set<Choice>& turned, const std::map<int64_t, float>& errors = {}) const {
    const std::vector<float> actual = logits(turned, errors);
    NearTies ties(kRows, kTolerance);
    for (int comparisons = 1;; ++comparisons) {
      LogitComparison comparison(kVocab);
      comparison.add(logits(ties.turned()), actual);
      if (!ties.judge(comparison, close_)) break;
      EXPECT_LT(comparisons, 100) << "it does not end";
    }
    return ties.result();
  }

 private:
  std::vector<CloseChoice> close_;
};

TEST(NearTies, EqualLogitsPassAtOnce) {
  const JudgedLogits judged = Toy({}).judge({});
  EXPECT_TRUE(judged.passed);
  EXPECT_EQ(judged.near_ties, 0);
  EXPECT_EQ(judged.near_ties_allowed, 4);
  EXPECT_EQ(judged.difference.max, 0.0);
}

TEST(NearTies, ACloseChoiceExplainsItsRowAndAllThatItMoves) {
  const JudgedLogits judged = Toy({{{100, 1, false}, 3.0}}).judge({{100, 1, false}});
  EXPECT_TRUE(judged.passed);
  EXPECT_EQ(judged.near_ties, 1) << "rows that are moved are compared, not excused";
  EXPECT_NEAR(judged.near_tie_max, 0.06, 1e-6);
  EXPECT_EQ(judged.difference.max, 0.0);
}

TEST(NearTies, AChoiceThatIsNotCloseIsAnError) {
  EXPECT_FALSE(Toy({{{100, 1, false}, 300.0}}).judge({{100, 1, false}}).passed);
  EXPECT_FALSE(Toy({}).judge({{100, 1, false}}).passed);
}

TEST(NearTies, ACloseChoiceElsewhereExcusesNothing) {
  EXPECT_FALSE(Toy({{{99, 1, false}, 0.1}, {{101, 1, false}, 0.1}}).judge({{100, 1, false}}).passed);
  const JudgedLogits judged = Toy({{{100, 1, false}, 0.1}}).judge({}, {{100, 0.02f}});
  EXPECT_FALSE(judged.passed) << "the row has a close choice, but makes it as the reference does, and is wrong";
  EXPECT_NEAR(judged.difference.max, 0.02, 1e-6);
}

TEST(NearTies, AnErrorAfterANearTieIsFound) {
  const Toy toy({{{100, 1, false}, 3.0}});
  EXPECT_FALSE(toy.judge({{100, 1, false}}, {{101, 0.001f}}).passed);
  EXPECT_FALSE(toy.judge({{100, 1, false}}, {{399, 0.001f}}).passed);
  EXPECT_FALSE(toy.judge({{100, 1, false}}, {{99, 0.001f}}).passed);
  EXPECT_TRUE(toy.judge({{100, 1, false}}, {{101, 0.00001f}}).passed);
}

TEST(NearTies, SeveralChoicesOfARowAreTriedTogether) {
  const std::vector<CloseChoice> close = {{{7, 0, true}, 0.5}, {{7, 2, false}, 1.0}, {{7, 4, true}, 2.0}};
  for (const std::set<Choice>& turned :
       {std::set<Choice>{{7, 0, true}}, {{7, 2, false}}, {{7, 0, true}, {7, 4, true}}, {{7, 0, true}, {7, 2, false}, {7, 4, true}}}) {
    const JudgedLogits judged = Toy(close).judge(turned);
    EXPECT_TRUE(judged.passed) << turned.size();
    EXPECT_EQ(judged.near_ties, 1);
  }
}

TEST(NearTies, CloseChoicesOfMovedRowsEndAsTheOtherSideMadeThem) {
  std::vector<CloseChoice> close;
  for (int64_t row = 100; row < 400; row += 3) close.push_back({{row, 0, false}, 5.0});
  const JudgedLogits judged = Toy(close).judge({{103, 0, false}, {250, 0, false}, {373, 0, false}});
  EXPECT_TRUE(judged.passed);
  EXPECT_EQ(judged.near_ties, 3);
}

TEST(NearTies, MoreThanOnePercentAreNone) {
  std::vector<CloseChoice> close;
  std::set<Choice> turned;
  for (int64_t row = 10; row < 60; row += 10) {
    close.push_back({{row, 0, false}, 1.0});
    turned.insert({row, 0, false});
  }
  EXPECT_FALSE(Toy(close).judge(turned).passed) << "5 of 400";
  turned.erase(turned.begin());
  EXPECT_TRUE(Toy(close).judge(turned).passed) << "4 of 400";
}

TEST(NearTies, WhatIsNoNumberIsAnError) {
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    EXPECT_FALSE(Toy({{{100, 1, false}, 0.0}}).judge({}, {{100, value}}).passed);
  }
}

/// The reference on the golden with hash routing, an indexer of top 4, and router decisions.
class TurnedChoices : public testing::Test {
 protected:
  TurnedChoices() : checkpoint_(Checkpoint::open(dsv4_test::golden_checkpoint("hash"))), reference_(checkpoint_) {
    tokens_ = dsv4_test::golden_tokens("hash");
    tokens_.resize(120);
    rows_ = reference_.rows(tokens_, {}, &trace_);
  }

  /// The closest choice of experts or of entries.
  CloseChoice closest(bool experts) const {
    CloseChoice best{{}, HUGE_VAL};
    for (const CloseChoice& choice : rows_.close) {
      if (choice.choice.experts == experts && choice.margin < best.margin) best = choice;
    }
    return best;
  }

  Checkpoint checkpoint_;
  Reference reference_;
  std::vector<int64_t> tokens_;
  ReferenceTrace trace_;
  ReferenceRows rows_;
};

TEST_F(TurnedChoices, OfEntriesExchangeOneEntryOfOneRow) {
  const CloseChoice close = closest(false);
  ASSERT_LT(close.margin, HUGE_VAL);
  ReferenceTrace turned;
  const ReferenceRows rows = reference_.rows(tokens_, {close.choice}, &turned);
  const auto layer = static_cast<size_t>(close.choice.layer), row = static_cast<size_t>(close.choice.row);
  const auto &before = trace_.index_selection[layer], &after = turned.index_selection[layer];
  for (size_t t = 0; t < before.size(); ++t) {
    std::vector<int32_t> kept;
    std::set_intersection(before[t].begin(), before[t].end(), after[t].begin(), after[t].end(), std::back_inserter(kept));
    EXPECT_EQ(after[t].size(), before[t].size());
    EXPECT_EQ(kept.size(), before[t].size() - (t == row ? 1 : 0)) << t;
  }
  const size_t prefix = row * static_cast<size_t>(checkpoint_.config().hidden_size);
  EXPECT_TRUE(std::equal(rows.hidden.begin(), rows.hidden.begin() + static_cast<std::ptrdiff_t>(prefix), rows_.hidden.begin()));
  EXPECT_NE(rows.hidden, rows_.hidden);
}

TEST_F(TurnedChoices, OfExpertsExchangeTheLastOne) {
  const CloseChoice close = closest(true);
  ASSERT_LT(close.margin, HUGE_VAL);
  ReferenceTrace turned;
  reference_.rows(tokens_, {close.choice}, &turned);
  const auto layer = static_cast<size_t>(close.choice.layer);
  const auto k = static_cast<size_t>(checkpoint_.config().num_experts_per_tok);
  const auto &before = trace_.expert_ids[layer], &after = turned.expert_ids[layer];
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i] != after[i], i == static_cast<size_t>(close.choice.row) * k + k - 1) << i;
  }
}

TEST_F(TurnedChoices, MarginsAreThoseOfTheScores) {
  // The margins that two independent implementations noted (provenance.json) are score differences; these here are in units of rounding of larger magnitudes.
  for (const CloseChoice& choice : rows_.close) {
    EXPECT_GE(choice.margin, 0.0);
    EXPECT_LE(choice.margin, 2000.0);
    EXPECT_FALSE(choice.choice.experts && checkpoint_.config().layers[static_cast<size_t>(choice.choice.layer)].hash_routed);
    EXPECT_TRUE(choice.choice.experts || checkpoint_.config().layers[static_cast<size_t>(choice.choice.layer)].kind == LayerKind::kCsa);
  }
  EXPECT_FALSE(rows_.close.empty());
}

}  // namespace
}  // namespace dsv4
