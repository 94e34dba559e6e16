// Products with packed weights against plain loops in double, for every instruction set.
#define HWY_WANT_AVX3_DL  // as the kernels do: the list of instruction sets depends on it
#include "ops/matrix/multiply.h"

#include <gtest/gtest.h>
#include <tbb/task_arena.h>

#include <cmath>
#include <random>
#include <vector>

#include "ops/matrix/kernels.h"
#include "ops/weights.h"
#include "support/instruction_sets.h"

namespace dsv4::ops {
namespace {

using testing_support::for_each_instruction_set;
using testing_support::MatrixKind;
using testing_support::random_floats;
using testing_support::random_matrix;
using testing_support::RandomMatrix;

/// What x stands for in products: itself or its codes.
std::vector<double> values_of(const Activations& x, bool int8, int64_t row) {
  std::vector<double> values;
  for (int64_t c = 0; c < x.cols; ++c) {
    values.push_back(int8 ? static_cast<double>(x.codes[row * x.blocks() * 32 + c]) *
                                static_cast<double>(x.scales[row * x.blocks() + c / 32])
                          : static_cast<double>(x.values[row * x.stride + c]));
  }
  return values;
}

/// y [tokens, y_stride] against plain loops.
void expect_products(const RandomMatrix& w, const Activations& x, const float* y, int64_t y_stride) {
  const PackedMatrix& m = w.matrix;
  const bool int8 = x.codes != nullptr && m.type != NumberFormat::kF8E4M3 && m.group != 0 && m.group % 32 == 0;
  for (int64_t t = 0; t < x.tokens; ++t) {
    const std::vector<double> values = values_of(x, int8, x.row ? x.row[t] : t);
    for (int64_t r = 0; r < m.rows; ++r) {
      double expected = 0.0, magnitude = 0.0;
      for (int64_t c = 0; c < m.cols; ++c) {
        const auto i = static_cast<size_t>(r * m.cols + c);
        expected += w.values[i] * values[static_cast<size_t>(c)];
        magnitude += w.magnitudes[i] * std::abs(values[static_cast<size_t>(c)]);
      }
      ASSERT_NEAR(static_cast<double>(y[t * y_stride + r]), expected, 1e-6 * magnitude) << "token " << t << ", row " << r;
    }
  }
}

void check(const MatrixKind& kind, ActivationRounding mode, int64_t tokens) {
  SCOPED_TRACE(kind.name() + (mode == ActivationRounding::kInt8 ? ", int8, " : ", f32, ") + std::to_string(tokens) + " tokens");
  const RandomMatrix w = random_matrix(kind);
  const int64_t stride = kind.cols + 3, y_stride = kind.rows + 5;
  const std::vector<float> numbers = random_floats(tokens * stride - 3, 2);
  const testing_support::GuardedBytes memory(numbers.size() * sizeof(float));  // x ends with the last column of the last token
  auto* values = reinterpret_cast<float*>(memory.data());
  std::copy(numbers.begin(), numbers.end(), values);
  std::vector<float> y(static_cast<size_t>(tokens * y_stride), -77.0f);
  Scratch scratch;
  const Activations x = make_activations(values, tokens, kind.cols, stride, mode, scratch);
  multiply(w.matrix, x, y.data(), y_stride, scratch);
  expect_products(w, x, y.data(), y_stride);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = kind.rows; r < y_stride; ++r) ASSERT_EQ(y[static_cast<size_t>(t * y_stride + r)], -77.0f) << "between the rows of y";
  }
}

