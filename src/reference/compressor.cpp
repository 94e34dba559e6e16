// Compressed entries by their definition (a softmax over the rows of a block, per channel) and the indexer's top-k.
#include "reference/compressor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "reference/cache_quantization.h"

namespace dsv4::reference {
namespace {

/// A row of K or Z that takes part in an entry: token `token`, channels from `offset`.
struct PooledRow {
  int64_t token;
  int64_t offset;
};

/// Entry i pools its own block; an overlapping compressor adds the previous block's first halves and takes the own block's second halves.
std::vector<PooledRow> pooled_rows(int64_t entry, int64_t ratio, int64_t width, bool overlap) {
  std::vector<PooledRow> rows;
  if (overlap && entry > 0) {
    for (int64_t t = (entry - 1) * ratio; t < entry * ratio; ++t) rows.push_back({t, 0});
  }
  for (int64_t t = entry * ratio; t < (entry + 1) * ratio; ++t) rows.push_back({t, overlap ? width : 0});
  return rows;
}

/// out[d] = Σ_rows softmax_rows(Z[d] + ape[d]) K[d].
void pool(const std::vector<PooledRow>& rows, const Matrix& k, const Matrix& z, const Matrix& ape, int64_t width, float* out) {
  std::vector<double> scores(rows.size());
  for (int64_t d = 0; d < width; ++d) {
    double max = -std::numeric_limits<double>::infinity();
    for (size_t r = 0; r < rows.size(); ++r) {
      const int64_t channel = rows[r].offset + d;
      scores[r] = static_cast<double>(z.row(rows[r].token)[channel]) + ape.row(rows[r].token % ape.rows)[channel];
      max = std::max(max, scores[r]);
    }
    double total = 0.0;
    double sum = 0.0;
    for (size_t r = 0; r < rows.size(); ++r) {
      const double weight = std::exp(scores[r] - max);
      total += weight;
      sum += weight * k.row(rows[r].token)[rows[r].offset + d];
    }
    out[d] = static_cast<float>(sum / total);
  }
}

/// The `count` best of scores, ascending. NaN ranks last, so that the order is strict whatever the weights hold.
std::vector<int32_t> best_entries(std::vector<double>& scores, int64_t count) {
  for (double& s : scores) {
    if (std::isnan(s)) s = -std::numeric_limits<double>::infinity();
  }
  std::vector<int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const auto better = [&](int32_t a, int32_t b) {
    const double left = scores[static_cast<size_t>(a)];
    const double right = scores[static_cast<size_t>(b)];
    return left != right ? left > right : a < b;
  };
  std::nth_element(order.begin(), order.begin() + count, order.end(), better);
  order.resize(static_cast<size_t>(count));
  std::sort(order.begin(), order.end());
  return order;
}

/// Hadamard, then FP4 (spec 2.9 (ii)). Without the rounding the transform cancels in q·k, so it goes with it.
void quantise_index_vector(float* x, int64_t n) {
  hadamard(x, n);
  round_through_fp4(x, n);
}

/// score(t, i) = Σ_h w_h ReLU(q_h · k_i), with q [heads * dims] and the keys as float64.
void index_scores(const double* q, const double* head_weights, int64_t heads, const Matrix64& keys, std::vector<double>& scores) {
  for (size_t i = 0; i < scores.size(); ++i) {
    const double* key = keys.row(static_cast<int64_t>(i));
    double sum = 0.0;
    for (int64_t h = 0; h < heads; ++h) sum += head_weights[h] * std::max(0.0, dot(q + h * keys.cols, key, keys.cols));
    scores[i] = sum;
  }
}

}  // namespace

Matrix compressed_entries(const LayerContext& context, const std::string& prefix, const Matrix& x, const RotaryTable& rope) {
  const StoredWeights& weights = context.weights;
  const int64_t ratio = context.layer.compress_ratio;
  const std::vector<float> norm = weights.vector(prefix + "norm.weight");
  const auto width = static_cast<int64_t>(norm.size());
  Matrix entries(x.rows / ratio, width);
  if (entries.rows == 0) return entries;
  const Matrix covered = row_range(x, 0, entries.rows * ratio);
  const Matrix k = linear(covered, weights.matrix(prefix + "wkv.weight"), context.threads);
  const Matrix z = linear(covered, weights.matrix(prefix + "wgate.weight"), context.threads);
  const Matrix ape = weights.matrix(prefix + "ape");
  const bool overlap = context.layer.kind == LayerKind::kCsa;
  parallel_for(context.threads, entries.rows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) pool(pooled_rows(i, ratio, width, overlap), k, z, ape, width, entries.row(i));
  });
  entries = rms_norm(entries, norm, weights.config().rms_norm_eps);
  for (int64_t i = 0; i < entries.rows; ++i) rope.rotate(entries.row(i), width, i * ratio);
  return entries;
}

std::vector<std::vector<int32_t>> select_entries(const LayerContext& context, const Matrix& x, const Matrix& qr, const RotaryTable& rope) {
  const StoredWeights& weights = context.weights;
  const Config& config = weights.config();
  const int64_t ratio = context.layer.compress_ratio;
  const int64_t heads = config.index_n_heads;
  const int64_t dims = config.index_head_dim;
  const int64_t top = config.index_topk;
  std::vector<std::vector<int32_t>> selection(static_cast<size_t>(x.rows));
  int64_t first = 0;  // the first token that sees more than it may keep
  for (; first < x.rows && (first + 1) / ratio <= top; ++first) {
    auto& all = selection[static_cast<size_t>(first)];
    all.resize(static_cast<size_t>((first + 1) / ratio));
    std::iota(all.begin(), all.end(), 0);
  }
  if (first == x.rows) return selection;

  const std::string prefix = context.prefix + "attn.indexer.";
  Matrix entries = compressed_entries(context, prefix + "compressor.", x, rope);
  if (context.simulate_cache_quantization) {
    for (int64_t i = 0; i < entries.rows; ++i) quantise_index_vector(entries.row(i), dims);
  }
  Matrix64 keys(entries.rows, dims);
  std::copy(entries.values.begin(), entries.values.end(), keys.values.begin());

  Matrix q = linear(row_range(qr, first, x.rows), weights.matrix(prefix + "wq_b.weight"), context.threads);
  Matrix64 head_weights = linear64(row_range(x, first, x.rows), weights.matrix(prefix + "weights_proj.weight"), context.threads);
  const double scale = 1.0 / std::sqrt(static_cast<double>(dims) * static_cast<double>(heads));
  for (double& w : head_weights.values) w *= scale;

  parallel_for(context.threads, q.rows, [&](int64_t begin, int64_t end) {
    std::vector<double> query(static_cast<size_t>(q.cols));
    std::vector<double> scores;
    for (int64_t row = begin; row < end; ++row) {
      const int64_t t = first + row;
      for (int64_t h = 0; h < heads; ++h) {
        float* head = q.row(row) + h * dims;
        rope.rotate(head, dims, t);
        if (context.simulate_cache_quantization) quantise_index_vector(head, dims);
      }
      std::copy_n(q.row(row), q.cols, query.begin());
      scores.assign(static_cast<size_t>((t + 1) / ratio), 0.0);
      index_scores(query.data(), head_weights.row(row), heads, keys, scores);
      selection[static_cast<size_t>(t)] = best_entries(scores, top);
    }
  });
  return selection;
}

}  // namespace dsv4::reference
