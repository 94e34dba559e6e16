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

/// What an indexer chose for one token.
struct Selection {
  std::vector<int32_t> entries;  // ascending
  int32_t worst = 0;             // of these
  int32_t next = 0;              // the best of the others
};

/// The `count` best of more scores. NaN ranks last, so that the order is strict whatever the weights hold.
Selection best_entries(std::vector<double>& scores, int64_t count) {
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
  Selection selection;
  selection.next = order[static_cast<size_t>(count)];
  selection.worst = *std::max_element(order.begin(), order.begin() + count, better);
  order.resize(static_cast<size_t>(count));
  std::sort(order.begin(), order.end());
  selection.entries = std::move(order);
  return selection;
}

double norm(const double* x, int64_t n) { return std::sqrt(dot(x, x, n)); }

/// Hadamard, then FP4 (spec 2.9 (ii)). Without the rounding the transform cancels in q·k, so it goes with it.
void quantise_index_vector(float* x, int64_t n) {
  hadamard(x, n);
  round_through_fp4(x, n);
}

/// One token's query and the keys that it sees.
struct IndexQuery {
  const double* q;             // [heads * dims]
  const double* head_weights;  // [heads]
  int64_t heads;
  const Matrix64& keys;  // [entries, dims]

  double product(int64_t h, int64_t entry) const { return dot(q + h * keys.cols, keys.row(entry), keys.cols); }
};

/// score(t, i) = Σ_h w_h ReLU(q_h · k_i).
void index_scores(const IndexQuery& query, std::vector<double>& scores) {
  for (size_t i = 0; i < scores.size(); ++i) {
    double sum = 0.0;
    for (int64_t h = 0; h < query.heads; ++h) sum += query.head_weights[h] * std::max(0.0, query.product(h, static_cast<int64_t>(i)));
    scores[i] = sum;
  }
}

/// How far a score of exactly zero is from another value, in units of its magnitude: every ReLU is closed, and the one that is nearest to opening counts.
double closed_gap(const IndexQuery& query, int64_t entry, const std::vector<double>& head_norms) {
  const double key = norm(query.keys.row(entry), query.keys.cols);
  double gap = std::numeric_limits<double>::infinity();
  for (int64_t h = 0; h < query.heads; ++h) {
    gap = std::min(gap, std::fabs(query.product(h, entry)) / (head_norms[static_cast<size_t>(h)] * key));
  }
  return gap;
}

/// How close the selection is to another one: `gap` of `magnitude`, and the entries that would change places.
struct Alternative {
  double gap = std::numeric_limits<double>::infinity();
  double magnitude = 1.0;
  int32_t out = 0, in = 0;
};

/// Between two different scores their difference counts. Where the best that was not chosen has the very score of the worst that was (zeros of closed ReLUs,
/// of which the first are taken), any entry may change the choice whose score moves away from that value or onto it.
Alternative closest_alternative(const IndexQuery& query, const std::vector<double>& scores, const Selection& best) {
  std::vector<double> head_norms;
  double query_magnitude = 0.0;  // times a key's norm: the magnitude that its score is computed from
  for (int64_t h = 0; h < query.heads; ++h) {
    head_norms.push_back(norm(query.q + h * query.keys.cols, query.keys.cols));
    query_magnitude += std::fabs(query.head_weights[h]) * head_norms.back();
  }
  const auto magnitude = [&](int32_t entry) { return query_magnitude * norm(query.keys.row(entry), query.keys.cols); };
  const double worst = scores[static_cast<size_t>(best.worst)], next = scores[static_cast<size_t>(best.next)];
  if (worst != next) return {worst - next, std::max(magnitude(best.worst), magnitude(best.next)), best.worst, best.next};
  Alternative closest;
  for (size_t i = 0; i < scores.size(); ++i) {
    const auto entry = static_cast<int32_t>(i);
    const double gap = scores[i] != worst ? std::fabs(scores[i] - worst) / magnitude(entry)
                       : worst == 0.0     ? closed_gap(query, entry, head_norms)
                                          : 0.0;
    if (!(gap < closest.gap)) continue;
    const bool chosen = std::binary_search(best.entries.begin(), best.entries.end(), entry);
    closest = {gap, 1.0, chosen ? entry : best.worst, chosen ? best.next : entry};
  }
  return closest;
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
  first = std::max(first, context.first_row);
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
      const IndexQuery index_query = {query.data(), head_weights.row(row), heads, keys};
      index_scores(index_query, scores);
      Selection best = best_entries(scores, top);
      const Alternative other = closest_alternative(index_query, scores, best);
      if (context.choices.entries(t, other.gap, other.magnitude)) {
        std::replace(best.entries.begin(), best.entries.end(), other.out, other.in);
        std::sort(best.entries.begin(), best.entries.end());
      }
      selection[static_cast<size_t>(t)] = std::move(best.entries);
    }
  });
  return selection;
}

}  // namespace dsv4::reference
