// Rotary embedding: frequencies against the published table and the formula, rotations against a loop over pairs.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "graph/evaluate.h"
#include "graph/frequencies.h"
#include "graph/portable/call_positions.h"

namespace dsv4 {
namespace {

using namespace testing_support;

// f_j of V4-Flash's and V4-Pro's layers with a compressor: theta 160000, YaRN factor 16, original length 65536, beta 32 and 1.
const std::vector<double> kPublished = {
    1.0,         .687656022,    .472870805,    .325172456,    .223606798,    .153764561,    .105737126,   .0727107717,
    .05,         .0343828011,   .0236435402,   .0162586228,   .0111803399,   .00768822805,  .00528685632, .00363553858,
    .002265625,  .00139680129,  8.49689727e-4, 5.08081963e-4, 2.96977778e-4, 1.68179989e-4, 9.0867843e-5, 4.54442323e-5,
    1.953125e-5, 5.37231267e-6, 3.69430316e-6, 2.54040981e-6, 1.74692811e-6, 1.20128563e-6, 8.260713e-7,  5.68052904e-7};

Config releases() {
  Config config;
  config.qk_rope_head_dim = 64;
  config.rope_theta = 10000.0;
  config.compress_rope_theta = 160000.0;
  config.yarn = YarnScaling{.factor = 16.0, .original_max_position = 65536.0, .beta_fast = 32.0, .beta_slow = 1.0};
  return config;
}

void expect_powers(const std::vector<double>& frequencies, double theta, size_t rope_dim) {
  ASSERT_EQ(frequencies.size(), rope_dim / 2);
  for (size_t j = 0; j < frequencies.size(); ++j) {
    const double expected = std::exp(-std::log(theta) * 2.0 * static_cast<double>(j) / static_cast<double>(rope_dim));
    EXPECT_NEAR(frequencies[j], expected, 1e-13 * expected) << j;
  }
}

TEST(RopeFrequencies, AreThePublishedTableWithYarn) {
  const std::vector<double> frequencies = rope_frequencies(releases(), true);
  ASSERT_EQ(frequencies.size(), kPublished.size());
  for (size_t j = 0; j < kPublished.size(); ++j) EXPECT_NEAR(frequencies[j], kPublished[j], 1e-7 * kPublished[j]) << j;
}

TEST(RopeFrequencies, ArePlainInLayersWithoutACompressor) { expect_powers(rope_frequencies(releases(), false), 10000.0, 64); }

TEST(RopeFrequencies, ArePlainWithoutYarn) {
  Config config = releases();
  config.yarn.reset();
  config.qk_rope_head_dim = 8;
  expect_powers(rope_frequencies(config, true), 160000.0, 8);
}

TEST(RopeFrequencies, InterpolateAllButTheFirstWhenTheRampHasNoWidth) {
  Config config = releases();
  config.yarn->original_max_position = 6.0;  // shorter than a turn: both corrections are 0
  const std::vector<double> frequencies = rope_frequencies(config, true);
  EXPECT_EQ(frequencies[0], 1.0);
  for (size_t j = 1; j < frequencies.size(); ++j) {
    const double expected = std::pow(160000.0, -2.0 * static_cast<double>(j) / 64.0) / 16.0;
    EXPECT_NEAR(frequencies[j], expected, 1e-13 * expected) << j;
  }
}

/// Rotates the last `rope_dim` entries of each vector of `width`: adjacent pairs, by position * f_j in float32.
std::vector<double> rotated(const std::vector<float>& x, const std::vector<float>& positions, size_t width, size_t rope_dim,
                            const std::vector<double>& frequencies, double direction) {
  std::vector<double> y(x.begin(), x.end());
  for (size_t row = 0; row < positions.size(); ++row) {
    for (size_t j = 0; j < rope_dim / 2; ++j) {
      const size_t a = row * width + width - rope_dim + 2 * j, b = a + 1;
      const float angle = positions[row] * static_cast<float>(frequencies[j]);
      const double c = std::cos(static_cast<double>(angle)), s = direction * std::sin(static_cast<double>(angle));
      y[a] = x[a] * c - x[b] * s;
      y[b] = x[a] * s + x[b] * c;
    }
  }
  return y;
}

std::vector<float> waves(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(std::sin(0.7 * static_cast<double>(i) + 0.3));
  return values;
}

void expect_near(const ov::Tensor& actual, const std::vector<double>& expected) {
  const std::vector<float> values = values_of<float>(actual);
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(values[i], expected[i], 2e-6) << i;
}

class Rotation : public testing::TestWithParam<bool> {};

TEST_P(Rotation, TurnsPairsOfTheLastEntriesByThePosition) {
  const bool compressed = GetParam();
  constexpr size_t kWidth = 20, kHeads = 2, kRopeDim = 12;
  Config config = releases();
  config.sliding_window = 4;
  config.qk_rope_head_dim = kRopeDim;
  const Parameter ids = parameter(ov::element::i64, {-1, -1}), positions = parameter(ov::element::i64, {-1, -1});
  const Parameter queries = parameter(ov::element::f32, {-1, -1, kHeads, kWidth}), keys = parameter(ov::element::f32, {-1, 1, -1, kWidth});
  CallPositions call(config, ids, positions);
  const std::vector<int64_t> widths = {kWidth};
  Program program({apply_rope(queries, call.query_rope(compressed, kWidth), widths, kRopeDim),
                   apply_rope(queries, call.inverse_query_rope(compressed, kWidth), widths, kRopeDim),
                   apply_rope(keys, call.key_rope(compressed, kWidth), widths, kRopeDim)},
                  {ids, positions, queries, keys});
  const std::vector<double> frequencies = rope_frequencies(config, compressed);

  for (const auto& [start, length] : {std::pair<int64_t, size_t>{0, 1}, {0, 9}, {127, 3}, {4090, 6}, {65000, 1}}) {
    SCOPED_TRACE(std::to_string(start) + " + " + std::to_string(length));
    std::vector<int64_t> position_ids;
    std::vector<float> query_positions, key_positions;
    for (size_t s = 0; s < length; ++s) {
      position_ids.push_back(start + static_cast<int64_t>(s));
      key_positions.push_back(static_cast<float>(position_ids.back()));
      query_positions.insert(query_positions.end(), kHeads, key_positions.back());
    }
    const std::vector<float> q = waves(length * kHeads * kWidth), k = waves(length * kWidth);
    const std::vector<ov::Tensor> out =
        program({tensor<int64_t>({1, length}, std::vector<int64_t>(length)), tensor<int64_t>({1, length}, position_ids),
                 tensor<float>({1, length, kHeads, kWidth}, q), tensor<float>({1, 1, length, kWidth}, k)});
    expect_near(out[0], rotated(q, query_positions, kWidth, kRopeDim, frequencies, 1.0));
    expect_near(out[1], rotated(q, query_positions, kWidth, kRopeDim, frequencies, -1.0));
    expect_near(out[2], rotated(k, key_positions, kWidth, kRopeDim, frequencies, 1.0));
  }
}

INSTANTIATE_TEST_SUITE_P(Layers, Rotation, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& p) { return p.param ? "WithCompressor" : "WithoutCompressor"; });

TEST(EntryRotation, TurnsEntriesByTheFirstPositionOfTheirBlock) {
  constexpr size_t kMain = 12, kIndex = 8, kRopeDim = 4, kWidth = kMain + kIndex, kRatio = 4;
  Config config = releases();
  config.sliding_window = 4;
  config.qk_rope_head_dim = kRopeDim;
  config.head_dim = kMain;
  config.index_head_dim = kIndex;
  config.index_topk = 2;
  const LayerConfig layer = {.kind = LayerKind::kCsa, .compress_ratio = kRatio, .hash_routed = false};
  const Parameter ids = parameter(ov::element::i64, {-1, -1}), positions = parameter(ov::element::i64, {-1, -1});
  const Parameter past = parameter(ov::element::f32, {-1, 1, -1, kWidth}), entries = parameter(ov::element::f32, {-1, -1, 1, kWidth});
  CallPositions call(config, ids, positions);
  const RopeTable table = call.entry_rope(call.blocks(layer, past), {kMain, kIndex});
  Program program({apply_rope(entries, table, {kMain, kIndex}, kRopeDim)}, {ids, positions, past, entries});

  constexpr size_t kLength = 9, kBlocks = 3;  // positions 6..14 touch the blocks that begin at 4, 8 and 12
  std::vector<int64_t> position_ids;
  for (int64_t p = 6; p < 15; ++p) position_ids.push_back(p);
  const std::vector<float> x = waves(kBlocks * kWidth);
  const std::vector<ov::Tensor> out =
      program({tensor<int64_t>({1, kLength}, std::vector<int64_t>(kLength)), tensor<int64_t>({1, kLength}, position_ids),
               tensor<float>({1, 1, 0, kWidth}, {}), tensor<float>({1, kBlocks, 1, kWidth}, x)});

  std::vector<double> expected;
  const std::vector<double> frequencies = rope_frequencies(config, true);
  for (size_t block = 0; block < kBlocks; ++block) {
    const std::vector<float> position = {static_cast<float>(4 + kRatio * block)};
    size_t begin = block * kWidth;
    for (const size_t width : {kMain, kIndex}) {
      const std::vector<float> part(x.begin() + static_cast<std::ptrdiff_t>(begin), x.begin() + static_cast<std::ptrdiff_t>(begin + width));
      const std::vector<double> turned = rotated(part, position, width, kRopeDim, frequencies, 1.0);
      expected.insert(expected.end(), turned.begin(), turned.end());
      begin += width;
    }
  }
  expect_near(out[0], expected);
}

}  // namespace
}  // namespace dsv4
