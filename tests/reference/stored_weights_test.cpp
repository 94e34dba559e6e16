// Rounding of weights as models store them: against NNCF's own numbers, cases by hand, and the forward with such weights.
#include "reference/stored_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dsv4/error.h"
#include "reference/compare.h"
#include "reference/golden_data.h"
#include "reference/reference.h"
#include "support/files.h"

namespace dsv4::reference {
namespace {

using dsv4::testing_support::error_of;
using testing::AllOf;
using testing::HasSubstr;

std::vector<float> stored(const StoredFormat& format, int64_t columns, std::vector<float> values) {
  round_as_stored("w", format, columns, values);
  return values;
}

struct Case {
  const char* name;  // of the tensor in tests/data/nncf/dequantised.safetensors
  StoredFormat format;
};

class Nncf : public testing::TestWithParam<Case> {};

TEST_P(Nncf, DequantisesToTheSameBits) {
  const dsv4_test::GoldenData data(dsv4_test::data_directory() / "nncf/dequantised.safetensors");
  const std::vector<float> weights = data.f32("weights"), expected = data.f32(GetParam().name);
  const int64_t columns = data.shape("weights")[1];
  const std::vector<float> got = stored(GetParam().format, columns, weights);
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i], expected[i]) << "row " << i / static_cast<size_t>(columns) << ", column " << i % static_cast<size_t>(columns);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Nncf,
                         testing::Values(Case{"u8_row", {NumberFormat::kU8, -1}}, Case{"i8_row", {NumberFormat::kI8, -1}},
                                         Case{"u4_row", {NumberFormat::kU4, -1}}, Case{"u4_32", {NumberFormat::kU4, 32}},
                                         Case{"u4_64", {NumberFormat::kU4, 64}}, Case{"i4_row", {NumberFormat::kI4, -1}},
                                         Case{"i4_32", {NumberFormat::kI4, 32}}, Case{"i4_64", {NumberFormat::kI4, 64}}),
                         [](const auto& test) { return test.param.name; });

TEST(StoredWeights, AsymmetricLevelsSpanZeroAndBothEnds) {
  // Range -1..14, scale 1, zero point 1: every whole number of the range is a level.
  const StoredFormat u4{NumberFormat::kU4, -1};
  EXPECT_EQ(stored(u4, 6, {-1, 0, 3, 3.4f, 8.75f, 14}), (std::vector<float>{-1, 0, 3, 3, 9, 14}));
  // One-sided rows: the range begins at zero all the same, scale 1.
  EXPECT_EQ(stored(u4, 3, {15, 7.2f, 14.6f}), (std::vector<float>{15, 7, 15}));
  EXPECT_EQ(stored(u4, 3, {-15, -7.2f, -14.6f}), (std::vector<float>{-15, -7, -15}));
}

TEST(StoredWeights, TiesGoToTheEvenLevel) {
  const StoredFormat u4{NumberFormat::kU4, -1}, i4{NumberFormat::kI4, -1};
  EXPECT_EQ(stored(u4, 5, {15, 0.5f, 1.5f, 2.5f, 3.5f}), (std::vector<float>{15, 0, 2, 2, 4}));
  EXPECT_EQ(stored(i4, 5, {-8, 0.5f, 1.5f, -2.5f, -3.5f}), (std::vector<float>{-8, 0, 2, -2, -4}));
}

TEST(StoredWeights, SymmetricScaleTakesTheSignOfTheSideThatReachesFurther) {
  const StoredFormat i4{NumberFormat::kI4, -1};
  // -8 is a level, +8 is not: the value that reaches furthest is kept, the other side ends one level before it.
  EXPECT_EQ(stored(i4, 3, {-8, 8, 1}), (std::vector<float>{-8, 7, 1}));
  EXPECT_EQ(stored(i4, 3, {8, -7.9f, 1}), (std::vector<float>{8, -7, 1}));
}

