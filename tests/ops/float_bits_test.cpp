// A token's float32 products have the same bits whatever else is multiplied with them: number of tokens, rows of a piece, threads; on every instruction set.
#define HWY_WANT_AVX3_DL  // as the kernels do: the list of instruction sets depends on it
#include <gtest/gtest.h>
#include <tbb/task_arena.h>

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

constexpr int64_t kMostTokens = 33;

/// All types; columns that do and do not fill vectors and chunks, groups that are the row, whole vectors or neither; rows around what is multiplied at once.
std::vector<MatrixKind> kinds() {
  using enum NumberFormat;
  std::vector<MatrixKind> kinds;
  for (const NumberFormat type : {kF32, kF16, kBF16}) {
    for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{1, 1}, {2, 15}, {3, 37}, {5, 1024}, {70, 2100}, {69, 1031}}) {
      kinds.push_back({type, rows, cols, 0, false});
    }
  }
  for (const NumberFormat type : {kU4, kI4, kU8, kI8, kF4E2M1}) {
    const bool zero_points = type == kU4 || type == kU8;
    for (const auto& [rows, cols, group] : {std::array<int64_t, 3>{1, 2, 2},
                                            {3, 38, 38},
                                            {70, 2112, 32},
                                            {67, 1280, 128},
                                            {6, 2080, 2080},
                                            {5, 2106, 2106},
                                            {7, 1152, 48},
                                            {9, 1056, 24},
                                            {4, 1040, 20},
                                            {2, 1110, 3}}) {
      kinds.push_back({type, rows, cols, group, zero_points});
      if (zero_points) kinds.push_back({type, rows, cols, group, false});
    }
  }
  for (const MatrixKind& kind :
       {MatrixKind{kF8E4M3, 1, 3, 3, false, 1, true}, MatrixKind{kF8E4M3, 70, 2176, 128, false, 32, false, 31},
        MatrixKind{kF8E4M3, 67, 1152, 128, false, 128, true, 64}, MatrixKind{kF8E4M3, 6, 2106, 2106, false, 2, false, 1},
        MatrixKind{kF8E4M3, 9, 1056, 24, false, 5, true, 3}}) {
    kinds.push_back(kind);
  }
  return kinds;
}

/// Numbers of tokens around the widths of tiles.
constexpr int64_t kTokens[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 19, 24, 25, 31, 32, 33};

/// [tokens, rows]: each token and every three rows by themselves.
std::vector<float> one_by_one(const RandomMatrix& w, const Activations& x) {
  const int64_t rows = w.matrix.rows;
  std::vector<float> y(static_cast<size_t>(kMostTokens * rows));
  Scratch scratch;
  for (int64_t t = 0; t < kMostTokens; ++t) {
    for (int64_t r = 0; r < rows; r += 3) {
      multiply(w.matrix.slice(r, std::min<int64_t>(3, rows - r)), x.slice(t, 1), y.data() + t * rows + r, rows, scratch);
    }
  }
  return y;
}

/// A matrix, tokens, and what each gives alone.
struct Alone {
  explicit Alone(const MatrixKind& kind)
      : w(random_matrix(kind)),
        stride(kind.cols + 3),
        values(random_floats(kMostTokens * stride, 11)),
        x(make_activations(values.data(), kMostTokens, kind.cols, stride, ActivationRounding::kF32, scratch)),
        y(one_by_one(w, x)) {}

  RandomMatrix w;
  int64_t stride;
  std::vector<float> values;
  Scratch scratch;
  Activations x;
  std::vector<float> y;
};

TEST(FloatBits, AreThoseOfATokenAlone) {
  for_each_instruction_set([] {
    for (const MatrixKind& kind : kinds()) {
      SCOPED_TRACE(kind.name());
      Alone alone(kind);
      for (const int threads : {1, 2, 3}) {
        tbb::task_arena(threads).execute([&] {
          for (const int64_t n : kTokens) {
            const int64_t first = kMostTokens - n;
            std::vector<float> together(static_cast<size_t>(n * kind.rows));
            multiply(alone.w.matrix, alone.x.slice(first, n), together.data(), kind.rows, alone.scratch);
            ASSERT_EQ(std::memcmp(together.data(), alone.y.data() + first * kind.rows, together.size() * sizeof(float)), 0)
                << n << " tokens, " << threads << " threads";
          }
        });
      }
      if (testing::Test::HasFatalFailure()) return;
    }
  });
}

TEST(FloatBits, AreThoseOfATokenAloneInGatheredRows) {
  for_each_instruction_set([] {
    for (const MatrixKind& kind : kinds()) {
      SCOPED_TRACE(kind.name());
      Alone alone(kind);
      std::vector<int32_t> order;  // products of experts take the tokens that chose them
      for (int64_t t = 0; t < kMostTokens; ++t) order.push_back(static_cast<int32_t>(t * 7 % kMostTokens));
      alone.x.row = order.data();
      for (const int64_t n : kTokens) {
        std::vector<float> together(static_cast<size_t>(n * kind.rows));
        multiply(alone.w.matrix, alone.x.slice(0, n), together.data(), kind.rows, alone.scratch);
        for (int64_t t = 0; t < n; ++t) {
          ASSERT_EQ(std::memcmp(together.data() + t * kind.rows, alone.y.data() + order[static_cast<size_t>(t)] * kind.rows,
                                static_cast<size_t>(kind.rows) * sizeof(float)),
                    0)
              << "token " << t << " of " << n;
        }
      }
    }
  });
}

TEST(FloatBits, AreThoseOfAProductAloneBesideOthers) {
  using enum NumberFormat;
  for_each_instruction_set([] {
    const std::vector<MatrixKind> kinds = {{kU4, 300, 1024, 128, true},
                                           {kF16, 200, 1024, 0, false},
                                           {kF4E2M1, 100, 1024, 32, false},
                                           {kF32, 77, 1024, 0, false},
                                           {kI8, 50, 1024, 1024, false}};
    std::vector<RandomMatrix> matrices;
    for (const MatrixKind& kind : kinds) matrices.push_back(random_matrix(kind));
    constexpr int64_t kStride = 1024 + 3;
    const std::vector<float> values = random_floats(kMostTokens * kStride, 11);
    Scratch scratch;
    const Activations x = make_activations(values.data(), kMostTokens, 1024, kStride, ActivationRounding::kF32, scratch);
    std::vector<std::vector<float>> alone;
    for (const RandomMatrix& w : matrices) alone.push_back(one_by_one(w, x));
    for (const int threads : {1, 2, 3}) {
      tbb::task_arena(threads).execute([&] {
        for (const int64_t n : {1, 3, 7, 33}) {
          std::vector<std::vector<float>> together;
          for (const MatrixKind& kind : kinds) together.emplace_back(static_cast<size_t>(n * kind.rows));
          std::vector<Product> products;
          for (size_t i = 0; i < kinds.size(); ++i)
            products.push_back({matrices[i].matrix, x.slice(0, n), together[i].data(), kinds[i].rows});
          multiply(products, scratch);
          for (size_t i = 0; i < kinds.size(); ++i) {
            EXPECT_EQ(std::memcmp(together[i].data(), alone[i].data(), together[i].size() * sizeof(float)), 0)
                << kinds[i].name() << ", " << n << " tokens, " << threads << " threads";
          }
        }
      });
    }
  });
}

}  // namespace
}  // namespace dsv4::ops