std::vector<MatrixKind> kinds() {
  using enum NumberFormat;
  std::vector<MatrixKind> kinds;
  // Rows and columns around the widths of vectors, panels and chunks; groups that are whole blocks and groups that are not.
  const std::pair<int64_t, int64_t> compressed[] = {{1, 32}, {5, 96}, {17, 128}, {33, 160}, {3, 288}, {16, 384}};
  for (const auto& [rows, cols] : compressed) {
    for (const NumberFormat type : {kU4, kI4, kU8, kI8, kF4E2M1}) {
      for (const int64_t group : {int64_t{32}, int64_t{64}, int64_t{96}, int64_t{128}, int64_t{160}, cols}) {
        if (cols % group != 0 || (group == cols && (group == 32 || group == 96 || group == 128 || group == 160))) continue;
        kinds.push_back({type, rows, cols, group, false});
        if (type == kU4 || type == kU8) kinds.push_back({type, rows, cols, group, true});
      }
    }
  }
  for (const NumberFormat type : {kU4, kI4, kU8, kI8, kF4E2M1}) {
    for (const auto& [cols, group] : {std::pair<int64_t, int64_t>{100, 100}, {100, 20}, {48, 16}, {30, 5}, {30, 3}, {2, 2}, {32, 32}}) {
      kinds.push_back({type, 7, cols, group, type == kU4 || type == kU8});
    }
  }
  for (const NumberFormat type : {kF32, kF16, kBF16}) {
    for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{1, 1}, {3, 7}, {24, 64}, {35, 97}, {16, 530}})
      kinds.push_back({type, rows, cols, 0, false});
  }
  for (const bool f32_scales : {false, true}) {
    for (const auto& [rows, cols, group, block] : {std::array<int64_t, 4>{1, 1, 1, 1},
                                                   {7, 100, 20, 7},
                                                   {24, 128, 64, 8},
                                                   {33, 160, 160, 16},
                                                   {19, 384, 128, 128},
                                                   {5, 530, 530, 3}}) {
      kinds.push_back({kF8E4M3, rows, cols, group, false, block, f32_scales, block / 2});
    }
  }
  return kinds;
}

TEST(Multiply, EqualsPlainLoopsForEveryTypeShapeAndNumberOfTokens) {
  for_each_instruction_set([] {
    for (const MatrixKind& kind : kinds()) {
      for (const ActivationRounding mode : {ActivationRounding::kF32, ActivationRounding::kInt8}) {
        for (const int64_t tokens : {1, 2, 3, 7, 16, 33}) {
          check(kind, mode, tokens);
          if (testing::Test::HasFatalFailure()) return;
        }
      }
    }
  });
}

TEST(Multiply, EqualsPlainLoopsBeyondAChunkOfColumns) {
  using enum NumberFormat;
  for_each_instruction_set([] {
    for (const MatrixKind& kind : {MatrixKind{kU4, 18, 4096 + 128, 128, true}, MatrixKind{kU8, 18, 7168, 7168, true},
                                   MatrixKind{kI8, 2, 2 * 4096 + 96, 2 * 4096 + 96, false}, MatrixKind{kF4E2M1, 20, 4096 + 32, 32, false},
                                   MatrixKind{kI4, 3, 3 * 96 * 50, 96, false}, MatrixKind{kU8, 2, 2 * 16416, 16416, true},
                                   MatrixKind{kBF16, 20, 4100, 0, false}, MatrixKind{kF8E4M3, 20, 4096 + 128, 128, false, 8, false, 5}}) {
      for (const ActivationRounding mode : {ActivationRounding::kF32, ActivationRounding::kInt8}) {
        for (const int64_t tokens : {1, 9}) check(kind, mode, tokens);
      }
    }
  });
}

/// Whole lines of 64 bytes, in more groups than one vector of scales holds, in numbers that do and do not fill the last one.
std::vector<MatrixKind> kinds_of_long_rows() {
  using enum NumberFormat;
  return {{kU4, 1, 128, 128, true},     {kU4, 7, 9 * 128, 128, true},     {kU4, 6, 8 * 256, 256, true},     {kU4, 5, 17 * 128, 128, false},
          {kU4, 3, 1280, 1280, true},   {kU4, 7, 20 * 64, 64, true},      {kU4, 8, 36 * 32, 32, true},      {kI4, 7, 11 * 128, 128, false},
          {kI4, 5, 22 * 64, 64, false}, {kF4E2M1, 7, 44 * 32, 32, false}, {kF4E2M1, 2, 64 * 32, 32, false}, {kU8, 7, 19 * 64, 64, true},
          {kU8, 4, 1152, 1152, true},   {kI8, 7, 9 * 128, 128, false},    {kI8, 3, 640, 640, false}};
}

TEST(Multiply, EqualsPlainLoopsForRowsOfWholeLines) {
  for_each_instruction_set([] {
    for (const MatrixKind& kind : kinds_of_long_rows()) {
      for (const int64_t tokens : {1, 2, 3, 4, 5, 8}) check(kind, ActivationRounding::kInt8, tokens);
    }
  });
}

