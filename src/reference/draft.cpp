// NextN: a block at the positions of the target's rows, then at those of its own drafts. DSpark: all slots of a block in one pass of the stages.
#include "reference/draft.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

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

int64_t largest(const float* logits, int64_t vocab) { return std::max_element(logits, logits + vocab) - logits; }

/// What the steps of one draft share.
class Drafter {
 public:
  Drafter(const Checkpoint& checkpoint, const ReferenceOptions& options)
      : options_(options), weights_(checkpoint, options.formats), config_(checkpoint.config()) {}

  /// X_j = e_proj RMS(embedding of the next token) + h_proj RMS(H_j) for each stream: [T, hc*D]. `next` are the tokens after those of the rows.
  Matrix join(const Matrix& streams, std::span<const int64_t> next) const {
    const int64_t dims = config_.hidden_size, hc = config_.hc_mult;
    Matrix embedded(streams.rows, dims), each(streams.rows * hc, dims);
    for (int64_t t = 0; t < streams.rows; ++t) {
      const int64_t id = next[static_cast<size_t>(t)];
      weights_.rows("embed.weight", id, id + 1, embedded.row(t));
    }
    each.values = streams.values;  // [T*hc, D]
    const Matrix of_token = projected("mtp.0.enorm.weight", "mtp.0.e_proj.weight", embedded);
    const Matrix of_streams = projected("mtp.0.hnorm.weight", "mtp.0.h_proj.weight", each);
    Matrix joined(streams.rows, hc * dims);
    for (int64_t row = 0; row < each.rows; ++row) {
      for (int64_t i = 0; i < dims; ++i)
        joined.values[static_cast<size_t>(row * dims + i)] = of_token.row(row / hc)[i] + of_streams.row(row)[i];
    }
    return joined;
  }

  /// The NextN block over joined rows at positions `first`, first + 1, ...; the attention of the rows before `first_row` is not computed.
  Matrix nextn(Matrix joined, int64_t first, int64_t first_row, std::span<const int64_t> tokens) const {
    LayerChoices choices(config_.num_hidden_layers, joined.rows, none_turned_);
    const LayerContext context = stage("mtp.0.", config_.mtp_layers[0], first, first_row, choices);
    reference::block(
        context, tokens, [&](const Matrix& x) { return reference::attention(context, x, nullptr); }, joined, nullptr);
    return joined;
  }

  /// The hidden states [T, D] of streams, before the norm.
  Matrix joined_streams(const std::string& prefix, const Matrix& streams) const {
    return reference::hyper_head(weights_, prefix, streams, options_.threads);
  }

  /// logits [T, V] of hidden states before the norm.
  std::vector<float> head(const std::string& prefix, const Matrix& hidden) const {
    return reference::head(weights_, rms_norm(hidden, weights_.vector(prefix + "norm.weight"), config_.rms_norm_eps), options_.threads);
  }

