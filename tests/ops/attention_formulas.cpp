// The attention layer of spec 2.4 to 2.11 in plain float64 loops over a whole sequence, for the tests of the op.
#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include "attention_case.h"
#include "reference/cache_quantization.h"

namespace dsv4::ops::testing {

namespace {

using Vector = std::vector<double>;

Vector product(const Values& w, const Vector& x) {
  Vector y(static_cast<size_t>(w.rows));
  for (int64_t r = 0; r < w.rows; ++r) {
    for (int64_t c = 0; c < w.cols; ++c) y[static_cast<size_t>(r)] += static_cast<double>(w.row(r)[c]) * x[static_cast<size_t>(c)];
  }
  return y;
}

Vector normalised(Vector x, const Values* w, double eps) {
  double squares = 0.0;
  for (const double v : x) squares += v * v;
  const double factor = 1.0 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  for (size_t i = 0; i < x.size(); ++i) x[i] *= factor * (w ? w->values[i] : 1.0);
  return x;
}

void rotate(Vector& x, const std::vector<float>& frequencies, int64_t position, double sign) {
  const size_t first = x.size() - 2 * frequencies.size();
  for (size_t j = 0; j < frequencies.size(); ++j) {
    const float angle = static_cast<float>(position) * frequencies[j];
    const double c = std::cos(static_cast<double>(angle)), s = sign * std::sin(static_cast<double>(angle));
    const double a = x[first + 2 * j], b = x[first + 2 * j + 1];
    x[first + 2 * j] = a * c - b * s;
    x[first + 2 * j + 1] = a * s + b * c;
  }
}

double bf16(double value) {
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(value));
  const uint32_t rounded = bits + 0x7FFFu + ((bits >> 16) & 1u);
  return static_cast<double>(std::bit_cast<float>(rounded & 0xFFFF0000u));
}

void rounded_by(Vector& x, const std::function<void(float*, int64_t)>& round, int64_t n) {
  std::vector<float> values(x.begin(), x.end());
  round(values.data(), n);
  std::copy(values.begin(), values.end(), x.begin());
}

struct Layer {
  const AttentionCase& c;
  const AttentionAttributes& a = c.attributes;
  const CaseWeights& w;

  void keep(Vector& row) const {
    if (c.type == CachePrecision::kBF16) std::transform(row.begin(), row.end(), row.begin(), bf16);
  }

  void quantise_row(Vector& row) const {
    if (a.quantize_cache) rounded_by(row, reference::round_through_fp8, a.head_dim - a.rope_dim);
  }

  void quantise_index(Vector& row) const {
    if (!a.quantize_cache) return;
    rounded_by(row, reference::hadamard, a.index_head_dim);
    rounded_by(row, reference::round_through_fp4, a.index_head_dim);
  }

  std::vector<Vector> entries(const CaseWeights::Compressor& compressor, const std::vector<Vector>& x, bool index) const {
    const auto h = static_cast<int64_t>(compressor.norm.values.size());
    std::vector<Vector> k, z;
    for (size_t t = 0; t < x.size(); ++t) {
      k.push_back(product(compressor.wkv, x[t]));
      z.push_back(product(compressor.wgate, x[t]));
      for (size_t i = 0; i < z[t].size(); ++i) z[t][i] += compressor.ape.row(static_cast<int64_t>(t) % a.ratio)[i];
    }
    std::vector<Vector> all;
    for (int64_t i = 0; (i + 1) * a.ratio <= static_cast<int64_t>(x.size()); ++i) {
      Vector entry(static_cast<size_t>(h));
      for (int64_t d = 0; d < h; ++d) {
        double total = 0.0, sum = 0.0;
        for (int64_t t = (i - (a.overlap ? 1 : 0)) * a.ratio; t < (i + 1) * a.ratio; ++t) {
          if (t < 0) continue;
          const auto channel = static_cast<size_t>(a.overlap && t >= i * a.ratio ? h + d : d);
          const double weight = std::exp(z[static_cast<size_t>(t)][channel]);
          total += weight;
          sum += weight * k[static_cast<size_t>(t)][channel];
        }
        entry[static_cast<size_t>(d)] = sum / total;
      }
      entry = normalised(entry, &compressor.norm, a.norm_eps);
      rotate(entry, w.frequencies, i * a.ratio, 1.0);
      if (index) {
        quantise_index(entry);
      } else {
        quantise_row(entry);
      }
      keep(entry);
      all.push_back(entry);
    }
    return all;
  }

