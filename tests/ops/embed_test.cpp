// Op Embed against the values of its table.
#include "ops/embed/embed.h"

#include "ops/block_support.h"

namespace dsv4::ops {
namespace {

using namespace testing_blocks;

std::shared_ptr<Embed> embed(const Weight& table, int64_t hc) {
  WeightInputs weights;
  weights.add(table.nodes);
  return std::make_shared<Embed>(parameter(ov::element::i32, {-1}), weights, hc);
}

std::vector<double> expected_streams(const Weight& table, const std::vector<int32_t>& ids, int64_t hc) {
  std::vector<double> expected;
  for (const int32_t id : ids) {
    for (int64_t j = 0; j < hc; ++j) expected.insert(expected.end(), table.row(id), table.row(id) + table.cols);
  }
  return expected;
}

TEST(Embed, CopiesRowsIntoEveryStreamForEveryType) {
  Random random(1);
  for (const Kind kind : kAllKinds) {
    for (const int64_t width : {32, 96, 200}) {
      for (const int64_t hc : {1, 2, 4}) {
        const Weight table = random.weight(kind, 0, 19, width, 8, 0.3);
        const std::vector<int32_t> ids = {18, 0, 7, 7, 3};
        const auto found = evaluate(*embed(table, hc), {tensor(ov::element::i32, {ids.size()}, ids)});
        expect_near(found[0], expected_streams(table, ids, hc), 1e-6, name_of(kind) + " of " + std::to_string(width));
      }
    }
  }
}

TEST(Embed, TakesNoTokensAndMany) {
  Random random(2);
  const Weight table = random.weight(Kind::kU8, 0, 50, 64, 0, 0.3);
  for (const size_t tokens : {0, 1, 1000}) {
    std::vector<int32_t> ids(tokens);
    for (int32_t& id : ids) id = random.integer(0, 49);
    const auto found = evaluate(*embed(table, 4), {tensor(ov::element::i32, {tokens}, ids)});
    expect_near(found[0], expected_streams(table, ids, 4), 1e-6, std::to_string(tokens) + " tokens");
  }
}

TEST(Embed, RunsOnTheCpuPlugin) {
  Random random(3);
  for (const Kind kind : {Kind::kF16, Kind::kU4}) {
    const Weight table = random.weight(kind, 0, 12, 32, 16, 0.3);
    const std::vector<int32_t> ids = {11, 2, 0};
    expect_near(infer(embed(table, 2), {tensor(ov::element::i32, {3}, ids)})[0], expected_streams(table, ids, 2), 1e-6, name_of(kind));
  }
}

TEST(Embed, GivesTheSameWithBoundWeights) {
  Random random(6);
  WeightInputs weights;
  weights.add(random.weight(Kind::kI4, 0, 12, 32, 16, 0.3).nodes);
  const Embed among(parameter(ov::element::i32, {-1}), weights, 4);
  weights.bind();
  const Embed bound(parameter(ov::element::i32, {-1}), weights, 4);
  ASSERT_EQ(bound.get_input_size(), 1u);
  const ov::TensorVector ids = {tensor(ov::element::i32, {3}, std::vector<int32_t>{11, 2, 0})};
  EXPECT_EQ(evaluate(bound, ids), evaluate(among, ids));
  EXPECT_EQ(evaluate(*bound.clone_with_new_inputs(bound.input_values()), ids), evaluate(among, ids));
}

TEST(Embed, RefusesIdsOutsideTheTable) {
  Random random(4);
  const auto op = embed(random.weight(Kind::kF32, 0, 12, 32, 0, 0.3), 4);
  for (const int32_t bad : {-1, 12, 1 << 30}) {
    const std::vector<int32_t> ids = {0, bad};
    EXPECT_THROW(evaluate(*op, {tensor(ov::element::i32, {2}, ids)}), ov::Exception) << bad;
  }
}

TEST(Embed, RefusesOtherTypesAndShapes) {
  Random random(5);
  WeightInputs table;
  table.add(random.weight(Kind::kF32, 0, 12, 32, 0, 0.3).nodes);
  EXPECT_THROW(Embed(parameter(ov::element::f32, {-1}), table, 4), ov::Exception);
  EXPECT_THROW(Embed(parameter(ov::element::i32, {-1, -1}), table, 4), ov::Exception);
  EXPECT_THROW(Embed(parameter(ov::element::i32, {-1}), table, 0), ov::Exception);
  EXPECT_THROW(Embed(parameter(ov::element::i32, {-1}), table, 1 << 20), ov::Exception);
  WeightInputs two = table;
  two.add(random.exact(3, 0.0, 1.0).nodes);
  EXPECT_THROW(Embed(parameter(ov::element::i32, {-1}), two, 4), ov::Exception);
}

}  // namespace
}  // namespace dsv4::ops