  DraftBlock nextn_drafts(std::span<const int64_t> tokens, const Matrix& features, int64_t n) const {
    // The rows that the last draft's window reaches back to.
    const int64_t count = features.rows, first = std::max<int64_t>(0, count - config_.sliding_window);
    std::vector<int64_t> next(tokens.begin() + first + 1, tokens.end());
    Matrix joined = join(row_range(features, first, count), next);
    DraftBlock block;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t last = joined.rows - 1;
      const Matrix streams = row_range(nextn(joined, first, last, next), last, last + 1);
      const std::vector<float> logits = head("mtp.0.", joined_streams("mtp.0.", streams));
      block.tokens.push_back(largest(logits.data(), config_.vocab_size));
      block.logits.insert(block.logits.end(), logits.begin(), logits.end());
      // The next row is the block's own: its streams with its draft.
      next.push_back(block.tokens.back());
      const Matrix own = join(streams, std::span(next).last(1));
      joined.values.insert(joined.values.end(), own.values.begin(), own.values.end());
      ++joined.rows;
    }
    block.base_logits = block.logits;
    return block;
  }

  DraftBlock dspark_block(int64_t anchor, const Matrix& features, int64_t n) const {
    const Dspark& dspark = *config_.dspark;
    const int64_t count = features.rows, first = std::max<int64_t>(0, count - config_.sliding_window);
    const Matrix main_x = rms_norm(linear(row_range(features, first, count), weights_.matrix("mtp.0.main_proj.weight"), options_.threads),
                                   weights_.vector("mtp.0.main_norm.weight"), config_.rms_norm_eps);
    std::vector<int64_t> ids(static_cast<size_t>(n), dspark.noise_token_id);
    ids[0] = anchor;
    Matrix streams = reference::embed(weights_, ids);
    for (size_t s = 0; s < config_.mtp_layers.size(); ++s) {
      LayerChoices choices(config_.num_hidden_layers + static_cast<int64_t>(s), n, none_turned_);
      const LayerContext context = stage(concat("mtp.", s, "."), config_.mtp_layers[s], count, 0, choices);
      const Matrix before = window_rows(context, main_x, first);
      reference::block(
          context, ids, [&](const Matrix& x) { return reference::block_attention(context, before, x); }, streams, nullptr);
    }
    const std::string last = concat("mtp.", config_.mtp_layers.size() - 1, ".");
    const Matrix hidden = joined_streams(last, streams);
    DraftBlock block;
    block.base_logits = head(last, hidden);
    add_markov(last, anchor, hidden, block);
    return block;
  }

 private:
  LayerContext stage(const std::string& prefix, const LayerConfig& layer, int64_t position, int64_t first_row,
                     LayerChoices& choices) const {
    return {weights_, layer, prefix, options_.simulate_cache_quantization, options_.threads, choices, first_row, position};
  }

  Matrix projected(const std::string& norm, const std::string& weight, const Matrix& x) const {
    return linear(rms_norm(x, weights_.vector(norm), config_.rms_norm_eps), weights_.matrix(weight), options_.threads);
  }

  /// One slot after another: the bias of the draft before it, the draft, and how likely it is to be accepted.
  void add_markov(const std::string& prefix, int64_t anchor, const Matrix& hidden, DraftBlock& block) const {
    const int64_t vocab = config_.vocab_size, rank = config_.dspark->markov_rank, dims = hidden.cols;
    const Matrix w2 = weights_.matrix(prefix + "markov_head.markov_w2.weight");
    const std::vector<float> confidence = weights_.vector(prefix + "confidence_head.proj.weight");
    int64_t previous = anchor;
    for (int64_t j = 0; j < hidden.rows; ++j) {
      Matrix e(1, rank);
      weights_.rows(prefix + "markov_head.markov_w1.weight", previous, previous + 1, e.row(0));
      const Matrix bias = linear(e, w2, options_.threads);
      for (int64_t v = 0; v < vocab; ++v) block.logits.push_back(block.base_logits[static_cast<size_t>(j * vocab + v)] + bias.row(0)[v]);
      double c = 0.0;
      for (int64_t i = 0; i < dims; ++i) c += static_cast<double>(confidence[static_cast<size_t>(i)]) * hidden.row(j)[i];
      for (int64_t i = 0; i < rank; ++i) c += static_cast<double>(confidence[static_cast<size_t>(dims + i)]) * e.row(0)[i];
      block.confidences.push_back(static_cast<float>(c));
      previous = largest(block.logits.data() + j * vocab, vocab);
      block.tokens.push_back(previous);
    }
  }

  const ReferenceOptions& options_;
  StoredWeights weights_;
  const Config& config_;
  const std::set<Choice> none_turned_;
};

}  // namespace

