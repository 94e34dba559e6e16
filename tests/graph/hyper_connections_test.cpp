// Hyper-connections of the portable program on the CPU against plain double loops over the formulas.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "graph/evaluate.h"
#include "graph/portable/portable.h"

namespace dsv4 {
namespace {

using namespace testing_support;
using Doubles = std::vector<double>;

/// Weights held in memory, float32.
class MapWeights final : public WeightSource {
 public:
  void add(const std::string& name, const ov::Shape& shape, std::vector<float> values) { tensors_[name] = {shape, std::move(values)}; }

  ov::Output<ov::Node> exact(const std::string& name) override {
    const auto& [shape, values] = tensors_.at(name);
    return std::make_shared<ov::op::v0::Constant>(ov::element::f32, shape, values);
  }
  ov::Output<ov::Node> matrix(const std::string& name) override { return exact(name); }
  ov::Output<ov::Node> matrix_rows(const std::string&, int64_t, int64_t) override { throw std::logic_error("not used"); }
  ov::Output<ov::Node> gather_rows(const std::string&, const ov::Output<ov::Node>&) override { throw std::logic_error("not used"); }
  ov::Output<ov::Node> gather_matrices(const std::string&, const ov::Output<ov::Node>&) override { throw std::logic_error("not used"); }

 private:
  std::map<std::string, std::pair<ov::Shape, std::vector<float>>> tensors_;
};

struct Site {
  std::vector<float> fn, base, scale;  // [outputs, hc*D], [outputs], [3] or [1]
};

struct Mixed {
  Doubles input, post, comb;  // [D], [hc], [hc,hc]
};

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

/// u of one token: RMS of the flattened streams, then the matrix.
Doubles mix(const Config& c, const Site& site, const float* streams) {
  const size_t width = static_cast<size_t>(c.hc_mult * c.hidden_size);
  double squares = 0.0;
  for (size_t i = 0; i < width; ++i) squares += static_cast<double>(streams[i]) * streams[i];
  const double rho = 1.0 / std::sqrt(squares / static_cast<double>(width) + c.rms_norm_eps);
  Doubles u(site.base.size(), 0.0);
  for (size_t o = 0; o < u.size(); ++o) {
    for (size_t i = 0; i < width; ++i) u[o] += static_cast<double>(site.fn[o * width + i]) * streams[i];
    u[o] *= rho;
  }
  return u;
}

Doubles weighted_streams(const Config& c, const float* streams, const Doubles& weights) {
  const size_t d = static_cast<size_t>(c.hidden_size);
  Doubles y(d, 0.0);
  for (size_t j = 0; j < weights.size(); ++j) {
    for (size_t i = 0; i < d; ++i) y[i] += weights[j] * streams[j * d + i];
  }
  return y;
}

/// Row softmax + eps, column step, then rows and columns in turn: `iterations` of each in all.
void sinkhorn(Doubles& c, size_t hc, int64_t iterations, double eps) {
  for (int64_t iteration = 0; iteration < iterations; ++iteration) {
    for (size_t j = 0; j < hc; ++j) {
      double* row = &c[j * hc];
      if (iteration == 0) {
        const double top = *std::max_element(row, row + hc);
        for (size_t k = 0; k < hc; ++k) row[k] = std::exp(row[k] - top);
      }
      double sum = 0.0;
      for (size_t k = 0; k < hc; ++k) sum += row[k];
      for (size_t k = 0; k < hc; ++k) row[k] = iteration == 0 ? row[k] / sum + eps : row[k] / (sum + eps);
    }
    for (size_t k = 0; k < hc; ++k) {
      double sum = 0.0;
      for (size_t j = 0; j < hc; ++j) sum += c[j * hc + k];
      for (size_t j = 0; j < hc; ++j) c[j * hc + k] /= sum + eps;
    }
  }
}

Mixed pre(const Config& c, const Site& site, const float* streams) {
  const size_t hc = static_cast<size_t>(c.hc_mult);
  const Doubles u = mix(c, site, streams);
  const auto value = [&](size_t o, size_t scale) { return u[o] * site.scale[scale] + site.base[o]; };
  Mixed mixed;
  Doubles pre_weights;
  for (size_t j = 0; j < hc; ++j) pre_weights.push_back(sigmoid(value(j, 0)) + c.hc_eps);
  for (size_t j = 0; j < hc; ++j) mixed.post.push_back(2.0 * sigmoid(value(hc + j, 1)));
  for (size_t o = 0; o < hc * hc; ++o) mixed.comb.push_back(value(2 * hc + o, 2));
  sinkhorn(mixed.comb, hc, c.hc_sinkhorn_iters, c.hc_eps);
  mixed.input = weighted_streams(c, streams, pre_weights);
  return mixed;
}

Doubles post(const Config& c, const Mixed& mixed, const float* streams, const float* output) {
  const size_t hc = static_cast<size_t>(c.hc_mult), d = static_cast<size_t>(c.hidden_size);
  Doubles next(hc * d);
  for (size_t k = 0; k < hc; ++k) {
    for (size_t i = 0; i < d; ++i) {
      next[k * d + i] = mixed.post[k] * output[i];
      for (size_t j = 0; j < hc; ++j) next[k * d + i] += mixed.comb[j * hc + k] * streams[j * d + i];
    }
  }
  return next;
}

/// x / sqrt(mean(x^2) + eps) * weight.
Doubles normalized(const Config& c, const Doubles& x, const std::vector<float>& weight) {
  double squares = 0.0;
  for (const double value : x) squares += value * value;
  Doubles y;
  for (size_t i = 0; i < x.size(); ++i) {
    y.push_back(x[i] / std::sqrt(squares / static_cast<double>(x.size()) + c.rms_norm_eps) * weight[i]);
  }
  return y;
}

std::vector<float> normal(std::mt19937& random, size_t count, float deviation) {
  std::normal_distribution<float> distribution(0.0f, deviation);
  std::vector<float> values(count);
  for (float& value : values) value = distribution(random);
  return values;
}

void expect_near(const std::vector<float>& actual, size_t row, const Doubles& expected, const char* what) {
  for (size_t i = 0; i < expected.size(); ++i) {
    const double tolerance = 1e-5 * std::max(1.0, std::fabs(expected[i]));
    ASSERT_NEAR(actual[row * expected.size() + i], expected[i], tolerance) << what << " of token " << row << ", element " << i;
  }
}

struct Case {
  int64_t hc, dim, iterations;
  float spread;  // of the comb logits
};

class HyperConnections : public testing::TestWithParam<Case> {
 protected:
  HyperConnections() : random_(5) {
    config_.hc_mult = GetParam().hc;
    config_.hidden_size = GetParam().dim;
    config_.hc_sinkhorn_iters = GetParam().iterations;
    config_.hc_eps = 1e-6;
    config_.rms_norm_eps = 1e-6;
    config_.sliding_window = 8;
    width_ = static_cast<size_t>(config_.hc_mult * config_.hidden_size);
    norm_ = normal(random_, static_cast<size_t>(config_.hidden_size), 1.0f);
    weights_.add("norm", {norm_.size()}, norm_);
  }

