// A token's products have the same bits whatever else is in the call: other tokens, other rows, tiles or single rows.
#define HWY_WANT_AVX3_DL  // as the kernels do: the list of instruction sets depends on it
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "ops/matrix/multiply.h"
#include "ops/weights.h"
#include "support/instruction_sets.h"

namespace dsv4::ops {
namespace {

using testing_support::for_each_instruction_set;
using testing_support::MatrixKind;
using testing_support::random_floats;
using testing_support::random_matrix;
using testing_support::RandomMatrix;

constexpr int64_t kTokens = 40;

/// Every width of groups: whole units, halves, blocks, parts of units, rows; rows that do and do not fill units, chunks and vectors of scales.
std::vector<MatrixKind> kinds() {
  using enum NumberFormat;
  return {{kU4, 1, 128, 128, true},
          {kU4, 7, 9 * 128, 128, true},
          {kU4, 6, 8 * 256, 256, true},
          {kU4, 5, 17 * 128, 128, false},
          {kU4, 3, 1280, 1280, true},
          {kU4, 35, 20 * 64, 64, true},
          {kU4, 8, 36 * 32, 32, true},
          {kU4, 9, 5 * 96, 96, true},
          {kU4, 4, 160, 160, true},
          {kU4, 18, 4096 + 128, 128, true},
          {kU4, 3, 32, 32, true},
          {kI4, 7, 11 * 128, 128, false},
          {kI4, 5, 22 * 64, 64, false},
          {kI4, 3, 3 * 96 * 50, 96, false},
          {kF4E2M1, 23, 44 * 32, 32, false},
          {kF4E2M1, 2, 64 * 32, 32, false},
          {kF4E2M1, 20, 4096 + 32, 32, false},
          {kF4E2M1, 3, 64, 64, false},
          {kU8, 7, 19 * 64, 64, true},
          {kU8, 4, 1152, 1152, true},
          {kU8, 6, 7168, 7168, true},
          {kU8, 2, 2 * 16416, 16416, true},
          {kI8, 7, 9 * 128, 128, false},
          {kI8, 3, 640, 640, false},
          {kI8, 2, 2 * 4096 + 96, 2 * 4096 + 96, false},
          {kI8, 17, 96, 96, false}};
}

class Bits {
 public:
  Bits(const MatrixKind& kind, ActivationRounding mode)
      : kind_(kind),
        matrix_(random_matrix(kind)),
        values_(random_floats(kTokens * kind.cols, 6)),
        one_(static_cast<size_t>(kTokens * kind.rows)) {
    x_ = make_activations(values_.data(), kTokens, kind.cols, kind.cols, mode, scratch_);
    for (int64_t t = 0; t < kTokens; ++t) {  // one by one, in pieces of three rows
      for (int64_t r = 0; r < kind.rows; r += 3) {
        const int64_t rows = std::min<int64_t>(3, kind.rows - r);
        multiply(matrix_.matrix.slice(r, rows), x_.slice(t, 1), one_.data() + t * kind.rows + r, kind.rows, scratch_);
      }
    }
  }

  void expect_the_same(int64_t first, int64_t tokens) {
    std::vector<float> all(static_cast<size_t>(tokens * kind_.rows));
    multiply(matrix_.matrix, x_.slice(first, tokens), all.data(), kind_.rows, scratch_);
    EXPECT_EQ(std::memcmp(all.data(), one_.data() + first * kind_.rows, all.size() * sizeof(float)), 0)
        << tokens << " tokens from " << first;
  }

  void expect_the_same_gathered(const std::vector<int32_t>& rows) {
    Activations x = x_;
    x.row = rows.data();
    x.tokens = static_cast<int64_t>(rows.size());
    std::vector<float> all(rows.size() * static_cast<size_t>(kind_.rows));
    multiply(matrix_.matrix, x, all.data(), kind_.rows, scratch_);
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(std::memcmp(all.data() + i * static_cast<size_t>(kind_.rows), one_.data() + rows[i] * kind_.rows,
                            static_cast<size_t>(kind_.rows) * sizeof(float)),
                0)
          << "token " << rows[i] << " among " << rows.size();
    }
  }

 private:
  MatrixKind kind_;
  RandomMatrix matrix_;
  std::vector<float> values_, one_;
  Scratch scratch_;
  Activations x_;
};

TEST(MultiplyBits, OfATokenAreTheSameAmongAnyOthersInInt8) {
  for_each_instruction_set([] {
    for (const MatrixKind& kind : kinds()) {
      SCOPED_TRACE(kind.name());
      Bits bits(kind, ActivationRounding::kInt8);
      for (const int64_t tokens : {2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 25, 32, 33, 40}) bits.expect_the_same(0, tokens);
      bits.expect_the_same(31, 9);
      bits.expect_the_same(17, 16);
      bits.expect_the_same_gathered({39, 0, 7, 7, 21});
      bits.expect_the_same_gathered({39, 0, 7, 7, 21, 3, 38, 12, 1, 2, 30, 29, 28, 5});
    }
  });
}

}  // namespace
}  // namespace dsv4::ops
