// Hyper-connections in float64 from the float32 streams.
#include "reference/hyper_connections.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace dsv4::reference {
namespace {

/// u[t] = (F x_t) ρ_t with ρ the inverse RMS over all streams.
Matrix64 mixing_inputs(const Config& config, const Matrix& fn, const Matrix& streams, int threads) {
  Matrix64 u = linear64(streams, fn, threads);
  parallel_for(threads, streams.rows, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const double rho = inverse_rms(streams.row(t), streams.cols, config.rms_norm_eps);
      for (int64_t o = 0; o < u.cols; ++o) u.row(t)[o] *= rho;
    }
  });
  return u;
}

void normalise_rows(double* c, int64_t n, double eps) {
  for (int64_t j = 0; j < n; ++j) {
    double sum = eps;
    for (int64_t k = 0; k < n; ++k) sum += c[j * n + k];
    for (int64_t k = 0; k < n; ++k) c[j * n + k] /= sum;
  }
}

void normalise_columns(double* c, int64_t n, double eps) {
  for (int64_t k = 0; k < n; ++k) {
    double sum = eps;
    for (int64_t j = 0; j < n; ++j) sum += c[j * n + k];
    for (int64_t j = 0; j < n; ++j) c[j * n + k] /= sum;
  }
}

/// Row softmax + eps, then alternating normalisations; columns come last.
void sinkhorn(double* c, int64_t n, int64_t iterations, double eps) {
  for (int64_t j = 0; j < n; ++j) {
    double* row = c + j * n;
    const double max = *std::max_element(row, row + n);
    double sum = 0.0;
    for (int64_t k = 0; k < n; ++k) sum += row[k] = std::exp(row[k] - max);
    for (int64_t k = 0; k < n; ++k) row[k] = row[k] / sum + eps;
  }
  normalise_columns(c, n, eps);
  for (int64_t i = 1; i < iterations; ++i) {
    normalise_rows(c, n, eps);
    normalise_columns(c, n, eps);
  }
}

/// out = Σ_j weights_j X_j over the streams of one token.
void weighted_sum(const double* weights, const float* streams, int64_t hc, int64_t dims, float* out) {
  for (int64_t i = 0; i < dims; ++i) {
    double sum = 0.0;
    for (int64_t j = 0; j < hc; ++j) sum += weights[j] * streams[j * dims + i];
    out[i] = static_cast<float>(sum);
  }
}

}  // namespace

HyperInput hyper_pre(const StoredWeights& weights, const std::string& site, const Matrix& streams, int threads) {
  const Config& config = weights.config();
  const int64_t hc = config.hc_mult;
  const Matrix fn = weights.matrix(site + "fn");
  const std::vector<float> base = weights.vector(site + "base");
  const std::vector<float> scale = weights.vector(site + "scale");
  const Matrix64 u = mixing_inputs(config, fn, streams, threads);
  HyperInput out = {Matrix(streams.rows, config.hidden_size), Matrix64(streams.rows, hc), Matrix64(streams.rows, hc * hc)};
  parallel_for(threads, streams.rows, [&](int64_t begin, int64_t end) {
    std::vector<double> pre(static_cast<size_t>(hc));
    for (int64_t t = begin; t < end; ++t) {
      const auto mixed = [&](int64_t part, int64_t o) {
        return u.row(t)[o] * scale[static_cast<size_t>(part)] + base[static_cast<size_t>(o)];
      };
      for (int64_t j = 0; j < hc; ++j) {
        pre[static_cast<size_t>(j)] = sigmoid(mixed(0, j)) + config.hc_eps;
        out.post.row(t)[j] = 2.0 * sigmoid(mixed(1, hc + j));
      }
      for (int64_t jk = 0; jk < hc * hc; ++jk) out.comb.row(t)[jk] = mixed(2, 2 * hc + jk);
      sinkhorn(out.comb.row(t), hc, config.hc_sinkhorn_iters, config.hc_eps);
      weighted_sum(pre.data(), streams.row(t), hc, config.hidden_size, out.y.row(t));
    }
  });
  return out;
}

void hyper_post(const HyperInput& site, const Matrix& output, Matrix& streams, int threads) {
  const int64_t hc = site.post.cols;
  const int64_t dims = output.cols;
  parallel_for(threads, streams.rows, [&](int64_t begin, int64_t end) {
    std::vector<double> old(static_cast<size_t>(hc));
    for (int64_t t = begin; t < end; ++t) {
      float* x = streams.row(t);
      const double* comb = site.comb.row(t);
      for (int64_t i = 0; i < dims; ++i) {
        for (int64_t j = 0; j < hc; ++j) old[static_cast<size_t>(j)] = x[j * dims + i];
        for (int64_t k = 0; k < hc; ++k) {
          double sum = site.post.row(t)[k] * output.row(t)[i];
          for (int64_t j = 0; j < hc; ++j) sum += comb[j * hc + k] * old[static_cast<size_t>(j)];
          x[k * dims + i] = static_cast<float>(sum);
        }
      }
    }
  });
}

Matrix hyper_head(const StoredWeights& weights, const std::string& prefix, const Matrix& streams, int threads) {
  const Config& config = weights.config();
  const int64_t hc = config.hc_mult;
  const Matrix fn = weights.matrix(prefix + "hc_head_fn");
  const std::vector<float> base = weights.vector(prefix + "hc_head_base");
  const double scale = weights.vector(prefix + "hc_head_scale").front();
  const Matrix64 u = mixing_inputs(config, fn, streams, threads);
  Matrix y(streams.rows, config.hidden_size);
  parallel_for(threads, streams.rows, [&](int64_t begin, int64_t end) {
    std::vector<double> pre(static_cast<size_t>(hc));
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t j = 0; j < hc; ++j) {
        pre[static_cast<size_t>(j)] = sigmoid(u.row(t)[j] * scale + base[static_cast<size_t>(j)]) + config.hc_eps;
      }
      weighted_sum(pre.data(), streams.row(t), hc, config.hidden_size, y.row(t));
    }
  });
  return y;
}

}  // namespace dsv4::reference
