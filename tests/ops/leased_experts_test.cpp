// Op Experts with leases: the bits do not depend on the order of experts, on groups or on what arrives when.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "ops/block_support.h"
#include "ops/experts/experts.h"

namespace dsv4::ops {
namespace {

using namespace testing_blocks;

constexpr int64_t kWidth = 64, kInner = 32, kExperts = 9, kPerToken = 3;

/// Leases in a random order, in groups of random sizes, whose experts arrive one by one or a few at once, in any order; now and then nothing has come yet.
class AnyOrder final : public ExpertLeases {
 public:
  AnyOrder(const Experts& op, std::span<const ExpertDemand> experts, uint32_t seed)
      : op_(op), random_(seed), order_(experts.begin(), experts.end()) {
    std::shuffle(order_.begin(), order_.end(), random_);
  }

  std::span<const ExpertDemand> order() const override { return order_; }
  Group next() override {
    const size_t left = order_.size() - group_.end;
    group_ = {group_.end, group_.end + (left > 1 ? 1 + random_() % left : left)};
    for (auto& waiting : waiting_) {
      EXPECT_TRUE(waiting.empty());
      for (size_t i = group_.begin; i < group_.end; ++i) waiting.push_back(static_cast<int32_t>(i));
      std::shuffle(waiting.begin(), waiting.end(), random_);
    }
    return group_;
  }
  PackedMatrix matrix(size_t i, ExpertPart part) const override {
    EXPECT_TRUE(i >= group_.begin && i < group_.end);
    return (part == ExpertPart::kGateUp ? op_.gate_up() : op_.down()).at(order_[i].expert);
  }
  std::span<const int32_t> arrived(ExpertPart part, bool wait) override {
    std::vector<int32_t>& waiting = waiting_[static_cast<size_t>(part)];
    size_t count = random_() % (waiting.size() + 1);
    if (wait) count = std::max<size_t>(count, 1);
    named_.assign(waiting.end() - static_cast<std::ptrdiff_t>(count), waiting.end());
    waiting.resize(waiting.size() - count);
    return named_;
  }

 private:
  const Experts& op_;
  std::mt19937 random_;
  std::vector<ExpertDemand> order_;
  Group group_;
  std::vector<int32_t> waiting_[2], named_;
};

class AnyOrderSource final : public ExpertSource {
 public:
  explicit AnyOrderSource(const Experts& op) : op_(op) {}
  std::unique_ptr<ExpertLeases> acquire(int64_t layer, std::span<const ExpertDemand> experts) override {
    EXPECT_EQ(layer, 5);
    return std::make_unique<AnyOrder>(op_, experts, ++calls_);
  }

 private:
  const Experts& op_;
  uint32_t calls_ = 0;
};

class Routes final : public RouteObserver {
 public:
  void routed(int64_t layer, std::span<const int32_t> experts) override {
    EXPECT_EQ(layer, 5);
    seen.insert(seen.end(), experts.begin(), experts.end());
  }
  std::vector<int32_t> seen;
};

class LeasedExperts : public testing::TestWithParam<ActivationRounding> {
 protected:
  std::shared_ptr<Experts> op() {
    Random random(1);
    WeightInputs weights;
    weights.add(random.weight(Kind::kF32, 0, kExperts, kWidth, 0, 0.25).nodes);
    weights.add(random.weight(Kind::kU4, kExperts, 2 * kInner, kWidth, 32, 0.25).nodes, MatrixForm::kStack);
    weights.add(random.weight(Kind::kU4, kExperts, kWidth, kInner, 32, 0.2).nodes, MatrixForm::kStack);
    weights.add(random.weight(Kind::kU8, 0, kInner, kWidth, 0, 0.25).nodes);
    weights.add(random.weight(Kind::kU8, 0, kInner, kWidth, 0, 0.25).nodes);
    weights.add(random.weight(Kind::kU8, 0, kWidth, kInner, 0, 0.2).nodes);
    weights.bind();
    const std::vector<float> bias = random.floats(kExperts, 0.5);
    return std::make_shared<Experts>(
        parameter(ov::element::f32, {-1, kWidth}), parameter(ov::element::i32, {-1}), constant(ov::element::f32, {bias.size()}, bias),
        weights, ExpertsAttributes{.experts_per_token = kPerToken, .scaling_factor = 1.5, .swiglu_limit = 1.0, .mode = GetParam()});
  }

  ov::TensorVector tokens(size_t count) {
    Random random(static_cast<unsigned>(count));
    const std::vector<float> x = random.floats(static_cast<int64_t>(count) * kWidth, 1.0);
    return {tensor(ov::element::f32, {count, static_cast<size_t>(kWidth)}, x),
            tensor(ov::element::i32, {count}, std::vector<int32_t>(count, 0))};
  }
};

TEST_P(LeasedExperts, GiveTheBitsOfThoseInPlace) {
  const auto in_place = op(), leased = op();
  leased->connect({.source = std::make_shared<AnyOrderSource>(*in_place), .layer = 5});
  const auto copy = leased->clone_with_new_inputs(leased->input_values());
  for (const size_t count : {1, 2, 7, 40, 2100}) {  // the last one in two parts
    const ov::TensorVector inputs = tokens(count);
    const auto expected = evaluate(*in_place, inputs);
    for (int n = 0; n < (count > 1000 ? 1 : 20); ++n) {
      ASSERT_EQ(evaluate(*leased, inputs), expected) << count << " tokens";
      ASSERT_EQ(evaluate(*copy, inputs), expected) << count << " tokens";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, LeasedExperts, testing::Values(ActivationRounding::kF32, ActivationRounding::kInt8),
                         [](const auto& test) { return std::string(test.param == ActivationRounding::kF32 ? "F32" : "Int8"); });

class ObservedRoutes : public LeasedExperts {};

TEST_P(ObservedRoutes, AreDifferentExpertsOfEveryTokenInTheOrderOfTokens) {
  const auto observed = op();
  const auto routes = std::make_shared<Routes>();
  observed->connect({.observer = routes, .layer = 5});
  const ov::TensorVector inputs = tokens(600);
  evaluate(*observed, inputs);
  ASSERT_EQ(routes->seen.size(), 600u * kPerToken);
  const std::vector<int32_t> together = routes->seen;
  routes->seen.clear();
  for (size_t t = 0; t < 600; ++t) {
    const std::set<int32_t> different(together.begin() + static_cast<std::ptrdiff_t>(t * kPerToken),
                                      together.begin() + static_cast<std::ptrdiff_t>((t + 1) * kPerToken));
    ASSERT_EQ(different.size(), static_cast<size_t>(kPerToken));
    const std::vector<float> row(inputs[0].data<const float>() + t * kWidth, inputs[0].data<const float>() + (t + 1) * kWidth);
    evaluate(*observed,
             {tensor(ov::element::f32, {1, static_cast<size_t>(kWidth)}, row), tensor(ov::element::i32, {1}, std::vector<int32_t>{0})});
  }
  EXPECT_EQ(routes->seen, together);
}

INSTANTIATE_TEST_SUITE_P(Modes, ObservedRoutes, testing::Values(ActivationRounding::kInt8));

}  // namespace
}  // namespace dsv4::ops
