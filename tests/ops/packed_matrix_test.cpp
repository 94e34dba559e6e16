// Which tensors make a matrix, what a view of a part of a stack is, and the values of rows.
#include "ops/matrix/packed_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dsv4/error.h"
#include "ops/weights.h"
#include "support/instruction_sets.h"

namespace dsv4::ops {
namespace {

using ov::element::Type;
using testing::HasSubstr;
using testing_support::MatrixKind;
using testing_support::random_matrix;
using testing_support::RandomMatrix;

PackedMatrix describe(const std::vector<Type>& types, const std::vector<ov::Shape>& shapes, MatrixForm form = MatrixForm::kPlain) {
  return describe_matrix(types, shapes, form, "blk.w");
}

TEST(DescribeMatrix, ReadsFloatMatrices) {
  const PackedMatrix m = describe({ov::element::bf16}, {{5, 7}});
  EXPECT_EQ(m.type, NumberFormat::kBF16);
  EXPECT_EQ(m.count, 1);
  EXPECT_EQ(m.rows, 5);
  EXPECT_EQ(m.cols, 7);
  EXPECT_EQ(m.group, 0);
  EXPECT_EQ(m.groups(), 0);
  EXPECT_EQ(m.row_bytes(), 14);
  EXPECT_EQ(m.code_bytes(), 70);
  EXPECT_EQ(m.bytes(), 70);
}

TEST(DescribeMatrix, TakesOneDimensionForARow) {
  const PackedMatrix m = describe({ov::element::f32}, {{9}});
  EXPECT_EQ(m.type, NumberFormat::kF32);
  EXPECT_EQ(m.rows, 1);
  EXPECT_EQ(m.cols, 9);
}

TEST(DescribeMatrix, ReadsScalesOfRowsAndOfGroups) {
  const PackedMatrix of_rows = describe({ov::element::i8, ov::element::f16}, {{5, 64}, {5, 1}});
  EXPECT_EQ(of_rows.type, NumberFormat::kI8);
  EXPECT_EQ(of_rows.group, 64);
  EXPECT_EQ(of_rows.groups(), 1);
  EXPECT_EQ(of_rows.scale_bytes(), 10);

  const PackedMatrix of_groups = describe({ov::element::u4, ov::element::f16, ov::element::u4}, {{5, 3, 32}, {5, 3, 1}, {5, 3, 1}});
  EXPECT_EQ(of_groups.type, NumberFormat::kU4);
  EXPECT_EQ(of_groups.rows, 5);
  EXPECT_EQ(of_groups.cols, 96);
  EXPECT_EQ(of_groups.group, 32);
  EXPECT_EQ(of_groups.groups(), 3);
  EXPECT_EQ(of_groups.row_bytes(), 48);
  EXPECT_EQ(of_groups.scale_bytes(), 30);
  EXPECT_EQ(of_groups.zero_point_bytes(), 8);  // 15 nibbles

  const PackedMatrix fp4 = describe({ov::element::f4e2m1, ov::element::f8e8m0}, {{5, 3, 32}, {5, 3, 1}});
  EXPECT_EQ(fp4.type, NumberFormat::kF4E2M1);
  EXPECT_EQ(fp4.scale_bytes(), 15);
}

TEST(DescribeMatrix, ReadsBlocksOfFp8) {
  const PackedMatrix m = describe({ov::element::f8e4m3, ov::element::f8e8m0}, {{3, 2, 4, 32}, {3, 1, 4, 1}});
  EXPECT_EQ(m.type, NumberFormat::kF8E4M3);
  EXPECT_EQ(m.rows, 6);
  EXPECT_EQ(m.cols, 128);
  EXPECT_EQ(m.group, 32);
  EXPECT_EQ(m.group_rows, 2);
  EXPECT_EQ(m.code_bytes(), 6 * 128);
  EXPECT_EQ(m.scale_bytes(), 12);
  EXPECT_EQ(m.bytes(), 6 * 128 + 12);

  const PackedMatrix stack = describe({ov::element::f8e4m3, ov::element::f32}, {{5, 3, 2, 4, 32}, {5, 3, 1, 4, 1}}, MatrixForm::kStack);
  EXPECT_EQ(stack.count, 5);
  EXPECT_EQ(stack.rows, 6);
  EXPECT_EQ(stack.scale_bytes(), 4 * 5 * 12);
}

TEST(PackedMatrix, ViewsOfBlocksKeepTheirScales) {
  PackedMatrix m = describe({ov::element::f8e4m3, ov::element::f32}, {{5, 2, 3, 4, 32}, {5, 2, 1, 4, 1}}, MatrixForm::kStack);
  const std::vector<std::byte> codes(static_cast<size_t>(m.code_bytes())), scales(static_cast<size_t>(m.scale_bytes()));
  m.codes = codes.data();
  m.scales = scales.data();
  const PackedMatrix third = m.at(2);
  EXPECT_EQ(third.codes - m.codes, 2 * 6 * 128);
  EXPECT_EQ(third.scales - m.scales, 2 * 2 * 4 * 4);
  const PackedMatrix rows = third.slice(4, 2);  // the second and third row of the second block
  EXPECT_EQ(rows.codes - third.codes, 4 * 128);
  EXPECT_EQ(rows.scales - third.scales, 4 * 4);
  EXPECT_EQ(rows.first_row, 1);
  EXPECT_EQ(rows.scale_index(0), 0);
  EXPECT_EQ(rows.scale_index(1), 0);
  const PackedMatrix across = third.slice(2, 3);  // the last row of one and two of the next
  EXPECT_EQ(across.scale_index(0), 0);
  EXPECT_EQ(across.scale_index(1), 4);
  EXPECT_EQ(across.slice(1, 2).scales - across.scales, 4 * 4);
  EXPECT_EQ(across.bytes(), 3 * 128 + 2 * 4 * 4) << "of both blocks";
}

TEST(DescribeMatrix, TellsStacksFromGroups) {
  const std::vector<Type> types = {ov::element::u8, ov::element::f16, ov::element::u8};
  const PackedMatrix stack = describe(types, {{4, 5, 64}, {4, 5, 1}, {4, 5, 1}}, MatrixForm::kStack);
  EXPECT_EQ(stack.count, 4);
  EXPECT_EQ(stack.rows, 5);
  EXPECT_EQ(stack.cols, 64);
  EXPECT_EQ(stack.group, 64);
  EXPECT_EQ(stack.code_bytes(), 4 * 5 * 64);
  EXPECT_EQ(stack.scale_bytes(), 40);
  EXPECT_EQ(stack.zero_point_bytes(), 20);

  const PackedMatrix in_groups = describe(types, {{4, 5, 2, 32}, {4, 5, 2, 1}, {4, 5, 2, 1}}, MatrixForm::kStack);
  EXPECT_EQ(in_groups.count, 4);
  EXPECT_EQ(in_groups.cols, 64);
  EXPECT_EQ(in_groups.group, 32);

  const PackedMatrix floats = describe({ov::element::f16}, {{4, 5, 6}}, MatrixForm::kStack);
  EXPECT_EQ(floats.count, 4);
  EXPECT_EQ(floats.rows, 5);
}

TEST(DescribeMatrix, RefusesWhatIsNoMatrix) {
  const Type f16 = ov::element::f16, u4 = ov::element::u4, i4 = ov::element::i4, u8 = ov::element::u8, f32 = ov::element::f32;
  struct Malformed {
    std::vector<Type> types;
    std::vector<ov::Shape> shapes;
    MatrixForm form;
    std::string message;
  };
  const Malformed cases[] = {
      {{ov::element::i32}, {{5, 64}}, MatrixForm::kPlain, "weights of type i32; expected f32"},
      {{u4}, {{5, 64}}, MatrixForm::kPlain, "weights of type u4 without scales"},
      {{u8}, {{64}}, MatrixForm::kPlain, "weights of type u8 without scales"},
      {{f16}, {{5, 6, 7}}, MatrixForm::kPlain, "weights of shape [5,6,7]; expected 2 dims"},
      {{f16}, {{5, 6}}, MatrixForm::kStack, "weights of shape [5,6]; expected 3 dims"},
      {{f16}, {{}}, MatrixForm::kPlain, "weights of shape []; expected 2 dims"},
      {{u4, f16}, {{64}, {1}}, MatrixForm::kPlain, "compressed weights of shape [64]; expected 2 or 3 dims"},
      {{u4, f16}, {{2, 3, 4, 5}, {2, 3, 4, 1}}, MatrixForm::kPlain, "compressed weights of shape [2,3,4,5]; expected 2 or 3 dims"},
      {{u4, f16}, {{2, 64}, {2, 1}}, MatrixForm::kStack, "compressed weights of shape [2,64]; expected 3 or 4 dims"},
      {{u4, f32}, {{5, 64}, {5, 1}}, MatrixForm::kPlain, "scales of type f32 and shape [5,1]; expected f16 and [5,1]"},
      {{u4, f16}, {{5, 64}, {5, 2}}, MatrixForm::kPlain, "scales of type f16 and shape [5,2]; expected f16 and [5,1]"},
      {{u4, f16}, {{5, 2, 32}, {5, 1, 1}}, MatrixForm::kPlain, "scales of type f16 and shape [5,1,1]; expected f16 and [5,2,1]"},
      {{ov::element::f4e2m1, f16}, {{5, 2, 32}, {5, 2, 1}}, MatrixForm::kPlain, "expected f8e8m0 and [5,2,1]"},
      {{f16, f16}, {{5, 64}, {5, 1}}, MatrixForm::kPlain, "scales for weights of type f16"},
      {{i4, f16, i4}, {{5, 64}, {5, 1}, {5, 1}}, MatrixForm::kPlain, "zero points of type i4 and shape [5,1] for weights of type i4"},
      {{u4, f16, u8}, {{5, 64}, {5, 1}, {5, 1}}, MatrixForm::kPlain, "zero points of type u8"},
      {{u4, f16, u4}, {{5, 64}, {5, 1}, {1, 1}}, MatrixForm::kPlain, "zero points of type u4 and shape [1,1]"},
      {{f16}, {{0, 64}}, MatrixForm::kPlain, "weights of shape [0,64] are empty"},
      {{f16}, {{0}}, MatrixForm::kPlain, "weights of shape [0] are empty"},
      {{u4, f16}, {{5, 0}, {5, 1}}, MatrixForm::kPlain, "weights of shape [5,0] are empty"},
      {{u4, f16}, {{5, 63}, {5, 1}}, MatrixForm::kPlain, "4-bit rows of 63 values; expected an even number"},
      {{ov::element::f8e4m3, f16}, {{1, 5, 2, 32}, {1, 1, 2, 1}}, MatrixForm::kPlain, "expected f8e8m0 and [1,1,2,1]"},
      {{ov::element::f8e4m3, f32}, {{1, 5, 2, 32}, {1, 5, 2, 1}}, MatrixForm::kPlain, "expected f32 and [1,1,2,1]"},
      {{ov::element::f8e4m3, f32}, {{5, 64}, {5, 1}}, MatrixForm::kPlain, "compressed weights of shape [5,64]; expected 4 dims"},
      {{ov::element::f8e4m3, f32}, {{0, 5, 2, 32}, {0, 1, 2, 1}}, MatrixForm::kPlain, "weights of shape [0,5,2,32] are empty"},
      {{ov::element::f8e4m3}, {{5, 64}}, MatrixForm::kPlain, "weights of type f8e4m3 without scales"},
      {{}, {}, MatrixForm::kPlain, "a weight of 0 tensors; expected 1 to 3"},
      {{u4, f16, u4, u4}, {{5, 64}, {5, 1}, {5, 1}, {5, 1}}, MatrixForm::kPlain, "a weight of 4 tensors; expected 1 to 3"},
      {{u4, f16}, {{5, 64}}, MatrixForm::kPlain, "2 tensors with 1 shapes"},
  };
  for (const Malformed& c : cases) {
    try {
      describe(c.types, c.shapes, c.form);
      ADD_FAILURE() << "taken: " << c.message;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("blk.w: ")) << c.message;
      EXPECT_THAT(error.what(), HasSubstr(c.message));
    }
  }
}

std::vector<MatrixKind> kinds() {
  using enum NumberFormat;
  std::vector<MatrixKind> kinds;
  for (const NumberFormat type : {kF32, kF16, kBF16}) {
    kinds.push_back({type, 6, 11, 0, false});
    kinds.push_back({type, 6, 300, 0, false});
  }
  for (const NumberFormat type : {kU8, kI8, kU4, kI4, kF4E2M1}) {
    for (const int64_t group : {2, 10, 15, 30}) {
      kinds.push_back({type, 6, 30, group, false});
      if (type == kU8 || type == kU4) kinds.push_back({type, 6, 30, group, true});
    }
    for (const int64_t group : {100, 300}) kinds.push_back({type, 6, 300, group, type == kU8 || type == kU4});  // vectors, and what is left
  }
  return kinds;
}

void expect_rows(const PackedMatrix& m, const RandomMatrix& of, int64_t first) {
  std::vector<float> row(static_cast<size_t>(m.cols));
  for (int64_t r = 0; r < m.rows; ++r) {
    unpack_row(m, r, row.data());
    for (int64_t c = 0; c < m.cols; ++c) {
      const double expected = of.values[static_cast<size_t>((first + r) * m.cols + c)];
      ASSERT_NEAR(static_cast<double>(row[static_cast<size_t>(c)]), expected, std::abs(expected) * 1e-7) << "row " << r << ", column " << c;
    }
  }
}

TEST(UnpackRow, GivesTheValuesOfTheDefinitions) {
  for (const MatrixKind& kind : kinds()) {
    SCOPED_TRACE(kind.name());
    const RandomMatrix w = random_matrix(kind);
    testing_support::for_each_instruction_set([&] { expect_rows(w.matrix, w, 0); });
  }
}

TEST(PackedMatrix, PartsOfStacksAreViews) {
  for (const MatrixKind& kind : kinds()) {
    SCOPED_TRACE(kind.name());
    const RandomMatrix w = random_matrix(kind);
    expect_rows(w.matrix.slice(2, 3), w, 2);
    expect_rows(w.matrix.slice(5, 1), w, 5);
    PackedMatrix stack = w.matrix;
    stack.count = 3;
    stack.rows = 2;
    for (int64_t i = 0; i < 3; ++i) {
      EXPECT_EQ(stack.at(i).count, 1);
      expect_rows(stack.at(i), w, 2 * i);
      expect_rows(stack.at(i).slice(1, 1), w, 2 * i + 1);
    }
  }
}

}  // namespace
}  // namespace dsv4::ops
