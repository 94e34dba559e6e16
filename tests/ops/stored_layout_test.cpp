// Shapes of stored weights: written out by hand, and there and back again.
#include "ops/matrix/stored_layout.h"

#include <gtest/gtest.h>

#include "dsv4/error.h"

namespace dsv4 {
namespace {

using enum NumberFormat;

TEST(StoredLayout, HasTheShapesThatTheConstantsHave) {
  EXPECT_EQ(values_shape({6, 384}, {kF16}), (ov::Shape{6, 384}));
  EXPECT_EQ(values_shape({6, 384}, {kU8}), (ov::Shape{6, 384}));
  EXPECT_EQ(values_shape({6, 384}, {kU4, 128}), (ov::Shape{6, 3, 128}));
  EXPECT_EQ(values_shape({5, 6, 384}, {kF4E2M1}), (ov::Shape{5, 6, 12, 32}));
  EXPECT_EQ(values_shape({6, 384}, {kF8E4M3, 128, 2}), (ov::Shape{3, 2, 3, 128}));
  EXPECT_EQ(values_shape({5, 6, 384}, {kF8E4M3, 384, 6}), (ov::Shape{5, 1, 6, 1, 384}));
  EXPECT_EQ(scales_shape({6, 384}, kU8), (ov::Shape{6, 1}));
  EXPECT_EQ(scales_shape({6, 3, 128}, kI4), (ov::Shape{6, 3, 1}));
  EXPECT_EQ(scales_shape({3, 2, 3, 128}, kF8E4M3), (ov::Shape{3, 1, 3, 1}));
  EXPECT_EQ(scales_shape({5, 3, 2, 3, 128}, kF8E4M3), (ov::Shape{5, 3, 1, 3, 1}));
}

TEST(StoredLayout, IsReadBackFromItsShapes) {
  for (const ov::Shape& logical : {ov::Shape{6, 384}, ov::Shape{5, 6, 384}}) {
    for (const StoredFormat& format :
         {StoredFormat{kF32}, StoredFormat{kBF16}, StoredFormat{kI8}, StoredFormat{kU4, 32}, StoredFormat{kI4, 384}, StoredFormat{kF4E2M1},
          StoredFormat{kF8E4M3, 128, 3}, StoredFormat{kF8E4M3, 384, 6}}) {
      EXPECT_EQ(format_of_shape(format.type, values_shape(logical, format), logical), format) << describe(format);
    }
  }
}

TEST(StoredLayout, FitsNoOtherShape) {
  const ov::Shape logical = {6, 384};
  for (const ov::Shape& other : {ov::Shape{}, ov::Shape{6}, ov::Shape{384, 6}, ov::Shape{6, 3, 127}, ov::Shape{6, 4, 128},
                                 ov::Shape{7, 3, 128}, ov::Shape{6, 0, 128}, ov::Shape{6, 3, 0}, ov::Shape{2, 3, 3, 128}}) {
    EXPECT_FALSE(format_of_shape(kU4, other, logical)) << other;
    EXPECT_FALSE(format_of_shape(kF16, other, logical)) << other;
  }
  for (const ov::Shape& other : {ov::Shape{6, 384}, ov::Shape{6, 3, 128}, ov::Shape{4, 2, 3, 128}, ov::Shape{3, 0, 3, 128},
                                 ov::Shape{3, 2, 3, 0}, ov::Shape{3, 2, 2, 128}, ov::Shape{6, 3, 128, 1, 1}}) {
    EXPECT_FALSE(format_of_shape(kF8E4M3, other, logical)) << other;
  }
  EXPECT_FALSE(format_of_shape(kF8E4M3, {1, 1, 1, 384}, {384})) << "a vector has no rows";
  EXPECT_FALSE(format_of_shape(kF8E4M3, {1, 1, 384}, {384})) << "nor in one dim less";
}

TEST(StoredLayout, RefusesGroupsThatDoNotDivide) {
  EXPECT_THROW(values_shape({6, 384}, {kU4, 100}), Error);
  EXPECT_THROW(values_shape({6, 384}, {kF8E4M3, 128, 4}), Error);
  EXPECT_THROW(values_shape({6, 80}, {kF4E2M1}), Error);
}

TEST(ElementTypes, AreThoseOfTheTable) {
  EXPECT_EQ(element_type(kF8E4M3), ov::element::f8e4m3);
  EXPECT_EQ(element_type(kU4), ov::element::u4);
  for (const NumberFormatRow& row : kNumberFormats) EXPECT_EQ(number_format_of(element_type(row.format)), row.format) << row.name;
  EXPECT_FALSE(number_format_of(ov::element::boolean));
}

}  // namespace
}  // namespace dsv4