TEST(Multiply, FewTokensHaveTheBitsOfOneAndRowsThoseOfAnyPiece) {
  for_each_instruction_set([] {
    for (const MatrixKind& kind : kinds_of_long_rows()) {
      for (const ActivationRounding mode : {ActivationRounding::kF32, ActivationRounding::kInt8}) {
        SCOPED_TRACE(kind.name());
        constexpr int64_t kTokens = 8;
        const RandomMatrix w = random_matrix(kind);
        const std::vector<float> values = random_floats(kTokens * kind.cols, 6);
        Scratch scratch;
        const Activations x = make_activations(values.data(), kTokens, kind.cols, kind.cols, mode, scratch);
        std::vector<float> one(static_cast<size_t>(kTokens * kind.rows)), all(one.size());
        for (int64_t t = 0; t < kTokens; ++t) {
          for (int64_t r = 0; r < kind.rows; r += 3) {
            const int64_t rows = std::min<int64_t>(3, kind.rows - r);
            multiply(w.matrix.slice(r, rows), x.slice(t, 1), one.data() + t * kind.rows + r, kind.rows, scratch);
          }
        }
        const bool with_records =
            mode == ActivationRounding::kInt8 && record_bytes(w.matrix) > 0;  // 5 to 8 tokens take other kernels elsewhere
        for (int64_t tokens = 2; tokens <= (with_records ? kTokens : 4); ++tokens) {
          multiply(w.matrix, x.slice(0, tokens), all.data(), kind.rows, scratch);
          EXPECT_EQ(std::memcmp(all.data(), one.data(), static_cast<size_t>(tokens * kind.rows) * sizeof(float)), 0) << tokens << " tokens";
        }
      }
    }
  });
}

TEST(Multiply, EqualsPlainLoopsForManyTiles) {
  using enum NumberFormat;
  for_each_instruction_set([] {
    for (const MatrixKind& kind :
         {MatrixKind{kU4, 21, 256, 128, true}, MatrixKind{kU8, 65, 64, 64, true}, MatrixKind{kF16, 40, 96, 0, false}}) {
      for (const ActivationRounding mode : {ActivationRounding::kF32, ActivationRounding::kInt8}) check(kind, mode, 100);
    }
  });
}

TEST(Multiply, GathersRows) {
  using enum NumberFormat;
  for_each_instruction_set([] {
    for (const MatrixKind& kind :
         {MatrixKind{kU4, 9, 128, 64, true}, MatrixKind{kI8, 9, 96, 96, false}, MatrixKind{kF16, 9, 70, 0, false}}) {
      for (const ActivationRounding mode : {ActivationRounding::kF32, ActivationRounding::kInt8}) {
        SCOPED_TRACE(kind.name());
        const RandomMatrix w = random_matrix(kind);
        const std::vector<float> values = random_floats(40 * kind.cols, 3);
        Scratch scratch;
        Activations x = make_activations(values.data(), 40, kind.cols, kind.cols, mode, scratch);
        const std::vector<int32_t> rows = {39, 0, 7, 7, 21, 3, 38, 12};
        for (const int64_t tokens : {1, 4, 8}) {
          x.row = rows.data();
          x.tokens = tokens;
          std::vector<float> y(static_cast<size_t>(tokens * kind.rows));
          multiply(w.matrix, x, y.data(), kind.rows, scratch);
          expect_products(w, x, y.data(), kind.rows);
        }
      }
    }
  });
}

TEST(Multiply, DoesNothingWithoutTokens) {
  const RandomMatrix w = random_matrix({NumberFormat::kU4, 9, 128, 64, true});
  Scratch scratch;
  const Activations x = make_activations(nullptr, 0, 128, 128, ActivationRounding::kInt8, scratch);
  float y = 5.0f;
  multiply(w.matrix, x, &y, 9, scratch);
  multiply({}, scratch);
  EXPECT_EQ(y, 5.0f);
}

