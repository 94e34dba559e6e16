// The loop over layers: streams in, one layer's weights at a time, streams out; then the head.
#include "reference/reference.h"

#include <algorithm>

#include "dsv4/error.h"
#include "reference/attention.h"
#include "reference/hyper_connections.h"
#include "reference/layer.h"
#include "reference/linear_algebra.h"
#include "reference/stored_weights.h"

namespace dsv4 {
namespace {

using reference::LayerChoices;
using reference::LayerContext;
using reference::Matrix;
using reference::StoredWeights;

constexpr double kCloseMargin = 2000.0;  // verify's tolerance of 1e-4 is less

/// What one layer leaves in the trace.
struct LayerTrace {
  std::vector<int32_t> expert_ids;
  std::vector<std::vector<int32_t>> index_selection;
};

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
  reference::check_tokens(tokens, config.vocab_size);
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
                                  first_row,
                                  0};
    LayerTrace layer;
    const auto attend = [&](const Matrix& x) { return attention(context, x, &layer.index_selection); };
    block(context, tokens, attend, streams, &layer.expert_ids);
    choices.collect(kCloseMargin, rows.close);
    if (trace != nullptr) {
      trace->streams.push_back(streams.values);
      trace->expert_ids.push_back(std::move(layer.expert_ids));
      trace->index_selection.push_back(std::move(layer.index_selection));
    }
  }
  const Matrix joined = hyper_head(weights, "", streams, options_.threads);
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
