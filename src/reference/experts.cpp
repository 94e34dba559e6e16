// Tokens grouped by expert, experts in ascending order: the sums are the same whatever the number of threads.
#include "reference/experts.h"

#include <algorithm>
#include <cmath>

#include "dsv4/error.h"

namespace dsv4::reference {
namespace {

struct Routing {
  std::vector<int32_t> ids;     // [T*K]
  std::vector<double> weights;  // [T*K], including routed_scaling_factor
};

/// sqrt(softplus(l)).
double router_score(double l) { return std::sqrt(std::log1p(std::exp(-std::fabs(l))) + std::max(l, 0.0)); }

/// The k largest of score + bias, best first, the lowest id among equals.
void select_experts(const double* scores, const std::vector<float>& bias, int64_t k, int32_t* ids) {
  const auto n = static_cast<int32_t>(bias.size());
  std::vector<char> taken(bias.size(), 0);
  for (int64_t i = 0; i < k; ++i) {
    int32_t best = -1;
    double best_score = 0.0;
    for (int32_t e = 0; e < n; ++e) {
      if (taken[static_cast<size_t>(e)]) continue;
      const double score = scores[e] + bias[static_cast<size_t>(e)];
      if (best < 0 || score > best_score) {
        best = e;
        best_score = score;
      }
    }
    taken[static_cast<size_t>(best)] = 1;
    ids[i] = best;
  }
}

/// The magnitude that score + bias of an expert is computed from: |d score / d logit| ‖w‖ ‖x‖ + |score| + |bias|.
double score_magnitude(double score, double gate_norm, double x_norm, double bias) {
  // l of score² = softplus(l): d sqrt(softplus(l)) / dl = sigmoid(l) / (2 score) with sigmoid(l) = 1 - exp(-score²).
  const double slope = score > 0.0 ? -std::expm1(-score * score) / (2.0 * score) : 0.0;
  return slope * gate_norm * x_norm + score + std::fabs(bias);
}

double norm(const float* x, int64_t n) {
  double squares = 0.0;
  for (int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  return std::sqrt(squares);
}

/// Notes how much better each row's last expert is than the best that it does not get, and changes them where the choice is to be made otherwise.
void note_choices(const Matrix& x, const Matrix& gate, const Matrix64& scores, const std::vector<float>& bias, LayerChoices& choices,
                  std::vector<int32_t>& ids) {
  const int64_t experts = gate.rows, k = static_cast<int64_t>(ids.size()) / x.rows;
  if (k == experts) return;
  std::vector<double> gate_norms;
  for (int64_t e = 0; e < experts; ++e) gate_norms.push_back(norm(gate.row(e), gate.cols));
  for (int64_t t = 0; t < x.rows; ++t) {
    int32_t* chosen = ids.data() + t * k;
    const auto ranked = [&](int64_t e) { return scores.row(t)[e] + bias[static_cast<size_t>(e)]; };
    int64_t next = -1;
    for (int64_t e = 0; e < experts; ++e) {
      if (std::find(chosen, chosen + k, e) == chosen + k && (next < 0 || ranked(e) > ranked(next))) next = e;
    }
    const double x_norm = norm(x.row(t), x.cols);
    const auto magnitude = [&](int64_t e) {
      return score_magnitude(scores.row(t)[e], gate_norms[static_cast<size_t>(e)], x_norm, bias[static_cast<size_t>(e)]);
    };
    const int64_t last = chosen[k - 1];
    const bool turned = choices.experts(t, ranked(last) - ranked(next), std::max(magnitude(last), magnitude(next)));
    if (turned) chosen[k - 1] = static_cast<int32_t>(next);
  }
}

/// The rows of gate.tid2eid that the tokens name.
std::vector<int32_t> hashed_experts(const LayerContext& context, std::span<const int64_t> tokens) {
  const Config& config = context.weights.config();
  const std::string name = context.prefix + "ffn.gate.tid2eid";
  const std::vector<int64_t> table = context.weights.checkpoint().read_i64(name);
  context.weights.release(name);
  const int64_t k = config.num_experts_per_tok;
  std::vector<int32_t> ids;
  ids.reserve(tokens.size() * static_cast<size_t>(k));
  for (const int64_t token : tokens) {
    for (int64_t i = 0; i < k; ++i) {
      const int64_t id = table[static_cast<size_t>(token * k + i)];
      if (id < 0 || id >= config.n_routed_experts) {
        fail(name, ": token ", token, " names expert ", id, ", expected 0..", config.n_routed_experts - 1, "; the checkpoint is damaged");
      }
      ids.push_back(static_cast<int32_t>(id));
    }
  }
  return ids;
}

Routing route(const LayerContext& context, const Matrix& x, std::span<const int64_t> tokens) {
  const Config& config = context.weights.config();
  const int64_t k = config.num_experts_per_tok;
  const Matrix gate = context.weights.matrix(context.prefix + "ffn.gate.weight");
  Matrix64 scores = linear64(x, gate, context.threads);
  for (double& s : scores.values) s = router_score(s);
  Routing routing;
  if (context.layer.hash_routed) {
    routing.ids = hashed_experts(context, tokens);
  } else {
    const std::vector<float> bias = context.weights.vector(context.prefix + "ffn.gate.bias");
    routing.ids.resize(static_cast<size_t>(x.rows * k));
    for (int64_t t = 0; t < x.rows; ++t) select_experts(scores.row(t), bias, k, routing.ids.data() + t * k);
    note_choices(x, gate, scores, bias, context.choices, routing.ids);
  }
  routing.weights.resize(routing.ids.size());
  for (int64_t t = 0; t < x.rows; ++t) {
    const int32_t* ids = routing.ids.data() + t * k;
    double total = 0.0;
    for (int64_t i = 0; i < k; ++i) total += scores.row(t)[ids[i]];
    for (int64_t i = 0; i < k; ++i) {
      routing.weights[static_cast<size_t>(t * k + i)] = scores.row(t)[ids[i]] / total * config.routed_scaling_factor;
    }
  }
  return routing;
}

/// w2 (weight_t * SiLU(min(w1 x, limit)) * clamp(w3 x, ±limit)) for every row of x.
Matrix64 swiglu(const LayerContext& context, const std::string& prefix, const Matrix& x, const std::vector<double>& weights) {
  const double limit = context.weights.config().swiglu_limit;
  const Matrix gate = linear(x, context.weights.matrix(prefix + "w1.weight"), context.threads);
  Matrix hidden = linear(x, context.weights.matrix(prefix + "w3.weight"), context.threads);
  for (int64_t t = 0; t < hidden.rows; ++t) {
    for (int64_t i = 0; i < hidden.cols; ++i) {
      double g = gate.row(t)[i];
      double u = hidden.row(t)[i];
      if (limit > 0.0) {
        g = std::min(g, limit);
        u = std::clamp(u, -limit, limit);
      }
      hidden.row(t)[i] = static_cast<float>(g * sigmoid(g) * u * weights[static_cast<size_t>(t)]);
    }
  }
  return linear64(hidden, context.weights.matrix(prefix + "w2.weight"), context.threads);
}

}  // namespace

Matrix mixture_of_experts(const LayerContext& context, const Matrix& x, std::span<const int64_t> tokens, std::vector<int32_t>* expert_ids) {
  const Config& config = context.weights.config();
  const int64_t k = config.num_experts_per_tok;
  Routing routing = route(context, x, tokens);

  // Slots (t*k + i) of each expert, ascending.
  std::vector<std::vector<int64_t>> slots(static_cast<size_t>(config.n_routed_experts));
  for (size_t s = 0; s < routing.ids.size(); ++s) slots[static_cast<size_t>(routing.ids[s])].push_back(static_cast<int64_t>(s));

  Matrix64 sum = swiglu(context, context.prefix + "ffn.shared_experts.", x, std::vector<double>(static_cast<size_t>(x.rows), 1.0));
  for (size_t e = 0; e < slots.size(); ++e) {
    if (slots[e].empty()) continue;
    Matrix inputs(static_cast<int64_t>(slots[e].size()), x.cols);
    std::vector<double> weights;
    for (size_t i = 0; i < slots[e].size(); ++i) {
      std::copy_n(x.row(slots[e][i] / k), x.cols, inputs.row(static_cast<int64_t>(i)));
      weights.push_back(routing.weights[static_cast<size_t>(slots[e][i])]);
    }
    const Matrix64 outputs = swiglu(context, concat(context.prefix, "ffn.experts.", e, "."), inputs, weights);
    for (size_t i = 0; i < slots[e].size(); ++i) {
      double* total = sum.row(slots[e][i] / k);
      for (int64_t d = 0; d < x.cols; ++d) total[d] += outputs.row(static_cast<int64_t>(i))[d];
    }
  }
  Matrix y(x.rows, x.cols);
  std::transform(sum.values.begin(), sum.values.end(), y.values.begin(), [](double v) { return static_cast<float>(v); });
  if (expert_ids != nullptr) *expert_ids = std::move(routing.ids);
  return y;
}

}  // namespace dsv4::reference