  Site add_site(const std::string& name, size_t outputs, size_t scales) {
    Site site{normal(random_, outputs * width_, 1.0f / std::sqrt(static_cast<float>(width_))), normal(random_, outputs, GetParam().spread),
              std::vector<float>(scales)};
    for (size_t i = 0; i < scales; ++i) site.scale[i] = 0.5f + 0.3f * static_cast<float>(i);
    weights_.add(name + "_fn", {outputs, width_}, site.fn);
    weights_.add(name + "_base", {outputs}, site.base);
    weights_.add(name + "_scale", {scales}, site.scale);
    return site;
  }

  static constexpr size_t kTokens = 7;
  std::mt19937 random_;
  Config config_;
  MapWeights weights_;
  std::vector<float> norm_;
  size_t width_ = 0;
};

TEST_P(HyperConnections, MixAsTheFormulasSay) {
  const size_t hc = static_cast<size_t>(config_.hc_mult), d = static_cast<size_t>(config_.hidden_size);
  const Site site = add_site("layers.0.hc_attn", (2 + hc) * hc, 3);
  PortableVocabulary vocabulary(config_, weights_, {});
  const Parameter streams = parameter(ov::element::f32, {-1, config_.hc_mult, config_.hidden_size});
  const Parameter output = parameter(ov::element::f32, {-1, 1, config_.hidden_size});
  const HyperConnection connection = vocabulary.hyper_connect_pre({streams, {}}, "layers.0.hc_attn", "norm");
  Program program({connection.input, connection.post, connection.comb, vocabulary.hyper_connect_post(connection, output).value},
                  {streams, output});

  std::vector<float> x = normal(random_, kTokens * width_, 2.0f);
  std::fill_n(x.begin(), width_, 0.0f);  // the first token's streams are all zero
  const std::vector<float> o = normal(random_, kTokens * d, 1.0f);
  const std::vector<ov::Tensor> out = program({tensor<float>({kTokens, hc, d}, x), tensor<float>({kTokens, 1, d}, o)});
  EXPECT_EQ(out[0].get_shape(), (ov::Shape{kTokens, 1, d}));
  EXPECT_EQ(out[3].get_shape(), (ov::Shape{kTokens, hc, d}));
  for (size_t t = 0; t < kTokens; ++t) {
    const Mixed expected = pre(config_, site, &x[t * width_]);
    expect_near(values_of<float>(out[0]), t, normalized(config_, expected.input, norm_), "input");
    expect_near(values_of<float>(out[1]), t, expected.post, "post");
    expect_near(values_of<float>(out[2]), t, expected.comb, "comb");
    expect_near(values_of<float>(out[3]), t, post(config_, expected, &x[t * width_], &o[t * d]), "streams");
  }
}

TEST_P(HyperConnections, HeadWeighsTheStreams) {
  const size_t hc = static_cast<size_t>(config_.hc_mult), d = static_cast<size_t>(config_.hidden_size);
  const Site site = add_site("hc_head", hc, 1);
  PortableVocabulary vocabulary(config_, weights_, {});
  const Parameter streams = parameter(ov::element::f32, {-1, config_.hc_mult, config_.hidden_size});
  Program program({vocabulary.hyper_connect_head({streams, {}}, "hc_head", "norm")}, {streams});
  const std::vector<float> x = normal(random_, kTokens * width_, 1.0f);
  const std::vector<ov::Tensor> out = program({tensor<float>({kTokens, hc, d}, x)});
  for (size_t t = 0; t < kTokens; ++t) {
    const Doubles u = mix(config_, site, &x[t * width_]);
    Doubles weights;
    for (size_t j = 0; j < hc; ++j) weights.push_back(sigmoid(u[j] * site.scale[0] + site.base[j]) + config_.hc_eps);
    expect_near(values_of<float>(out[0]), t, normalized(config_, weighted_streams(config_, &x[t * width_], weights), norm_), "head");
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, HyperConnections,
                         testing::Values(Case{4, 16, 20, 1.0f}, Case{4, 16, 1, 1.0f}, Case{4, 16, 2, 1.0f}, Case{4, 12, 4, 8.0f},
                                         Case{2, 8, 20, 1.0f}, Case{4, 8, 20, 30.0f}, Case{3, 8, 5, 3.0f}),
                         [](const testing::TestParamInfo<Case>& p) {
                           return "Streams" + std::to_string(p.param.hc) + "Dim" + std::to_string(p.param.dim) + "Iterations" +
                                  std::to_string(p.param.iterations) + "Spread" + std::to_string(static_cast<int>(p.param.spread));
                         });

}  // namespace
}  // namespace dsv4
