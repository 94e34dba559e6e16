// Attention in closed form: each token over exactly the rows that the visibility rules give it, with no cache.
#include "reference/attention.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>

#include "reference/cache_quantization.h"
#include "reference/rope.h"

namespace dsv4::reference {
namespace {

constexpr int64_t kQueryBlock = 256;  // tokens whose queries are held at once: [256, H*hd]

/// Everything that queries look at.
struct Keys {
  Matrix window;                                // [T, hd], one row a position
  Matrix compressed;                            // [T / m, hd]
  std::vector<std::vector<int32_t>> selection;  // [T] in CSA layers
};

void quantise_nope_dims(const Config& config, Matrix& rows) {
  for (int64_t i = 0; i < rows.rows; ++i) round_through_fp8(rows.row(i), rows.cols - config.qk_rope_head_dim);
}

Keys make_keys(const LayerContext& context, const Matrix& x, const Matrix& qr, const RotaryTable& rope) {
  const Config& config = context.weights.config();
  const std::string prefix = context.prefix + "attn.";
  Keys keys;
  keys.window = window_rows(context, x, context.first_position);
  if (context.layer.kind != LayerKind::kSliding) keys.compressed = compressed_entries(context, prefix + "compressor.", x, rope);
  if (context.layer.kind == LayerKind::kCsa) keys.selection = select_entries(context, x, qr, rope);
  if (context.simulate_cache_quantization) quantise_nope_dims(config, keys.compressed);
  return keys;
}

/// The rows that the query in row t sees, as float64 (spec 2.6).
Matrix64 visible_rows(const LayerContext& context, const Keys& keys, int64_t t) {
  const int64_t window_begin = std::max(int64_t{0}, t - context.weights.config().sliding_window + 1);
  std::vector<int32_t> every;
  const std::vector<int32_t>* entries = &every;
  if (context.layer.kind == LayerKind::kCsa) {
    entries = &keys.selection[static_cast<size_t>(t)];
  } else if (context.layer.kind == LayerKind::kHca) {
    every.resize(static_cast<size_t>((t + 1) / context.layer.compress_ratio));
    std::iota(every.begin(), every.end(), 0);
  }
  const int64_t window = t + 1 - window_begin;
  Matrix64 rows(window + static_cast<int64_t>(entries->size()), keys.window.cols);
  std::copy(keys.window.row(window_begin), keys.window.row(t + 1), rows.values.begin());
  for (size_t i = 0; i < entries->size(); ++i) {
    std::copy_n(keys.compressed.row((*entries)[i]), rows.cols, rows.row(window + static_cast<int64_t>(i)));
  }
  return rows;
}

/// One head: softmax over the rows with a sink in the denominator; K = V. q and out hold hd values.
void attend(const double* q, const Matrix64& rows, double sink, std::vector<double>& out) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(rows.cols));
  std::vector<double> scores(static_cast<size_t>(rows.rows));
  double max = sink;
  for (int64_t i = 0; i < rows.rows; ++i) {
    scores[static_cast<size_t>(i)] = dot(q, rows.row(i), rows.cols) * scale;
    max = std::max(max, scores[static_cast<size_t>(i)]);
  }
  double total = std::exp(sink - max);
  std::fill(out.begin(), out.end(), 0.0);
  for (int64_t i = 0; i < rows.rows; ++i) {
    const double weight = std::exp(scores[static_cast<size_t>(i)] - max);
    total += weight;
    const double* value = rows.row(i);
    for (int64_t d = 0; d < rows.cols; ++d) out[static_cast<size_t>(d)] += weight * value[d];
  }
  for (double& v : out) v /= total;
}

/// What the query in a row of x sees.
using Visible = std::function<Matrix64(int64_t row)>;

/// Queries [n, H*hd] of the rows from `first` on are replaced by the attention's outputs, rotated back.
void attend_rows(const LayerContext& context, const Visible& visible, const RotaryTable& rope, const std::vector<float>& sinks,
                 int64_t first, Matrix& queries) {
  const Config& config = context.weights.config();
  const int64_t dims = config.head_dim;
  parallel_for(context.threads, queries.rows, [&](int64_t begin, int64_t end) {
    std::vector<double> query(static_cast<size_t>(dims));
    std::vector<double> out(static_cast<size_t>(dims));
    for (int64_t row = begin; row < end; ++row) {
      const Matrix64 rows = visible(first + row);
      const int64_t position = context.first_position + first + row;
      for (int64_t h = 0; h < config.num_attention_heads; ++h) {
        float* head = queries.row(row) + h * dims;
        const double factor = inverse_rms(head, dims, config.rms_norm_eps);
        for (int64_t d = 0; d < dims; ++d) head[d] = static_cast<float>(head[d] * factor);
        rope.rotate(head, dims, position);
        std::copy_n(head, dims, query.begin());
        attend(query.data(), rows, sinks[static_cast<size_t>(h)], out);
        std::transform(out.begin(), out.end(), head, [](double v) { return static_cast<float>(v); });
        rope.rotate_back(head, dims, position);
      }
    }
  });
}