DraftReference::DraftReference(const Checkpoint& checkpoint, ReferenceOptions options)
    : checkpoint_(checkpoint), options_(std::move(options)) {
  if (checkpoint.draft_kind() == DraftKind::kNone) fail("reference: the checkpoint has no draft");
  if (checkpoint.draft_kind() == DraftKind::kNextN && checkpoint.config().mtp_layers.size() != 1) {
    fail("reference: the checkpoint has ", checkpoint.config().mtp_layers.size(), " NextN blocks, expected one");
  }
  for (const LayerConfig& layer : checkpoint.config().mtp_layers) {
    if (layer.kind != LayerKind::kSliding)
      fail("reference: a block of the draft has compress ratio ", layer.compress_ratio, ", expected 0");
  }
}

std::vector<float> DraftReference::features(std::span<const int64_t> tokens) const {
  const Config& config = checkpoint_.config();
  ReferenceTrace trace;
  Reference(checkpoint_, options_).rows(tokens, {}, &trace);
  if (!config.dspark) return std::move(trace.streams.back());
  const int64_t dims = config.hidden_size, hc = config.hc_mult;
  std::vector<float> means;
  for (size_t t = 0; t < tokens.size(); ++t) {
    for (const int64_t layer : config.dspark->target_layers) {
      const float* streams = trace.streams[static_cast<size_t>(layer)].data() + static_cast<int64_t>(t) * hc * dims;
      for (int64_t i = 0; i < dims; ++i) {
        double sum = 0.0;
        for (int64_t j = 0; j < hc; ++j) sum += streams[j * dims + i];
        means.push_back(static_cast<float>(sum / static_cast<double>(hc)));
      }
    }
  }
  return means;
}

namespace {

/// Rows of a position each, at least one.
Matrix as_rows(std::span<const float> features, int64_t width) {
  const auto values = std::ssize(features);
  if (values == 0 || values % width != 0) fail("reference: ", values, " features, expected a multiple of ", width);
  Matrix rows(values / width, width);
  std::copy(features.begin(), features.end(), rows.values.begin());
  return rows;
}

void check_tokens(std::span<const int64_t> tokens, int64_t count, int64_t vocab) {
  if (std::ssize(tokens) != count) fail("reference: ", tokens.size(), " tokens, expected ", count, " for the features that are given");
  reference::check_tokens(tokens, vocab);
}

}  // namespace

std::vector<float> DraftReference::logits(std::span<const int64_t> tokens, std::span<const float> features) const {
  const Config& config = checkpoint_.config();
  if (config.dspark) fail("reference: DSpark drafts a block after one position; logits of every position are NextN's");
  Matrix streams = as_rows(features, config.hc_mult * config.hidden_size);
  if (streams.rows < 2) fail("reference: the draft of a position needs the token after it, expected at least 2 tokens");
  check_tokens(tokens, streams.rows, config.vocab_size);
  const Drafter drafter(checkpoint_, options_);
  const std::span<const int64_t> next = tokens.subspan(1);
  const Matrix joined = drafter.join(row_range(streams, 0, streams.rows - 1), next);
  return drafter.head("mtp.0.", drafter.joined_streams("mtp.0.", drafter.nextn(joined, 0, 0, next)));
}

DraftBlock DraftReference::drafts(std::span<const int64_t> tokens, std::span<const float> features, int64_t n) const {
  const Config& config = checkpoint_.config();
  const int64_t width = config.dspark ? std::ssize(config.dspark->target_layers) * config.hidden_size : config.hc_mult * config.hidden_size;
  const Matrix rows = as_rows(features, width);
  check_tokens(tokens, rows.rows + 1, config.vocab_size);
  if (n < 1) fail("reference: ", n, " drafts, expected at least 1");
  if (config.dspark && n != config.dspark->block_size) {
    fail("reference: ", n, " drafts, expected the block of ", config.dspark->block_size, ": DSpark's slots see each other");
  }
  const Drafter drafter(checkpoint_, options_);
  return config.dspark ? drafter.dspark_block(tokens.back(), rows, n) : drafter.nextn_drafts(tokens, rows, n);
}

}  // namespace dsv4