  /// Entries that token t sees.
  std::vector<int64_t> selected(const Vector& x, const Vector& latent, int64_t t, const std::vector<Vector>& keys) const {
    std::vector<int64_t> visible(static_cast<size_t>((t + 1) / a.ratio));
    std::iota(visible.begin(), visible.end(), 0);
    if (!a.overlap || static_cast<int64_t>(visible.size()) <= a.index_topk) return visible;
    const Vector q = product(w.index_wq_b, latent), weights = product(w.weights_proj, x);
    Vector scores(visible.size());
    for (int64_t h = 0; h < a.index_heads; ++h) {
      Vector head(q.begin() + h * a.index_head_dim, q.begin() + (h + 1) * a.index_head_dim);
      rotate(head, w.frequencies, t, 1.0);
      quantise_index(head);
      for (size_t i = 0; i < scores.size(); ++i) {
        const double affinity = std::inner_product(head.begin(), head.end(), keys[i].begin(), 0.0);
        scores[i] += weights[static_cast<size_t>(h)] * std::max(0.0, affinity);
      }
    }
    std::stable_sort(visible.begin(), visible.end(),
                     [&](int64_t i, int64_t j) { return scores[static_cast<size_t>(i)] > scores[static_cast<size_t>(j)]; });
    visible.resize(static_cast<size_t>(a.index_topk));
    return visible;
  }

  Vector attend(Vector q, const std::vector<const Vector*>& rows, double sink) const {
    Vector out(q.size());
    double total = std::exp(sink);
    for (const Vector* row : rows) {
      const double weight =
          std::exp(std::inner_product(q.begin(), q.end(), row->begin(), 0.0) / std::sqrt(static_cast<double>(a.head_dim)));
      total += weight;
      for (size_t i = 0; i < out.size(); ++i) out[i] += weight * (*row)[i];
    }
    for (double& v : out) v /= total;
    return out;
  }
};

}  // namespace

std::vector<float> formulas(const AttentionCase& c, const CaseWeights& w, const std::vector<float>& values) {
  const Layer layer{.c = c, .w = w};
  const AttentionAttributes& a = c.attributes;
  std::vector<Vector> x;
  for (auto row = values.begin(); row != values.end(); row += c.hidden) x.emplace_back(row, row + c.hidden);
  std::vector<Vector> window, entries, keys;
  for (size_t t = 0; t < x.size(); ++t) {
    window.push_back(normalised(product(w.wkv, x[t]), &w.kv_norm, a.norm_eps));
    rotate(window[t], w.frequencies, static_cast<int64_t>(t), 1.0);
    layer.quantise_row(window[t]);
    layer.keep(window[t]);
  }
  if (a.ratio > 0) entries = layer.entries(w.compressor, x, false);
  if (a.overlap) keys = layer.entries(w.index_compressor, x, true);

  std::vector<float> result;
  for (size_t t = 0; t < x.size(); ++t) {
    const auto position = static_cast<int64_t>(t);
    const Vector latent = normalised(product(w.wq_a, x[t]), &w.q_norm, a.norm_eps);
    std::vector<const Vector*> rows;
    for (int64_t p = std::max<int64_t>(0, position - a.window + 1); p <= position; ++p) rows.push_back(&window[static_cast<size_t>(p)]);
    if (a.ratio > 0) {
      for (const int64_t i : layer.selected(x[t], latent, position, keys)) rows.push_back(&entries[static_cast<size_t>(i)]);
    }
    const Vector q = product(w.wq_b, latent);
    Vector heads, z;
    for (int64_t h = 0; h < a.heads; ++h) {
      Vector head = normalised(Vector(q.begin() + h * a.head_dim, q.begin() + (h + 1) * a.head_dim), nullptr, a.norm_eps);
      rotate(head, w.frequencies, position, 1.0);
      Vector out = layer.attend(head, rows, w.sinks.values[static_cast<size_t>(h)]);
      rotate(out, w.frequencies, position, -1.0);
      heads.insert(heads.end(), out.begin(), out.end());
    }
    const int64_t width = a.heads * a.head_dim / a.groups;
    for (int64_t g = 0; g < a.groups; ++g) {
      const Vector group = product(w.wo_a[static_cast<size_t>(g)], Vector(heads.begin() + g * width, heads.begin() + (g + 1) * width));
      z.insert(z.end(), group.begin(), group.end());
    }
    const Vector out = product(w.wo_b, z);
    result.insert(result.end(), out.begin(), out.end());
  }
  return result;
}

}  // namespace dsv4::ops::testing