TEST(StoredWeights, IsMultipliedBackWithTheScaleInFloat16) {
  // Scale 1/3 as float32 quantises (5 = 15 levels); as float16 it is 1365/4096.
  EXPECT_EQ(stored({NumberFormat::kU4, -1}, 2, {5, 2}), (std::vector<float>{15 * 1365.0f / 4096, 6 * 1365.0f / 4096}));
}

TEST(StoredWeights, EachGroupOfARowHasItsOwnScale) {
  const std::vector<float> values = {15, 1, 150, 10, 0.4f, 0.1f, 1500, 15};  // two rows of two groups of two
  const std::vector<float> grouped = stored({NumberFormat::kU4, 2}, 4, values);
  EXPECT_EQ(grouped, (std::vector<float>{15, 1, 150, 10, grouped[4], grouped[5], 1500, 0}));
  EXPECT_NEAR(grouped[4], 0.4f, 0.4f / 1024);
  EXPECT_NEAR(grouped[5], 0.4f * 4 / 15, 0.4f / 1024);
  EXPECT_EQ(stored({NumberFormat::kU4, -1}, 4, values), (std::vector<float>{20, 0, 150, 10, 0, 0, 1500, 0})) << "a scale a row: 10 and 100";
}

TEST(StoredWeights, RowsOfZerosStayZero) {
  for (const NumberFormat type : {NumberFormat::kU8, NumberFormat::kI8, NumberFormat::kU4, NumberFormat::kI4}) {
    EXPECT_EQ(stored({type, -1}, 4, {0, 0, 0, 0}), (std::vector<float>{0, 0, 0, 0}));
  }
}

TEST(StoredWeights, Float16KeepsElevenBits) {
  const StoredFormat f16{NumberFormat::kF16, -1};
  EXPECT_EQ(stored(f16, 4, {2049, 2051, 65504, 0x1p-25f}), (std::vector<float>{2048, 2052, 65504, 0}));
  EXPECT_EQ(stored({NumberFormat::kF32, -1}, 2, {2049, 0x1p-25f}), (std::vector<float>{2049, 0x1p-25f}));
  EXPECT_EQ(stored({NumberFormat::kF4E2M1, -1}, 2, {2049, 0x1p-25f}), (std::vector<float>{2049, 0x1p-25f}));
}

TEST(StoredWeights, RefusesWhatFloat16CannotHold) {
  EXPECT_THAT(error_of([] { stored({NumberFormat::kF16, -1}, 2, {1, 70000}); }), AllOf(HasSubstr("w"), HasSubstr("70000")));
  EXPECT_THAT(error_of([] { stored({NumberFormat::kI4, -1}, 2, {1, 1e6f}); }), AllOf(HasSubstr("w"), HasSubstr("float16")));
  EXPECT_EQ(error_of([] { stored({NumberFormat::kU8, -1}, 2, {1, 1e6f}); }), "");
}

class StoredToy : public testing::Test {
 protected:
  StoredToy() : checkpoint_(Checkpoint::open(dsv4_test::golden_checkpoint("toy"))) {}

  /// Every float tensor in this format; those in `except` exactly.
  StoredFormats all(const StoredFormat& format) const {
    StoredFormats formats;
    for (const TensorSpec& spec : checkpoint_.table()) {
      if (spec.published != NumberFormat::kI64) formats.emplace(spec.name, format);
    }
    return formats;
  }

  std::vector<float> logits(const StoredFormats& formats) const {
    ReferenceOptions options;
    options.formats = formats;
    return Reference(checkpoint_, options).logits(tokens());
  }

  /// So many that the indexer drops entries.
  static std::span<const int64_t> tokens() {
    static const std::vector<int64_t> all = dsv4_test::golden_tokens("toy");
    return std::span(all).first(80);
  }

  Checkpoint checkpoint_;
};

