// The table of number formats, against what each is by definition.
#include "formats/number_format.h"

#include <gtest/gtest.h>

#include "formats/stored_format.h"

namespace dsv4 {
namespace {

TEST(NumberFormats, AreInTheOrderOfTheirNumbers) {
  for (size_t i = 0; i < kNumberFormats.size(); ++i) EXPECT_EQ(static_cast<size_t>(kNumberFormats[i].format), i);
}

TEST(NumberFormats, KeepTheNumbersThatIrsWithOpsHold) {
  using enum NumberFormat;
  constexpr NumberFormat kOrder[] = {kF32, kF16, kBF16, kU8, kI8, kU4, kI4, kF4E2M1, kF8E4M3};
  for (size_t i = 0; i < std::size(kOrder); ++i) EXPECT_EQ(static_cast<size_t>(kOrder[i]), i);
}

TEST(NumberFormats, AreFoundByTheirNamesAlone) {
  for (const NumberFormatRow& row : kNumberFormats) EXPECT_EQ(number_format(row.name), row.format) << row.name;
  for (const char* text : {"", "F32", "f33", "f8e5m2", "boolean", "u4 "}) EXPECT_FALSE(number_format(text)) << text;
}

TEST(NumberFormats, SayHowManyBytesValuesTake) {
  EXPECT_EQ(bytes_of(NumberFormat::kF32, 3), 12);
  EXPECT_EQ(bytes_of(NumberFormat::kBF16, 3), 6);
  EXPECT_EQ(bytes_of(NumberFormat::kF8E4M3, 3), 3);
  EXPECT_EQ(bytes_of(NumberFormat::kU4, 3), 2) << "two a byte, the last byte half full";
  EXPECT_EQ(bytes_of(NumberFormat::kF4E2M1, 4), 2);
}

TEST(StoredFormats, KnowWhatSharesAScale) {
  using enum NumberFormat;
  EXPECT_EQ(scale_columns({kBF16}, 384), 0);
  EXPECT_EQ(scale_columns({kU8}, 384), 384);
  EXPECT_EQ(scale_columns({kI4, 64}, 384), 64);
  EXPECT_EQ(scale_columns({kF4E2M1}, 384), 32);
  EXPECT_EQ(scale_columns({kF8E4M3, 128, 64}, 384), 128);
  EXPECT_EQ(scale_type({kU4, 32}), kF16);
  EXPECT_EQ(scale_type({kF4E2M1}), kF8E8M0);
  EXPECT_EQ(scale_type({kF8E4M3, 128, 128}), kF8E8M0);
  EXPECT_EQ(scale_type({kF8E4M3, 128, 128, kF32}), kF32);
  EXPECT_FALSE(is_grouped({kU8}));
  EXPECT_TRUE(is_grouped({kU8, 32}));
  EXPECT_TRUE(is_grouped({kF4E2M1}));
}

TEST(StoredFormats, HaveNamesForPeople) {
  using enum NumberFormat;
  EXPECT_EQ(stored_format_name({kF16}), "f16");
  EXPECT_EQ(stored_format_name({kU8}), "u8");
  EXPECT_EQ(stored_format_name({kU4, 32}), "u4 in groups of 32");
  EXPECT_EQ(stored_format_name({kF4E2M1}), "f4e2m1");
  EXPECT_EQ(stored_format_name({kF8E4M3, 128, 64}), "f8e4m3 in blocks of 64 x 128");
  EXPECT_EQ(describe(StoredFormat{kF32}), "f32");
  EXPECT_EQ(describe(StoredFormat{kI8}), "i8, a scale a row");
  EXPECT_EQ(describe(StoredFormat{kU4, 128}), "u4, groups of 128");
  EXPECT_EQ(describe(StoredFormat{kF4E2M1}), "f4e2m1, e8m0 scales of 32");
  EXPECT_EQ(describe(StoredFormat{kF8E4M3, 128, 128, kF32}), "f8e4m3, f32 scales of 128 x 128");
}

TEST(RowGroups, AreNamedAfterTheirMatrix) {
  EXPECT_EQ(row_group_name("layers.0.attn.wo_a.weight", 3), "layers.0.attn.wo_a.weight/rows.3");
  EXPECT_EQ(matrix_of_row_group("layers.0.attn.wo_a.weight/rows.3"), "layers.0.attn.wo_a.weight");
  EXPECT_EQ(matrix_of_row_group("embed.weight"), "embed.weight");
}

}  // namespace
}  // namespace dsv4
