// The parts of op Sequences that need no model: what a call's mask and positions say, and which sequences are kept between calls. (The op: tests/clients.)
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "openvino/core/except.hpp"
#include "ops/sequences/call_rows.h"
#include "ops/sequences/sequence_table.h"
#include "ops/values/values.h"

namespace dsv4::ops {

namespace {

ov::Tensor matrix(const std::vector<std::vector<int32_t>>& rows) {
  ov::Tensor tensor(ov::element::i32, {rows.size(), rows.empty() ? 1 : rows[0].size()});
  auto* value = tensor.data<int32_t>();
  for (const auto& row : rows) value = std::copy(row.begin(), row.end(), value);
  return tensor;
}

CacheShape shape() {
  CacheShape shape;
  shape.layers = {{0, false}, {4, true}};
  shape.window = 8;
  shape.head_dim = 4;
  shape.index_head_dim = 2;
  shape.capacity = 1000;
  return shape;
}

using Row = SequenceTable::Row;

/// A call of rows that go on from `origins`, each by `tokens`.
std::vector<SequenceHandle> go_on(SequenceTable& table, const std::vector<Row>& origins, const std::vector<SequenceHandle>& state,
                                  int64_t tokens) {
  auto sequences = table.take(origins, state);
  for (auto& sequence : sequences) {
    sequence->memory.will_write(sequence->length);
    sequence->length += tokens;
  }
  return table.keep(std::move(sequences));
}

std::byte& last_byte(SequenceTable::Sequence& sequence) { return sequence.memory.data()[sequence.memory.layout().layer(0).window]; }

}  // namespace

TEST(CallRows, TellsPaddingAndTokensBeforeTheCall) {
  const auto rows = read_call_rows(matrix({{1, 1, 0, 1}, {3, 4, 5, 6}}), matrix({{0, 0, 0, 0, 0, 1, 1}, {1, 1, 1, 1, 1, 1, 1}}), 7);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].padding, 2);
  EXPECT_EQ(rows[0].before, 0);
  EXPECT_EQ(rows[1].padding, 0);
  EXPECT_EQ(rows[1].before, 3);
}

TEST(CallRows, RefusesMasksThatAreNotPaddingAndThenTokens) {
  for (const std::vector<int32_t>& mask :
       {std::vector<int32_t>{1, 0, 1}, {1, 1, 0}, {0, 1, 1}, {0, 0, 0}, {1, 1, 2}, {1, 1, 1, 1}, {-1, 1, 1}, {1, 1}}) {
    EXPECT_THROW(read_call_rows(matrix({{0, 1, 2}}), matrix({mask}), 10), ov::Exception);
  }
  EXPECT_NO_THROW(read_call_rows(matrix({{0, 1, 2}}), matrix({{1, 1, 1}}), 3));
  EXPECT_THROW(read_call_rows(matrix({{0, 1, 2}}), matrix({{1, 1, 1}}), 2), ov::Exception);
}

TEST(SequenceTable, AHandleIsGoodForOneCall) {
  SequenceTable table(shape());
  const auto first = go_on(table, {{{}, 0}}, {{}}, 5);
  const auto second = go_on(table, {{first[0], 5}}, first, 1);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_THROW(go_on(table, {{first[0], 5}}, first, 1), ov::Exception);
  EXPECT_THROW(go_on(table, {{second[0], 5}}, second, 1), ov::Exception) << "it has 6 tokens";
  EXPECT_NO_THROW(go_on(table, {{second[0], 6}}, second, 1)) << "refusals change nothing";
}

TEST(SequenceTable, ASequenceOfAFailedCallIsLost) {
  SequenceTable table(shape());
  const auto state = go_on(table, {{{}, 0}}, {{}}, 5);
  table.take(std::vector<Row>{{state[0], 5}}, state);
  EXPECT_THROW(table.take(std::vector<Row>{{state[0], 5}}, state), ov::Exception);
  EXPECT_EQ(table.size(), 0u);
}

TEST(SequenceTable, CopiesHaveTheMemoryOfTheirOriginAndDoNotSeeEachOther) {
  SequenceTable table(shape());
  auto one = table.take(std::vector<Row>{{{}, 0}}, std::vector<SequenceHandle>{{}});
  one[0]->length = 1;
  last_byte(*one[0]) = std::byte{42};
  const auto state = table.keep(std::move(one));
  auto three = table.take(std::vector<Row>{{state[0], 1}, {state[0], 1}, {state[0], 1}}, state);
  for (auto& sequence : three) {
    EXPECT_EQ(sequence->length, 1);
    EXPECT_EQ(last_byte(*sequence), std::byte{42});
  }
  last_byte(*three[1]) = std::byte{7};
  EXPECT_EQ(last_byte(*three[0]), std::byte{42});
  EXPECT_EQ(last_byte(*three[2]), std::byte{42});
}

TEST(SequenceTable, RowsThatNothingGoesOnFromAreDropped) {
  SequenceTable table(shape());
  const auto state = go_on(table, {{{}, 0}, {{}, 0}, {{}, 0}}, {{}, {}, {}}, 4);
  EXPECT_EQ(table.size(), 3u);
  go_on(table, {{state[1], 4}}, state, 1);
  EXPECT_EQ(table.size(), 1u);
}

TEST(SequenceTable, TheOldestGoFirstAndThoseOfTheCallStay) {
  SequenceTable table(shape(), {.sequences = 2, .bytes = 1u << 30});
  const auto a = go_on(table, {{{}, 0}}, {{}}, 3), b = go_on(table, {{{}, 0}}, {{}}, 3);
  const auto again = go_on(table, {{a[0], 3}}, a, 1);
  const auto c = go_on(table, {{{}, 0}}, {{}}, 3);
  EXPECT_EQ(table.size(), 2u);
  EXPECT_THROW(go_on(table, {{b[0], 3}}, b, 1), ov::Exception);
  EXPECT_NO_THROW(go_on(table, {{again[0], 4}}, again, 1));
  const auto many = go_on(table, {{{}, 0}, {{}, 0}, {{}, 0}}, {{}, {}, {}}, 3);
  EXPECT_EQ(table.size(), 3u) << "one call's, more than are kept else";
  SequenceTable small(shape(), {.sequences = 100, .bytes = 1});
  go_on(small, {{{}, 0}}, {{}}, 3);
  go_on(small, {{{}, 0}}, {{}}, 3);
  EXPECT_EQ(small.size(), 1u);
}

TEST(SequenceTable, CallsOfManyThreadsDoNotMeet) {
  SequenceTable table(shape());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      std::vector<SequenceHandle> state = {{}};
      for (int64_t length = 0; length < 50; ++length) state = go_on(table, {{state[0], length}}, state, 1);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(table.size(), 4u);
}

TEST(Values, GivesTheBitsThatItWasMadeOf) {
  const std::vector<float> values = {0.0f, -0.0f, 1e-45f, 0.1f, 3e38f};
  ov::TensorVector out = {ov::Tensor(ov::element::f32, {0})};
  const Values op(values);
  ASSERT_TRUE(op.evaluate(out, {}));
  ASSERT_EQ(out[0].get_shape(), ov::Shape{values.size()});
  EXPECT_EQ(std::memcmp(out[0].data(), values.data(), values.size() * sizeof(float)), 0);
}

}  // namespace dsv4::ops