TEST_F(StoredToy, ReadsTensorsAsTheirFormatsKeepThem) {
  const std::string quantised = "layers.0.attn.wq_a.weight", halved = "layers.1.attn.wkv.weight", exact = "layers.2.attn.wkv.weight";
  const StoredWeights weights(checkpoint_, {{quantised, {NumberFormat::kU4, 32}}, {halved, {NumberFormat::kF16, -1}}});
  const auto expect = [&](const std::string& name, const StoredFormat& format) {
    const Matrix m = weights.matrix(name);
    const Shape shape = checkpoint_.shape(name);
    ASSERT_EQ((Shape{m.rows, m.cols}), shape);
    EXPECT_EQ(m.values, stored(format, shape[1], checkpoint_.read(name))) << name;
  };
  expect(quantised, {NumberFormat::kU4, 32});
  expect(halved, {NumberFormat::kF16, -1});
  expect(exact, {NumberFormat::kF32, -1});
  EXPECT_NE(weights.matrix(quantised).values, checkpoint_.read(quantised));

  // Rows are rounded alone, so that a part of them is what it is in the whole.
  const Matrix whole = weights.matrix(quantised);
  std::vector<float> rows(static_cast<size_t>(3 * whole.cols));
  weights.rows(quantised, 5, 8, rows.data());
  EXPECT_EQ(rows, std::vector<float>(whole.row(5), whole.row(8)));
}

TEST_F(StoredToy, ReadsRowGroupsInFormatsOfTheirOwn) {
  const std::string name = "layers.0.attn.wo_a.weight";
  const StoredFormat first{NumberFormat::kU4, 32}, second{NumberFormat::kI8, -1};
  const StoredWeights weights(checkpoint_, {{name + "/rows.0", first}, {name + "/rows.1", second}});
  const int64_t rows = checkpoint_.shape(name)[0], columns = checkpoint_.shape(name)[1];
  const auto half = static_cast<std::ptrdiff_t>(rows / 2 * columns);
  const std::vector<float> exact = checkpoint_.read(name);
  std::vector<float> expected = stored(first, columns, {exact.begin(), exact.begin() + half});
  const std::vector<float> rest = stored(second, columns, {exact.begin() + half, exact.end()});
  expected.insert(expected.end(), rest.begin(), rest.end());
  const Matrix whole = weights.matrix(name);
  EXPECT_EQ(whole.values, expected);
  std::vector<float> across(static_cast<size_t>(4 * columns));  // the boundary is in their middle
  weights.rows(name, rows / 2 - 2, rows / 2 + 2, across.data());
  EXPECT_EQ(across, std::vector<float>(whole.row(rows / 2 - 2), whole.row(rows / 2 + 2)));

  StoredFormats too_many;
  for (int64_t i = 0; i < rows - 1; ++i) too_many.emplace(row_group_name(name, i), first);
  const StoredWeights other(checkpoint_, too_many);
  EXPECT_THAT(error_of([&] { other.matrix(name); }), AllOf(HasSubstr(name), HasSubstr("another checkpoint")));
}

TEST_F(StoredToy, RefusesFormatsThatTheCheckpointCannotHave) {
  const auto error = [&](const std::string& name, const StoredFormat& format) {
    return error_of([&] { const StoredWeights weights(checkpoint_, {{name, format}}); });
  };
  EXPECT_THAT(error("layers.0.attn.no_such.weight", {}), HasSubstr("layers.0.attn.no_such.weight"));
  EXPECT_THAT(error("layers.0.attn.wq_a.weight", {NumberFormat::kU4, 48}), AllOf(HasSubstr("layers.0.attn.wq_a.weight"), HasSubstr("48")));
  EXPECT_THAT(error("layers.0.attn.wq_a.weight", {NumberFormat::kU4, 0}), HasSubstr("layers.0.attn.wq_a.weight"));
  EXPECT_THAT(error("layers.0.attn.wq_a.weight", {NumberFormat::kF4E2M1, -1}),
              AllOf(HasSubstr("layers.0.attn.wq_a.weight"), HasSubstr("FP4")));
  EXPECT_EQ(error("layers.0.ffn.experts.0.w1.weight", {NumberFormat::kF4E2M1, -1}), "");
}