/// Several products of unlike kinds in one call, so large that threads divide them.
std::vector<std::vector<float>> many_products(int threads, ActivationRounding mode, int64_t tokens, bool check_values) {
  using enum NumberFormat;
  static const std::vector<MatrixKind> kKinds = {{kU4, 1000, 1024, 128, true}, {kI8, 500, 1024, 1024, false},
                                                 {kF16, 300, 1024, 0, false},  {kF4E2M1, 1000, 1024, 32, false},
                                                 {kU8, 77, 1024, 256, true},   {kI4, 1, 1024, 64, false}};
  static const std::vector<RandomMatrix> kMatrices = [] {
    std::vector<RandomMatrix> matrices;
    for (const MatrixKind& kind : kKinds) matrices.push_back(random_matrix(kind));
    return matrices;
  }();
  const std::vector<float> values = random_floats(tokens * 1024, 4);
  std::vector<std::vector<float>> results;
  for (const MatrixKind& kind : kKinds) results.emplace_back(static_cast<size_t>(kind.rows * tokens));
  tbb::task_arena arena(threads);
  arena.execute([&] {
    Scratch scratch;
    const Activations x = make_activations(values.data(), tokens, 1024, 1024, mode, scratch);
    std::vector<Product> products;
    for (size_t i = 0; i < kKinds.size(); ++i) products.push_back({kMatrices[i].matrix, x, results[i].data(), kKinds[i].rows});
    multiply(products, scratch);
    for (size_t i = 0; check_values && i < kKinds.size(); ++i) expect_products(kMatrices[i], x, results[i].data(), kKinds[i].rows);
  });
  return results;
}

TEST(Multiply, ThreadsChangeNoBit) {
  for_each_instruction_set([] {
    for (const ActivationRounding mode : {ActivationRounding::kF32, ActivationRounding::kInt8}) {
      for (const int64_t tokens : {1, 11}) {
        const auto alone = many_products(1, mode, tokens, true);
        for (const int threads : {2, 3})
          EXPECT_EQ(many_products(threads, mode, tokens, false), alone) << threads << " threads, " << tokens << " tokens";
      }
    }
  });
}

TEST(Multiply, TakesExtremeScales) {
  // E8M0 byte 0 is 2^-127, a subnormal float; 255 is NaN, and it stays in its row.
  for_each_instruction_set([] {
    for (const ActivationRounding mode : {ActivationRounding::kF32, ActivationRounding::kInt8}) {
      for (const int64_t tokens : {1, 8}) {
        RandomMatrix w = random_matrix({NumberFormat::kF4E2M1, 3, 64, 32, false});
        std::byte* scales = w.scales->data();
        for (int i = 0; i < 4; ++i) scales[i] = std::byte{0};
        scales[3] = std::byte{240};
        scales[4] = std::byte{255};
        std::memset(w.codes->data(), 0x72, 96);  // every even column 1, every odd one 6
        std::vector<float> values(static_cast<size_t>(tokens * 64), 0x1p-10f);
        std::fill_n(values.begin(), 32, 0x1p10f);
        Scratch scratch;
        const Activations x = make_activations(values.data(), tokens, 64, 64, mode, scratch);
        std::vector<float> y(static_cast<size_t>(3 * tokens));
        multiply(w.matrix, x, y.data(), 3, scratch);
        EXPECT_NEAR(y[0], 0x1p-127f * 0x1p10f * 112, 0x1p-127f * 0x1p10f * 112 * 1e-5f);
        EXPECT_NEAR(y[1] / 0x1p113f, 0x1p-10f * 112, 0x1p-10f * 112 * 1e-5f);
        EXPECT_TRUE(std::isnan(y[2]));
      }
    }
  });
}

TEST(Multiply, TakesExtremeScalesInRowsOfWholeLines) {
  for_each_instruction_set([] {
    for (const int64_t tokens : {1, 8}) {
      RandomMatrix w = random_matrix({NumberFormat::kF4E2M1, 3, 256, 32, false});
      std::byte* scales = w.scales->data();
      for (int i = 0; i < 24; ++i) scales[i] = std::byte{0};
      scales[9] = std::byte{240};
      scales[23] = std::byte{255};
      std::memset(w.codes->data(), 0x72, 3 * 128);  // every even column 1, every odd one 6
      std::vector<float> values(static_cast<size_t>(tokens * 256), 0x1p-10f);
      for (int64_t t = 0; t < tokens; ++t) std::fill_n(values.begin() + t * 256, 32, 0x1p10f);
      Scratch scratch;
      const Activations x = make_activations(values.data(), tokens, 256, 256, ActivationRounding::kInt8, scratch);
      std::vector<float> y(static_cast<size_t>(3 * tokens));
      multiply(w.matrix, x, y.data(), 3, scratch);
      EXPECT_NEAR(y[0], 0x1p-127f * 0x1p10f * 112, 0x1p-127f * 0x1p10f * 112 * 1e-4f);
      EXPECT_NEAR(y[1] / 0x1p113f, 0x1p-10f * 112, 0x1p-10f * 112 * 1e-5f);
      EXPECT_TRUE(std::isnan(y[2]));
    }
  });
}

