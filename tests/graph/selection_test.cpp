// Selecting and sorting in the graph against a stable sort in plain C++: ties of every length, infinities, whole rows of one value, keys beyond 2^24.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "evaluate.h"
#include "graph/portable/nodes.h"

namespace dsv4 {
namespace {

using namespace testing_support;

/// Which of `row` come first when it is sorted from the largest, equal values by index.
std::vector<char> first_of_sorted(std::span<const float> row, size_t k) {
  std::vector<size_t> order(row.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return row[a] > row[b]; });
  std::vector<char> chosen(row.size());
  for (size_t i = 0; i < k; ++i) chosen[order[i]] = 1;
  return chosen;
}

class Ascending : public testing::TestWithParam<ov::element::Type> {};

class LargestMask : public testing::TestWithParam<ov::element::Type> {
 protected:
  LargestMask() {
    const Parameter x = parameter(ov::element::f32, {1, -1, 1, -1}), k = parameter(ov::element::i32, {});
    program_ = std::make_unique<Program>(std::vector<Value>{nodes::largest_mask(x, k, 3)}, ov::ParameterVector{x, k}, GetParam());
  }

  void expect_those_of_a_sort(size_t rows, size_t columns, size_t k, const std::vector<float>& values) {
    const ov::Tensor mask = (*program_)({tensor<float>({1, rows, 1, columns}, values), tensor<int32_t>({}, {static_cast<int32_t>(k)})})[0];
    ASSERT_EQ(mask.get_element_type(), ov::element::boolean);
    for (size_t row = 0; row < rows; ++row) {
      const std::vector<char> expected = first_of_sorted(std::span(values).subspan(row * columns, columns), k);
      for (size_t c = 0; c < columns; ++c) {
        ASSERT_EQ(mask.data<char>()[row * columns + c], expected[c]) << k << " of " << columns << ", row " << row << ", column " << c;
      }
    }
  }

  std::unique_ptr<Program> program_;
};

TEST_P(LargestMask, IsThatOfAStableSort) {
  std::mt19937 random(7);
  for (const size_t columns : {1, 2, 17, 128, 640, 4096}) {
    for (const size_t k : {size_t{1}, size_t{2}, columns / 3, size_t{512}, columns - 1, columns}) {
      if (k < 1 || k > columns) continue;
      for (const int levels : {2, 9, 1000000}) {  // few levels: long ties
        std::vector<float> values(3 * columns);
        for (float& v : values) v = static_cast<float>(static_cast<int>(random() % static_cast<unsigned>(levels)) - levels / 2) / 64.0f;
        expect_those_of_a_sort(3, columns, k, values);
      }
    }
  }
}

TEST_P(LargestMask, TakesTheFirstOfARowOfEqualValues) {
  for (const float value : {0.0f, -1e30f, -std::numeric_limits<float>::infinity()}) {
    expect_those_of_a_sort(1, 300, 7, std::vector<float>(300, value));
  }
  std::vector<float> signs(64);
  for (size_t i = 0; i < signs.size(); ++i) signs[i] = i % 2 == 0 ? -0.0f : 0.0f;  // equal, as in a sort
  expect_those_of_a_sort(1, 64, 5, signs);
}

// f32, and what OpenVINO takes of itself: bfloat16 where the processor has it.
INSTANTIATE_TEST_SUITE_P(Precisions, LargestMask, testing::Values(ov::element::f32, ov::element::dynamic),
                         [](const auto& p) { return std::string(p.param == ov::element::f32 ? "F32" : "Default"); });

TEST_P(Ascending, IsThatOfAStableSort) {
  const Parameter x = parameter(ov::element::i32, {-1}), n = parameter(ov::element::i32, {});
  Program program({nodes::ascending(x, n)}, {x, n}, GetParam());
  std::mt19937 random(11);
  for (const size_t count : {1, 2, 30, 3072, 98304}) {
    for (const unsigned ids : {1u, 6u, 384u, 65536u}) {
      if (ids * count > static_cast<size_t>(std::numeric_limits<int32_t>::max())) continue;
      std::vector<int32_t> values(count);
      for (int32_t& v : values) v = static_cast<int32_t>(random() % ids);
      std::vector<int32_t> expected(count);
      std::iota(expected.begin(), expected.end(), 0);
      std::stable_sort(expected.begin(), expected.end(),
                       [&](int32_t a, int32_t b) { return values[static_cast<size_t>(a)] < values[static_cast<size_t>(b)]; });
      const auto places =
          values_of<int32_t>(program({tensor<int32_t>({count}, values), tensor<int32_t>({}, {static_cast<int32_t>(count)})})[0]);
      ASSERT_EQ(places, expected) << count << " of " << ids << " ids";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, Ascending, testing::Values(ov::element::f32, ov::element::dynamic),
                         [](const auto& p) { return std::string(p.param == ov::element::f32 ? "F32" : "Default"); });

}  // namespace
}  // namespace dsv4
