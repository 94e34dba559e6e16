// The loop over layers: streams in, one layer's weights at a time, streams out; then the head in slices of the vocabulary.
#include "reference/reference.h"

#include <algorithm>

#include "dsv4/error.h"
#include "reference/attention.h"
#include "reference/experts.h"
#include "reference/hyper_connections.h"
#include "reference/linear_algebra.h"
#include "reference/stored_weights.h"

namespace dsv4 {
namespace {

using reference::HyperInput;
using reference::LayerChoices;
using reference::LayerContext;
using reference::Matrix;
using reference::StoredWeights;

constexpr double kCloseMargin = 2000.0;  // verify's tolerance of 1e-4 is less
constexpr int64_t kHeadRows = 4096;      // rows of head.weight held as float32 at once

void check_tokens(std::span<const int64_t> tokens, int64_t vocab) {
  if (tokens.empty()) fail("reference: no tokens, expected at least one token id");
  for (size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t] < 0 || tokens[t] >= vocab) {
      fail("reference: token ", t, " is id ", tokens[t], ", expected 0..", vocab - 1, " (the checkpoint's vocab_size is ", vocab, ")");
    }
  }
}

/// Every stream begins as the token's embedding: [T, hc*D].
Matrix embed(const StoredWeights& weights, std::span<const int64_t> tokens) {
  const Config& config = weights.config();
  Matrix streams(static_cast<int64_t>(tokens.size()), config.hc_mult * config.hidden_size);
  for (size_t t = 0; t < tokens.size(); ++t) {
    float* row = streams.row(static_cast<int64_t>(t));
    weights.rows("embed.weight", tokens[t], tokens[t] + 1, row);
    for (int64_t j = 1; j < config.hc_mult; ++j) std::copy_n(row, config.hidden_size, row + j * config.hidden_size);
  }
  weights.release("embed.weight");
  return streams;
}

/// What one layer leaves in the trace.
struct LayerTrace {
  std::vector<int32_t> expert_ids;
  std::vector<std::vector<int32_t>> index_selection;
};

void run_layer(const LayerContext& context, std::span<const int64_t> tokens, Matrix& streams, LayerTrace& trace) {
  const StoredWeights& weights = context.weights;
  const double eps = weights.config().rms_norm_eps;
  {
    const HyperInput site = hyper_pre(weights, context.prefix + "hc_attn_", streams, context.threads);
    const Matrix x = rms_norm(site.y, weights.vector(context.prefix + "attn_norm.weight"), eps);
    hyper_post(site, attention(context, x, &trace.index_selection), streams, context.threads);
  }
  const HyperInput site = hyper_pre(weights, context.prefix + "hc_ffn_", streams, context.threads);
  const Matrix x = rms_norm(site.y, weights.vector(context.prefix + "ffn_norm.weight"), eps);
  hyper_post(site, mixture_of_experts(context, x, tokens, &trace.expert_ids), streams, context.threads);
}

/// logits [T, V] of the normed hidden states h [T, D].
std::vector<float> head(const StoredWeights& weights, const Matrix& h, int threads) {
  const int64_t vocab = weights.config().vocab_size;
  std::vector<float> logits(static_cast<size_t>(h.rows * vocab));
  for (int64_t begin = 0; begin < vocab; begin += kHeadRows) {
    const int64_t end = std::min(vocab, begin + kHeadRows);
    Matrix w(end - begin, h.cols);
    weights.rows("head.weight", begin, end, w.values.data());
    const Matrix part = linear(h, w, threads);
    for (int64_t t = 0; t < h.rows; ++t) std::copy_n(part.row(t), part.cols, logits.begin() + t * vocab + begin);
  }
  weights.release("head.weight");
  return logits;
}

}  // namespace

Reference::Reference(const Checkpoint& checkpoint, ReferenceOptions options) : checkpoint_(checkpoint), options_(std::move(options)) {
  const int64_t layers = checkpoint.config().num_hidden_layers;
  if (options_.layers < -1 || options_.layers > layers) {
    fail("reference: ", options_.layers, " layers asked for, expected 0..", layers, " or -1 for all");
  }
  if (options_.layers == -1) options_.layers = layers;
  if (options_.last_rows < 0) fail("reference: the last ", options_.last_rows, " rows asked for, expected 1 or more, or 0 for all");
  if (options_.threads < 0) fail("reference: ", options_.threads, " threads asked for, expected 0 (all cores) or more");
}

std::vector<float> Reference::logits(std::span<const int64_t> tokens, ReferenceTrace* trace) const {
  const ReferenceRows all = rows(tokens, {}, trace);
  return logits_of(all, 0, all.count);
}

ReferenceRows Reference::rows(std::span<const int64_t> tokens, const std::set<Choice>& turned, ReferenceTrace* trace) const {
  const Config& config = checkpoint_.config();
  check_tokens(tokens, config.vocab_size);
  if (trace != nullptr) *trace = {};
  const StoredWeights weights(checkpoint_, options_.formats);
  Matrix streams = embed(weights, tokens);
  ReferenceRows rows{.count = streams.rows, .hidden = {}, .close = {}};
  for (int64_t l = 0; l < options_.layers; ++l) {
    const bool all_rows = options_.last_rows == 0 || l + 1 < options_.layers;
    const int64_t first_row = all_rows ? 0 : std::max<int64_t>(0, streams.rows - options_.last_rows);
    LayerChoices choices(l, streams.rows, turned);
    const LayerContext context = {weights,
                                  config.layers[static_cast<size_t>(l)],
                                  concat("layers.", l, "."),
                                  options_.simulate_cache_quantization,
                                  options_.threads,
                                  choices,
                                  first_row};
    LayerTrace layer;
    run_layer(context, tokens, streams, layer);
    choices.collect(kCloseMargin, rows.close);
    if (trace != nullptr) {
      trace->streams.push_back(streams.values);
      trace->expert_ids.push_back(std::move(layer.expert_ids));
      trace->index_selection.push_back(std::move(layer.index_selection));
    }
  }
  const Matrix joined = hyper_head(weights, streams, options_.threads);
  rows.hidden = rms_norm(joined, weights.vector("norm.weight"), config.rms_norm_eps).values;
  return rows;
}

std::vector<float> Reference::logits_of(const ReferenceRows& rows, int64_t begin, int64_t end) const {
  if (begin < 0 || begin >= end || end > rows.count) {
    fail("reference: rows ", begin, " to ", end, " asked for, expected some of ", rows.count);
  }
  const int64_t dims = checkpoint_.config().hidden_size;
  Matrix h(end - begin, dims);
  std::copy(rows.hidden.begin() + begin * dims, rows.hidden.begin() + end * dims, h.values.begin());
  return head(StoredWeights(checkpoint_, options_.formats), h, options_.threads);
}

std::vector<int64_t> Reference::greedy(std::span<const int64_t> tokens, int64_t n) const {
  std::vector<int64_t> sequence(tokens.begin(), tokens.end());
  for (int64_t i = 0; i < n; ++i) {
    const std::vector<float> all = logits(sequence);
    const auto last = all.end() - static_cast<std::ptrdiff_t>(checkpoint_.config().vocab_size);
    sequence.push_back(std::max_element(last, all.end()) - last);
  }
  return {sequence.begin() + static_cast<std::ptrdiff_t>(tokens.size()), sequence.end()};
}

}  // namespace dsv4