TEST(MakeActivations, RoundsToTheNearestCodeOfEachBlock) {
  for_each_instruction_set([] {
    for (const int64_t cols : {1, 31, 32, 33, 64, 200}) {
      constexpr int64_t kTokens = 70;
      const int64_t stride = cols + 1;
      std::vector<float> values = random_floats(kTokens * stride, 5);
      for (int64_t c = 0; c < cols; ++c) values[static_cast<size_t>(c)] = 0.0f;  // a token of zeros
      for (int64_t c = 0; c < cols; ++c) values[static_cast<size_t>(stride + c)] *= 1e-30f;
      Scratch scratch;
      const Activations a = make_activations(values.data(), kTokens, cols, stride, ActivationRounding::kInt8, scratch);
      for (int64_t t = 0; t < kTokens; ++t) {
        for (int64_t b = 0; b < a.blocks(); ++b) {
          double largest = 0.0;
          for (int64_t c = b * 32; c < std::min(cols, b * 32 + 32); ++c) {
            largest = std::max(largest, static_cast<double>(std::abs(values[static_cast<size_t>(t * stride + c)])));
          }
          const double scale = static_cast<double>(a.scales[t * a.blocks() + b]);
          ASSERT_NEAR(scale, largest / 127.0, largest * 1e-7);
          int sum = 0;
          for (int64_t c = b * 32; c < b * 32 + 32; ++c) {
            const int code = a.codes[t * a.blocks() * 32 + c];
            sum += code;
            const double x = c < cols ? static_cast<double>(values[static_cast<size_t>(t * stride + c)]) : 0.0;
            ASSERT_NEAR(code * scale, x, scale * 0.50001) << "token " << t << ", column " << c;
            ASSERT_EQ(a.planes[t * a.blocks() * 32 + c % 2 * a.blocks() * 16 + c / 2], code);
          }
          ASSERT_NEAR(static_cast<double>(a.sums[t * a.blocks() + b]), scale * sum, std::abs(scale * sum) * 1e-6);
        }
      }
    }
  });
}

TEST(MakeActivations, RoundsHalvesToEven) {
  for_each_instruction_set([] {
    std::vector<float> values(32, 0.0f);
    values[0] = 127.0f;
    values[1] = 2.5f;
    values[2] = -3.5f;
    values[3] = 0.5f;
    values[31] = -127.0f;
    Scratch scratch;
    const Activations a = make_activations(values.data(), 1, 32, 32, ActivationRounding::kInt8, scratch);
    EXPECT_EQ(a.codes[0], 127);
    EXPECT_EQ(a.codes[1], 2);
    EXPECT_EQ(a.codes[2], -4);
    EXPECT_EQ(a.codes[3], 0);
    EXPECT_EQ(a.codes[31], -127);
  });
}

TEST(MakeActivations, KeepsNotANumber) {
  for_each_instruction_set([] {
    for (const float bad : {std::nanf(""), -std::nanf(""), INFINITY, -INFINITY}) {
      std::vector<float> values(64, 1.0f);
      values[40] = bad;
      Scratch scratch;
      const Activations a = make_activations(values.data(), 1, 64, 64, ActivationRounding::kInt8, scratch);
      EXPECT_EQ(a.codes[0], 127);
      EXPECT_TRUE(std::isnan(a.scales[1]) && std::isnan(a.sums[1]));
      const RandomMatrix w = random_matrix({NumberFormat::kU4, 2, 64, 64, true});
      float y[2];
      multiply(w.matrix, a, y, 2, scratch);
      EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[1]));
    }
  });
}

TEST(MakeActivations, GivesNoCodesInFloat32) {
  const float values[2] = {1.0f, 2.0f};
  Scratch scratch;
  const Activations a = make_activations(values, 1, 2, 2, ActivationRounding::kF32, scratch);
  EXPECT_EQ(a.codes, nullptr);
  EXPECT_EQ(a.values, values);
}

}  // namespace
}  // namespace dsv4::ops
