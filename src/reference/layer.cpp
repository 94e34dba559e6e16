// One block: two sublayers, each between its hyper-connections. The head is read in slices of the vocabulary.
#include "reference/layer.h"

#include <algorithm>

#include "dsv4/error.h"
#include "reference/experts.h"
#include "reference/hyper_connections.h"

namespace dsv4::reference {
namespace {

constexpr int64_t kHeadRows = 4096;  // rows of head.weight held as float32 at once

}  // namespace

void check_tokens(std::span<const int64_t> tokens, int64_t vocab) {
  if (tokens.empty()) fail("reference: no tokens, expected at least one token id");
  for (size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t] < 0 || tokens[t] >= vocab) {
      fail("reference: token ", t, " is id ", tokens[t], ", expected 0..", vocab - 1, " (the checkpoint's vocab_size is ", vocab, ")");
    }
  }
}

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

void block(const LayerContext& context, std::span<const int64_t> tokens, const Attend& attend, Matrix& streams,
           std::vector<int32_t>* expert_ids) {
  const StoredWeights& weights = context.weights;
  const double eps = weights.config().rms_norm_eps;
  {
    const HyperInput site = hyper_pre(weights, context.prefix + "hc_attn_", streams, context.threads);
    const Matrix x = rms_norm(site.y, weights.vector(context.prefix + "attn_norm.weight"), eps);
    hyper_post(site, attend(x), streams, context.threads);
  }
  const HyperInput site = hyper_pre(weights, context.prefix + "hc_ffn_", streams, context.threads);
  const Matrix x = rms_norm(site.y, weights.vector(context.prefix + "ffn_norm.weight"), eps);
  hyper_post(site, mixture_of_experts(context, x, tokens, expert_ids), streams, context.threads);
}

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

}  // namespace dsv4::reference
