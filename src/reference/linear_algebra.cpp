// Dot products with four float64 sums side by side: exact products, the same order whatever the number of threads or tokens.
#include "reference/linear_algebra.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "checkpoint/helper_threads.h"

namespace dsv4::reference {
namespace {

constexpr int64_t kLanes = 4;              // partial sums of a dot product
constexpr int64_t kTokensAtOnce = 4;       // tokens that share one pass over a row of weights
constexpr int64_t kTileDoubles = 1 << 14;  // inputs kept hot as float64: 128 KiB

/// sums[k] = w · x_k for the kTokensAtOnce rows of x, `stride` apart; each sum in the order of `dot`.
void dot_tokens(const double* w, const double* x, int64_t stride, int64_t n, double* sums) {
  double lanes[kTokensAtOnce][kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t k = 0; k < kTokensAtOnce; ++k) {
      for (int64_t lane = 0; lane < kLanes; ++lane) lanes[k][lane] += w[i + lane] * x[k * stride + i + lane];
    }
  }
  for (int64_t k = 0; k < kTokensAtOnce; ++k) {
    for (int64_t rest = i; rest < n; ++rest) lanes[k][rest - i] += w[rest] * x[k * stride + rest];
    sums[k] = (lanes[k][0] + lanes[k][1]) + (lanes[k][2] + lanes[k][3]);
  }
}

template <class T>
MatrixOf<T> multiply(const Matrix& x, const Matrix& w, int threads) {
  MatrixOf<T> y(x.rows, w.rows);
  const int64_t n = w.cols;
  const int64_t tile = std::max(int64_t{2}, kTileDoubles / (n * kTokensAtOnce)) * kTokensAtOnce;
  parallel_for(threads, w.rows, [&](int64_t row_begin, int64_t row_end) {
    std::vector<double> inputs(static_cast<size_t>(std::min(tile, x.rows) * n));
    std::vector<double> weights(static_cast<size_t>(n));
    for (int64_t first = 0; first < x.rows; first += tile) {
      const int64_t tokens = std::min(tile, x.rows - first);
      std::copy_n(x.row(first), tokens * n, inputs.begin());
      for (int64_t o = row_begin; o < row_end; ++o) {
        std::copy_n(w.row(o), n, weights.begin());
        int64_t t = 0;
        for (; t + kTokensAtOnce <= tokens; t += kTokensAtOnce) {
          double sums[kTokensAtOnce];
          dot_tokens(weights.data(), inputs.data() + t * n, n, n, sums);
          for (int64_t k = 0; k < kTokensAtOnce; ++k) y.row(first + t + k)[o] = static_cast<T>(sums[k]);
        }
        for (; t < tokens; ++t) y.row(first + t)[o] = static_cast<T>(dot(weights.data(), inputs.data() + t * n, n));
      }
    }
  });
  return y;
}

}  // namespace

void parallel_for(int threads, int64_t n, const std::function<void(int64_t begin, int64_t end)>& body) {
  int64_t workers = threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
  workers = std::min(workers, n);
  if (workers <= 1) {
    if (n > 0) body(0, n);
    return;
  }
  // Several ranges a worker: later tokens see more and take longer.
  const int64_t step = std::max(int64_t{1}, n / (workers * 8));
  std::atomic<int64_t> next{0};
  run_with_helpers(workers - 1, [&] {
    try {
      for (int64_t begin = next.fetch_add(step); begin < n; begin = next.fetch_add(step)) body(begin, std::min(n, begin + step));
    } catch (...) {
      next = n;  // nobody begins another range
      throw;
    }
  });
}

double dot(const double* a, const double* b, int64_t n) {
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  }
  for (int64_t rest = i; rest < n; ++rest) lanes[rest - i] += a[rest] * b[rest];
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

Matrix linear(const Matrix& x, const Matrix& w, int threads) { return multiply<float>(x, w, threads); }

Matrix64 linear64(const Matrix& x, const Matrix& w, int threads) { return multiply<double>(x, w, threads); }

double inverse_rms(const float* x, int64_t n, double eps) {
  double squares = 0.0;
  for (int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  return 1.0 / std::sqrt(squares / static_cast<double>(n) + eps);
}

Matrix rms_norm(const Matrix& x, const std::vector<float>& w, double eps) {
  Matrix y(x.rows, x.cols);
  for (int64_t t = 0; t < x.rows; ++t) {
    const double factor = inverse_rms(x.row(t), x.cols, eps);
    for (int64_t i = 0; i < x.cols; ++i) y.row(t)[i] = static_cast<float>(w[static_cast<size_t>(i)] * (x.row(t)[i] * factor));
  }
  return y;
}

double sigmoid(double z) {
  if (z >= 0.0) return 1.0 / (1.0 + std::exp(-z));
  const double e = std::exp(z);
  return e / (1.0 + e);
}

Matrix row_range(const Matrix& x, int64_t begin, int64_t end) {
  Matrix y(end - begin, x.cols);
  std::copy(x.row(begin), x.row(end), y.values.begin());
  return y;
}

}  // namespace dsv4::reference
