// Matrices of float32 values whose sums run in float64, and the loops over threads: what the blocks of the reference are written with.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace dsv4::reference {

/// Row-major [rows, cols].
template <class T>
struct MatrixOf {
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<T> values;

  MatrixOf() = default;
  MatrixOf(int64_t n_rows, int64_t n_cols) : rows(n_rows), cols(n_cols), values(static_cast<size_t>(n_rows * n_cols)) {}

  T* row(int64_t i) { return values.data() + i * cols; }
  const T* row(int64_t i) const { return values.data() + i * cols; }
};

using Matrix = MatrixOf<float>;
using Matrix64 = MatrixOf<double>;

/// Calls body(begin, end) for disjoint ranges that cover [0, n), on `threads` threads (0: all cores). The ranges depend on the
/// number of threads, so a body must compute each item alone. The first exception of a body is thrown here.
void parallel_for(int threads, int64_t n, const std::function<void(int64_t begin, int64_t end)>& body);

/// Σ a_i b_i over n values in float64, always in the same order.
double dot(const double* a, const double* b, int64_t n);

/// Rows of x times rows of w: y[t, o] = Σ_i x[t, i] w[o, i], each sum in float64. x [T, in], w [out, in]; y [T, out].
Matrix linear(const Matrix& x, const Matrix& w, int threads);
/// The same with the sums left in float64.
Matrix64 linear64(const Matrix& x, const Matrix& w, int threads);

/// (mean(x²) + eps)^(-1/2) over n values.
double inverse_rms(const float* x, int64_t n, double eps);

/// Every row: w ⊙ x · inverse_rms(x). w has cols values (spec 2.1).
Matrix rms_norm(const Matrix& x, const std::vector<float>& w, double eps);

/// 1 / (1 + exp(-z)) without overflow.
double sigmoid(double z);

/// Rows [begin, end) as a matrix of their own.
Matrix row_range(const Matrix& x, int64_t begin, int64_t end);

}  // namespace dsv4::reference