/// z_g = wo_a[g] o_g for each group of heads, concatenated: [n, G*r].
Matrix grouped_projection(const std::vector<Matrix>& wo_a, const Matrix& heads, int threads) {
  const auto groups = static_cast<int64_t>(wo_a.size());
  const int64_t width = heads.cols / groups;
  const int64_t rank = wo_a.front().rows;
  Matrix z(heads.rows, groups * rank);
  for (int64_t g = 0; g < groups; ++g) {
    Matrix group(heads.rows, width);
    for (int64_t t = 0; t < heads.rows; ++t) std::copy_n(heads.row(t) + g * width, width, group.row(t));
    const Matrix projected = linear(group, wo_a[static_cast<size_t>(g)], threads);
    for (int64_t t = 0; t < heads.rows; ++t) std::copy_n(projected.row(t), rank, z.row(t) + g * rank);
  }
  return z;
}

std::vector<Matrix> read_groups(const LayerContext& context) {
  const Config& config = context.weights.config();
  const Matrix all = context.weights.matrix(context.prefix + "attn.wo_a.weight");
  std::vector<Matrix> groups;
  for (int64_t g = 0; g < config.o_groups; ++g) groups.push_back(row_range(all, g * config.o_lora_rank, (g + 1) * config.o_lora_rank));
  return groups;
}

Matrix query_latent(const LayerContext& context, const Matrix& x) {
  const StoredWeights& weights = context.weights;
  const std::string prefix = context.prefix + "attn.";
  return rms_norm(linear(x, weights.matrix(prefix + "wq_a.weight"), context.threads), weights.vector(prefix + "q_norm.weight"),
                  weights.config().rms_norm_eps);
}

/// The rows of qr [T, R] from context.first_row on: queries, attention, output projection. [T, D]
Matrix attend_and_project(const LayerContext& context, const Matrix& qr, const RotaryTable& rope, const Visible& visible) {
  const StoredWeights& weights = context.weights;
  const std::string prefix = context.prefix + "attn.";
  const std::vector<float> sinks = weights.vector(prefix + "attn_sink");
  const Matrix wq_b = weights.matrix(prefix + "wq_b.weight");
  const std::vector<Matrix> wo_a = read_groups(context);
  const Matrix wo_b = weights.matrix(prefix + "wo_b.weight");
  Matrix out(qr.rows, weights.config().hidden_size);
  for (int64_t first = context.first_row; first < qr.rows; first += kQueryBlock) {
    const int64_t end = std::min(qr.rows, first + kQueryBlock);
    Matrix heads = linear(row_range(qr, first, end), wq_b, context.threads);
    attend_rows(context, visible, rope, sinks, first, heads);
    const Matrix projected = linear(grouped_projection(wo_a, heads, context.threads), wo_b, context.threads);
    std::copy(projected.values.begin(), projected.values.end(), out.row(first));
  }
  return out;
}

}  // namespace

Matrix window_rows(const LayerContext& context, const Matrix& x, int64_t first) {
  const StoredWeights& weights = context.weights;
  const Config& config = weights.config();
  const std::string prefix = context.prefix + "attn.";
  const RotaryTable rope(config, context.layer.kind, first + x.rows);
  Matrix rows = rms_norm(linear(x, weights.matrix(prefix + "wkv.weight"), context.threads), weights.vector(prefix + "kv_norm.weight"),
                         config.rms_norm_eps);
  for (int64_t t = 0; t < rows.rows; ++t) rope.rotate(rows.row(t), config.head_dim, first + t);
  if (context.simulate_cache_quantization) quantise_nope_dims(config, rows);
  return rows;
}

Matrix attention(const LayerContext& context, const Matrix& x, std::vector<std::vector<int32_t>>* index_selection) {
  const RotaryTable rope(context.weights.config(), context.layer.kind, context.first_position + x.rows);
  const Matrix qr = query_latent(context, x);
  Keys keys = make_keys(context, x, qr, rope);
  const Matrix out = attend_and_project(context, qr, rope, [&](int64_t row) { return visible_rows(context, keys, row); });
  if (index_selection != nullptr) *index_selection = std::move(keys.selection);
  return out;
}

Matrix block_attention(const LayerContext& context, const Matrix& before, const Matrix& x) {
  const RotaryTable rope(context.weights.config(), context.layer.kind, context.first_position + x.rows);
  const Matrix own = window_rows(context, x, context.first_position);
  Matrix64 all(before.rows + own.rows, own.cols);
  std::copy(own.values.begin(), own.values.end(), std::copy(before.values.begin(), before.values.end(), all.values.begin()));
  return attend_and_project(context, query_latent(context, x), rope, [&](int64_t) { return all; });
}

}  // namespace dsv4::reference