TEST_F(StoredToy, LogitsWithoutRoundingAreThoseOfTheCheckpoint) {
  const std::vector<float> exact = logits({});
  EXPECT_EQ(logits(all({NumberFormat::kF32, -1})), exact);
  StoredFormats published;
  for (const TensorSpec& spec : checkpoint_.table()) {
    if (spec.published == NumberFormat::kF4E2M1) published.emplace(spec.name, StoredFormat{NumberFormat::kF4E2M1, -1});
  }
  EXPECT_FALSE(published.empty());
  EXPECT_EQ(logits(published), exact);
}

// Each place that reads weights must go through the formats: rounding any one tensor must move the logits.
TEST_F(StoredToy, EveryTensorsFormatReachesTheLogits) {
  const int64_t vocab = checkpoint_.config().vocab_size;
  const std::vector<float> exact = logits({});
  const std::vector<int32_t> used = [&] {
    ReferenceTrace trace;
    Reference(checkpoint_).logits(tokens(), &trace);
    return trace.expert_ids[0];
  }();
  const std::string expert = "layers.0.ffn.experts." + std::to_string(used[0]) + ".";
  for (const std::string& name : std::vector<std::string>{"embed.weight",
                                                          "head.weight",
                                                          "norm.weight",
                                                          "hc_head_fn",
                                                          "layers.0.hc_attn_fn",
                                                          "layers.0.hc_ffn_fn",
                                                          "layers.0.attn_norm.weight",
                                                          "layers.0.attn.wq_a.weight",
                                                          "layers.0.attn.q_norm.weight",
                                                          "layers.0.attn.wq_b.weight",
                                                          "layers.0.attn.wkv.weight",
                                                          "layers.0.attn.wo_a.weight",
                                                          "layers.0.attn.wo_b.weight",
                                                          "layers.0.attn.attn_sink",
                                                          "layers.0.ffn.gate.weight",
                                                          "layers.0.ffn.shared_experts.w1.weight",
                                                          "layers.0.ffn.shared_experts.w2.weight",
                                                          "layers.0.ffn.shared_experts.w3.weight",
                                                          expert + "w1.weight",
                                                          expert + "w2.weight",
                                                          expert + "w3.weight"}) {
    const LogitDifference d = compare_logits(exact, logits({{name, {NumberFormat::kU4, -1}}}), vocab);
    EXPECT_GT(d.max, 0.0) << name;
  }
  for (size_t l = 0; l < checkpoint_.config().layers.size(); ++l) {
    if (checkpoint_.config().layers[l].kind != LayerKind::kCsa) continue;
    const std::string prefix = concat("layers.", l, ".attn.");
    for (const char* leaf : {"compressor.wkv.weight", "compressor.wgate.weight", "compressor.ape", "compressor.norm.weight",
                             "indexer.wq_b.weight", "indexer.weights_proj.weight", "indexer.compressor.wkv.weight",
                             "indexer.compressor.wgate.weight", "indexer.compressor.ape", "indexer.compressor.norm.weight"}) {
      EXPECT_GT(compare_logits(exact, logits({{prefix + leaf, {NumberFormat::kU4, -1}}}), vocab).max, 0.0) << prefix + leaf;
    }
  }
}

TEST_F(StoredToy, FewerBitsAreFurtherFromTheCheckpoint) {
  const int64_t vocab = checkpoint_.config().vocab_size;
  const std::vector<float> exact = logits({});
  const auto mean = [&](const StoredFormat& format) { return compare_logits(exact, logits(all(format)), vocab).mean; };
  const double int8 = mean({NumberFormat::kU8, -1}), int4 = mean({NumberFormat::kU4, -1});
  EXPECT_GT(int8, 0.0);
  EXPECT_GT(int4, 2 * int8);
}

}  // namespace
}  // namespace dsv4::reference
