// Ops HyperConnect and HyperConnectHead against spec 2.3 in float64 loops.
#include "ops/hyper_connect/hyper_connect.h"

#include <thread>

#include "ops/block_support.h"
#include "support/instruction_sets.h"

namespace dsv4::ops {
namespace {

using namespace testing_blocks;

struct Case {
  int64_t hc = 4, width = 32, tokens = 1;
  Kind fn = Kind::kF32;
  int64_t group = 0;
  int64_t iterations = 20;
  bool pending = true;
  double logits = 1.0;  ///< about how large the outputs of fn are
};

struct Site {
  Weight fn, base, scale, norm;
  WeightInputs inputs;
};

constexpr double kEps = 1e-6, kNormEps = 1e-5;

Site make_site(Random& random, const Case& c, bool head) {
  Site site;
  const int64_t outputs = head ? c.hc : (2 + c.hc) * c.hc;
  site.fn = random.weight(c.fn, 0, outputs, c.hc * c.width, c.group, c.logits / std::sqrt(static_cast<double>(c.hc * c.width)));
  site.base = random.exact(outputs, 0.0, 0.5);
  site.scale = random.exact(head ? 1 : 3, 1.0, 0.2);
  site.norm = random.exact(c.width, 1.0, 0.2);
  for (const Weight* w : {&site.fn, &site.base, &site.scale, &site.norm}) site.inputs.add(w->nodes);
  return site;
}

struct State {
  std::vector<float> streams, output, post, comb;
};

State make_state(Random& random, const Case& c) {
  return {random.floats(c.tokens * c.hc * c.width, 1.0), random.floats(c.tokens * c.width, 1.0), random.floats(c.tokens * c.hc, 0.7),
          random.floats(c.tokens * c.hc * c.hc, 0.5)};
}

ov::TensorVector tensors(const Case& c, const State& state) {
  const size_t t = static_cast<size_t>(c.tokens), hc = static_cast<size_t>(c.hc), d = static_cast<size_t>(c.width);
  ov::TensorVector all = {tensor(ov::element::f32, {t, hc, d}, state.streams), tensor(ov::element::f32, {t, d}, state.output),
                          tensor(ov::element::f32, {t, hc}, state.post), tensor(ov::element::f32, {t, hc, hc}, state.comb)};
  if (!c.pending) all.erase(all.begin() + 1, all.end());
  return all;
}

PendingPost pending_parameters(const Case& c) {
  return {parameter(ov::element::f32, {-1, c.width}), parameter(ov::element::f32, {-1, c.hc}),
          parameter(ov::element::f32, {-1, c.hc, c.hc})};
}

const HyperConnectAttributes kAttributes{.iterations = 20, .eps = kEps, .norm_eps = kNormEps};

std::shared_ptr<HyperConnect> connect_op(const Case& c, const Site& site) {
  HyperConnectAttributes attributes = kAttributes;
  attributes.iterations = c.iterations;
  const PendingPost pending = pending_parameters(c);
  return std::make_shared<HyperConnect>(parameter(ov::element::f32, {-1, c.hc, c.width}), c.pending ? &pending : nullptr, site.inputs,
                                        attributes);
}

struct Expected {
  std::vector<double> x, post, comb, streams;
};

double logistic(double v) { return 1.0 / (1.0 + std::exp(-v)); }

/// One token by the numbered steps of the spec; `head` stops after pre.
void expect_token(const Case& c, const Site& site, const State& state, int64_t t, bool head, Expected& out) {
  const int64_t hc = c.hc, d = c.width;
  const auto x = [&](int64_t j, int64_t i) { return static_cast<double>(state.streams[static_cast<size_t>((t * hc + j) * d + i)]); };
  std::vector<double> next(static_cast<size_t>(hc * d));
  for (int64_t k = 0; k < hc; ++k) {
    for (int64_t i = 0; i < d; ++i) {
      double sum = c.pending ? 0.0 : x(k, i);
      if (c.pending) {
        sum = static_cast<double>(state.post[static_cast<size_t>(t * hc + k)]) * state.output[static_cast<size_t>(t * d + i)];
        for (int64_t j = 0; j < hc; ++j) sum += state.comb[static_cast<size_t>((t * hc + j) * hc + k)] * x(j, i);
      }
      next[static_cast<size_t>(k * d + i)] = sum;
    }
  }
  double squares = 0.0;
  for (const double v : next) squares += v * v;
  const double rho = 1.0 / std::sqrt(squares / static_cast<double>(hc * d) + kNormEps);
  const auto logit = [&](int64_t o, size_t scale) {
    double u = 0.0;
    for (int64_t i = 0; i < hc * d; ++i) u += site.fn.row(o)[i] * next[static_cast<size_t>(i)];
    return u * rho * site.scale.values[scale] + site.base.values[static_cast<size_t>(o)];
  };
  std::vector<double> y(static_cast<size_t>(d), 0.0);
  for (int64_t j = 0; j < hc; ++j) {
    const double pre = logistic(logit(j, 0)) + kEps;
    for (int64_t i = 0; i < d; ++i) y[static_cast<size_t>(i)] += pre * next[static_cast<size_t>(j * d + i)];
  }
  double mean = 0.0;
  for (const double v : y) mean += v * v / static_cast<double>(d);
  for (int64_t i = 0; i < d; ++i)
    out.x.push_back(y[static_cast<size_t>(i)] / std::sqrt(mean + kNormEps) * site.norm.values[static_cast<size_t>(i)]);
  if (head) return;
  out.streams.insert(out.streams.end(), next.begin(), next.end());
  for (int64_t j = 0; j < hc; ++j) out.post.push_back(2.0 * logistic(logit(hc + j, 1)));

  std::vector<std::vector<double>> comb(static_cast<size_t>(hc), std::vector<double>(static_cast<size_t>(hc)));
  for (size_t j = 0; j < comb.size(); ++j) {
    double sum = 0.0, largest = -1e300;
    for (size_t k = 0; k < comb.size(); ++k) {
      comb[j][k] = logit(2 * hc + static_cast<int64_t>(j) * hc + static_cast<int64_t>(k), 2);
      largest = std::max(largest, comb[j][k]);
    }
    for (double& v : comb[j]) sum += v = std::exp(v - largest);
    for (double& v : comb[j]) v = v / sum + kEps;
  }
  const auto rows = [&] {
    for (auto& row : comb) {
      double sum = kEps;
      for (const double v : row) sum += v;
      for (double& v : row) v /= sum;
    }
  };
  const auto columns = [&] {
    for (size_t k = 0; k < comb.size(); ++k) {
      double sum = kEps;
      for (const auto& row : comb) sum += row[k];
      for (auto& row : comb) row[k] /= sum;
    }
  };
  columns();
  for (int64_t i = 1; i < c.iterations; ++i) {
    rows();
    columns();
  }
  for (const auto& row : comb) out.comb.insert(out.comb.end(), row.begin(), row.end());
}

Expected expect_all(const Case& c, const Site& site, const State& state) {
  Expected expected;
  for (int64_t t = 0; t < c.tokens; ++t) expect_token(c, site, state, t, false, expected);
  return expected;
}

// Sums of at most 800 products in float32, of values about 1: 1e-5 is 80 units in the last place.
constexpr double kTolerance = 1e-5;

void expect_outputs(const std::vector<std::vector<float>>& found, const Expected& expected, const std::string& what) {
  expect_near(found[0], expected.x, 2 * kTolerance, what + ", x");
  expect_near(found[1], expected.post, kTolerance, what + ", post");
  expect_near(found[2], expected.comb, kTolerance, what + ", comb");
  expect_near(found[3], expected.streams, kTolerance, what + ", streams");
}

void check(Random& random, const Case& c, const std::string& what) {
  const Site site = make_site(random, c, false);
  const State state = make_state(random, c);
  expect_outputs(evaluate(*connect_op(c, site), tensors(c, state)), expect_all(c, site, state), what);
}

TEST(HyperConnect, EqualsTheFormulasForAllShapes) {
  Random random(1);
  for (const int64_t hc : {1, 2, 3, 4, 5}) {
    for (const int64_t width : {32, 33, 128, 200}) {
      for (const int64_t tokens : {0, 1, 3, 17, 70}) {
        for (const bool pending : {false, true}) {
          const Case c{.hc = hc, .width = width, .tokens = tokens, .pending = pending};
          check(random, c, std::to_string(hc) + " streams of " + std::to_string(width) + ", " + std::to_string(tokens) + " tokens");
        }
      }
    }
  }
}

TEST(HyperConnect, TakesFnOfEveryType) {
  Random random(2);
  for (const Kind kind : kAllKinds) {
    for (const int64_t tokens : {1, 5}) check(random, {.hc = 4, .width = 64, .tokens = tokens, .fn = kind, .group = 32}, name_of(kind));
    check(random, {.hc = 2, .width = 40, .tokens = 2, .fn = kind}, name_of(kind) + " a row");
  }
}

TEST(HyperConnect, AlternatesAsOftenAsAsked) {
  Random random(3);
  for (const int64_t hc : {3, 4}) {
    for (const int64_t iterations : {1, 2, 7}) {
      check(random, {.hc = hc, .width = 32, .tokens = 2, .iterations = iterations, .logits = 3.0}, std::to_string(iterations));
    }
  }
}

TEST(HyperConnect, StaysFiniteForLogitsBeyondExp) {
  Random random(4);
  const Case c{.hc = 4, .width = 32, .tokens = 9, .logits = 300.0};
  const Site site = make_site(random, c, false);
  for (const std::vector<float>& values : evaluate(*connect_op(c, site), tensors(c, make_state(random, c)))) {
    for (const float v : values) ASSERT_TRUE(std::isfinite(v));
  }
}

TEST(HyperConnect, IsTheSameOnEveryInstructionSet) {
  testing_support::for_each_instruction_set([] {
    Random random(5);
    for (const int64_t hc : {2, 4}) {
      for (const int64_t tokens : {1, 4, 5, 23}) check(random, {.hc = hc, .width = 69, .tokens = tokens}, std::to_string(tokens));
    }
  });
}

TEST(HyperConnect, RunsOnTheCpuPlugin) {
  Random random(6);
  for (const Kind kind : {Kind::kF16, Kind::kI4}) {
    for (const bool pending : {false, true}) {
      const Case c{.hc = 4, .width = 32, .tokens = 5, .fn = kind, .group = 32, .pending = pending};
      const Site site = make_site(random, c, false);
      const State state = make_state(random, c);
      expect_outputs(infer(connect_op(c, site), tensors(c, state)), expect_all(c, site, state), name_of(kind));
    }
  }
}

TEST(HyperConnect, GivesTwoThreadsTheSameBits) {
  Random random(7);
  const Case c{.hc = 4, .width = 96, .tokens = 66};
  const Site site = make_site(random, c, false);
  const auto op = connect_op(c, site);
  const ov::TensorVector inputs = tensors(c, make_state(random, c));
  const auto alone = evaluate(*op, inputs);
  std::vector<int> different(2, 0);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 20; ++n) different[i] += evaluate(*op, inputs) != alone;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(different, std::vector<int>(2, 0));
}

/// Tokens [first, end) of a state.
State some_of(const Case& c, const State& all, int64_t first, int64_t end) {
  const auto part = [&](const std::vector<float>& values, int64_t width) {
    return std::vector<float>(values.begin() + first * width, values.begin() + end * width);
  };
  return {part(all.streams, c.hc * c.width), part(all.output, c.width), part(all.post, c.hc), part(all.comb, c.hc * c.hc)};
}

TEST(HyperConnect, GivesATokenTheSameBitsInEveryCall) {
  testing_support::for_each_instruction_set([] {
    Random random(14);
    for (const Kind kind : kAllKinds) {
      for (const int64_t hc : {1, 3, 4}) {
        SCOPED_TRACE(name_of(kind) + ", " + std::to_string(hc) + " streams");
        const Case c{.hc = hc, .width = 96, .tokens = 83, .fn = kind, .group = 32, .logits = 3.0};
        const auto op = connect_op(c, make_site(random, c, false));
        const State state = make_state(random, c);
        const auto together = evaluate(*op, tensors(c, state));
        for (const int64_t n : {1, 2, 4, 5, 9, 17, 40}) {
          std::vector<std::vector<float>> outputs(together.size());
          for (int64_t first = 0; first < c.tokens; first += n) {
            Case some = c;
            some.tokens = std::min(n, c.tokens - first);
            const auto part = evaluate(*op, tensors(some, some_of(c, state, first, first + some.tokens)));
            for (size_t i = 0; i < part.size(); ++i) outputs[i].insert(outputs[i].end(), part[i].begin(), part[i].end());
          }
          EXPECT_EQ(outputs, together) << n << " tokens a call";
        }
      }
    }
  });
}

TEST(HyperConnect, SurvivesACopyOfTheNode) {
  Random random(8);
  for (const bool pending : {false, true}) {
    const Case c{.hc = 4, .width = 32, .tokens = 3, .iterations = 5, .pending = pending};
    const auto op = connect_op(c, make_site(random, c, false));
    const ov::TensorVector inputs = tensors(c, make_state(random, c));
    EXPECT_EQ(evaluate(*op->clone_with_new_inputs(op->input_values()), inputs), evaluate(*op, inputs));
  }
}

TEST(HyperConnect, GivesTheSameWithBoundWeights) {
  Random random(13);
  const Case c{.hc = 4, .width = 32, .tokens = 3, .fn = Kind::kU4, .group = 32};
  Site site = make_site(random, c, false);
  const ov::TensorVector inputs = tensors(c, make_state(random, c));
  const auto among = evaluate(*connect_op(c, site), inputs);
  site.inputs.bind();
  const auto bound = connect_op(c, site);
  ASSERT_EQ(bound->get_input_size(), 4u);
  EXPECT_EQ(evaluate(*bound, inputs), among);
  EXPECT_EQ(evaluate(*bound->clone_with_new_inputs(bound->input_values()), inputs), among);
  EXPECT_EQ(infer(bound, inputs), among);
}

TEST(HyperConnect, RefusesOtherShapesAndAttributes) {
  Random random(9);
  const Case c{.hc = 4, .width = 32};
  const Site site = make_site(random, c, false), head = make_site(random, c, true);
  const auto make = [&](const ov::PartialShape& streams, const PendingPost& pending, const WeightInputs& weights,
                        const HyperConnectAttributes& attributes) {
    return std::make_shared<HyperConnect>(parameter(ov::element::f32, streams), &pending, weights, attributes);
  };
  const PendingPost pending = pending_parameters(c);
  EXPECT_NO_THROW(make({-1, 4, 32}, pending, site.inputs, kAttributes));
  EXPECT_THROW(make({-1, 4, 31}, pending, site.inputs, kAttributes), ov::Exception);
  EXPECT_THROW(make({-1, 2, 32}, pending, site.inputs, kAttributes), ov::Exception);
  EXPECT_THROW(make({-1, 4, 32}, pending, head.inputs, kAttributes), ov::Exception);
  EXPECT_THROW(make({-1, 4, 32}, {pending.post, pending.output, pending.comb}, site.inputs, kAttributes), ov::Exception);
  EXPECT_THROW(make({-1, 4, 32}, pending, site.inputs, {.iterations = 0}), ov::Exception);
  EXPECT_THROW(make({-1, 4, 32}, pending, site.inputs, {.iterations = int64_t{1} << 40}), ov::Exception);
  EXPECT_THROW(make({-1, 4, 32}, pending, site.inputs, {.eps = -1.0}), ov::Exception);
  EXPECT_THROW(make({-1, 4, 32}, pending, site.inputs, {.norm_eps = std::nan("")}), ov::Exception);

  // Dims that are known only when the op runs.
  const auto op =
      std::make_shared<HyperConnect>(parameter(ov::element::f32, ov::PartialShape::dynamic()), &pending, site.inputs, kAttributes);
  ov::TensorVector inputs = tensors({.hc = 4, .width = 32, .tokens = 3}, make_state(random, {.hc = 4, .width = 32, .tokens = 3}));
  EXPECT_NO_THROW(evaluate(*op, inputs));
  for (size_t i = 0; i < inputs.size(); ++i) {
    ov::TensorVector other = inputs;
    ov::Shape shape = other[i].get_shape();
    shape[0] = 2;
    other[i] = ov::Tensor(ov::element::f32, shape);
    EXPECT_THROW(evaluate(*op, other), ov::Exception) << i;
  }
}

std::shared_ptr<HyperConnectHead> head_op(const Case& c, const Site& site) {
  return std::make_shared<HyperConnectHead>(parameter(ov::element::f32, {-1, c.hc, c.width}), pending_parameters(c),
                                            parameter(ov::element::i32, {-1}), site.inputs, kAttributes);
}

TEST(HyperConnectHead, EqualsTheFormulasForSomeRows) {
  Random random(10);
  for (const Kind kind : kAllKinds) {
    for (const int64_t hc : {2, 3, 4}) {
      const Case c{.hc = hc, .width = 64, .tokens = 90, .fn = kind, .group = 16};
      const Site site = make_site(random, c, true);
      const State state = make_state(random, c);
      std::vector<int32_t> many(80);
      for (int32_t& row : many) row = random.integer(0, 89);
      for (const std::vector<int32_t>& rows : {std::vector<int32_t>{}, std::vector<int32_t>{89}, std::vector<int32_t>{5, 0, 5}, many}) {
        Expected expected;
        for (const int32_t row : rows) expect_token(c, site, state, row, true, expected);
        ov::TensorVector inputs = tensors(c, state);
        inputs.push_back(tensor(ov::element::i32, {rows.size()}, rows));
        const auto op = head_op(c, site);
        expect_near(evaluate(*op, inputs)[0], expected.x, 2 * kTolerance, name_of(kind));
        if (hc == 4 && rows.size() == 3) expect_near(infer(op, inputs)[0], expected.x, 2 * kTolerance, "plugin, " + name_of(kind));
      }
    }
  }
}

TEST(HyperConnectHead, GivesARowTheSameBitsBesideOthers) {
  testing_support::for_each_instruction_set([] {
    Random random(15);
    for (const int64_t hc : {2, 4}) {
      const Case c{.hc = hc, .width = 96, .tokens = 70};
      const auto op = head_op(c, make_site(random, c, true));
      ov::TensorVector inputs = tensors(c, make_state(random, c));
      const auto rows_of = [&](const std::vector<int32_t>& rows) {
        ov::TensorVector all = inputs;
        all.push_back(tensor(ov::element::i32, {rows.size()}, rows));
        return evaluate(*op, all)[0];
      };
      std::vector<int32_t> every;
      std::vector<float> alone;
      for (int32_t row = 69; row >= 0; --row) {
        every.push_back(row);
        const std::vector<float> one = rows_of({row});
        alone.insert(alone.end(), one.begin(), one.end());
      }
      EXPECT_EQ(rows_of(every), alone);
    }
  });
}

TEST(HyperConnectHead, RefusesRowsOutsideTheTokens) {
  Random random(11);
  const Case c{.hc = 4, .width = 32, .tokens = 3};
  const auto op = head_op(c, make_site(random, c, true));
  ov::TensorVector inputs = tensors(c, make_state(random, c));
  inputs.emplace_back();
  for (const int32_t bad : {-1, 3, 1 << 30}) {
    inputs.back() = tensor(ov::element::i32, {2}, std::vector<int32_t>{0, bad});
    EXPECT_THROW(evaluate(*op, inputs), ov::Exception) << bad;
  }
}

TEST(HyperConnectHead, RefusesTheWeightsOfASite) {
  Random random(12);
  const Case c{.hc = 4, .width = 32};
  EXPECT_THROW(head_op(c, make_site(random, c, false)), ov::Exception);
  EXPECT_NO_THROW(head_op(c, make_site(random, c, true)));
}

}  // namespace
}  // namespace dsv4::ops
