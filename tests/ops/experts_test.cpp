// Op Experts against spec 2.12 in float64 loops.
#include "ops/experts/experts.h"

#include <thread>

#include "ops/block_support.h"
#include "support/instruction_sets.h"

namespace dsv4::ops {
namespace {

using namespace testing_blocks;

struct Case {
  int64_t width = 64, inner = 32, experts = 8, per_token = 3, tokens = 1, vocabulary = 11;
  Kind gate = Kind::kF32, stack = Kind::kF32, shared = Kind::kF32;
  int64_t group = 0;
  bool hashed = false;
  double limit = 1.0;  ///< small, so that the clamps do something
  ActivationRounding mode = ActivationRounding::kF32;
  bool prefetch = false;
};

struct Layer {
  Weight gate, gate_up, down, w1, w3, w2;
  WeightInputs inputs;
  std::vector<float> bias;
  std::vector<int32_t> table;
  std::shared_ptr<ov::op::v0::Constant> selection;
};

constexpr double kFactor = 1.5;

void select_by(Layer& layer, const Case& c) {
  if (c.hashed) {
    layer.selection = constant(ov::element::i32, {static_cast<size_t>(c.vocabulary), static_cast<size_t>(c.per_token)}, layer.table);
  } else {
    layer.selection = constant(ov::element::f32, {layer.bias.size()}, layer.bias);
  }
}

Layer make_layer(Random& random, const Case& c) {
  Layer layer;
  const double in = 1.0 / std::sqrt(static_cast<double>(c.width)), out = 1.0 / std::sqrt(static_cast<double>(c.inner));
  layer.gate = random.weight(c.gate, 0, c.experts, c.width, c.group, 2 * in);
  layer.gate_up = random.weight(c.stack, c.experts, 2 * c.inner, c.width, c.group, 2 * in);
  layer.down = random.weight(c.stack, c.experts, c.width, c.inner, c.group, out);
  layer.w1 = random.weight(c.shared, 0, c.inner, c.width, c.group, 2 * in);
  layer.w3 = random.weight(c.shared, 0, c.inner, c.width, c.group, 2 * in);
  layer.w2 = random.weight(c.shared, 0, c.width, c.inner, c.group, out);
  layer.inputs.add(layer.gate.nodes);
  layer.inputs.add(layer.gate_up.nodes, MatrixForm::kStack);
  layer.inputs.add(layer.down.nodes, MatrixForm::kStack);
  for (const Weight* w : {&layer.w1, &layer.w3, &layer.w2}) layer.inputs.add(w->nodes);
  layer.bias = random.floats(c.experts, 0.5);
  for (int64_t i = 0; i < c.vocabulary * c.per_token; ++i) layer.table.push_back(random.integer(0, static_cast<int>(c.experts) - 1));
  select_by(layer, c);
  return layer;
}

std::shared_ptr<Experts> experts_op(const Case& c, const Layer& layer) {
  return std::make_shared<Experts>(parameter(ov::element::f32, {-1, c.width}), parameter(ov::element::i32, {-1}), layer.selection,
                                   layer.inputs,
                                   ExpertsAttributes{.hash_routed = c.hashed,
                                                     .experts_per_token = c.per_token,
                                                     .scaling_factor = kFactor,
                                                     .swiglu_limit = c.limit,
                                                     .mode = c.mode,
                                                     .prefetch = c.prefetch});
}

struct Tokens {
  std::vector<float> x;
  std::vector<int32_t> ids;
  ov::TensorVector tensors(const Case& c) const {
    const size_t t = ids.size();
    return {tensor(ov::element::f32, {t, static_cast<size_t>(c.width)}, x), tensor(ov::element::i32, {t}, ids)};
  }
};

/// Where rounding to 8 bits could go either way within what float32 leaves open.
bool near_tie(double code) { return std::abs(std::abs(code - std::floor(code)) - 0.5) < 1e-3; }

Tokens make_tokens(Random& random, const Case& c) {
  Tokens tokens{random.floats(c.tokens * c.width, 1.0), {}};
  for (int64_t t = 0; t < c.tokens; ++t) tokens.ids.push_back(random.integer(0, static_cast<int>(c.vocabulary) - 1));
  return tokens;
}

/// What a product with a compressed matrix sees of a row in mode kInt8 (the definition in multiply.h), and by how much each value may differ because its
/// rounding was undecided.
struct Rounded {
  std::vector<double> values, slack;
};

Rounded rounded(const std::vector<double>& x, bool rounds) {
  Rounded r{x, std::vector<double>(x.size(), 0.0)};
  for (size_t begin = 0; rounds && begin < x.size(); begin += 32) {
    const size_t end = std::min(x.size(), begin + 32);
    double largest = 0.0;
    for (size_t i = begin; i < end; ++i) largest = std::max(largest, std::abs(x[i]));
    const double scale = largest / 127.0;
    for (size_t i = begin; i < end && scale > 0.0; ++i) {
      const double code = x[i] / scale;
      r.values[i] = scale * std::nearbyint(code);
      r.slack[i] = near_tie(code) ? scale : 0.0;
    }
  }
  return r;
}

/// sum and by how much it may differ for the slack of the inputs.
struct Sum {
  double value = 0.0, slack = 0.0;
};

Sum dot(const double* w, const Rounded& x) {
  Sum sum;
  for (size_t i = 0; i < x.values.size(); ++i) {
    sum.value += w[i] * x.values[i];
    sum.slack += std::abs(w[i]) * x.slack[i];
  }
  return sum;
}

struct Expected {
  std::vector<double> y, slack;
};

/// y and slack += w2 (weight * SiLU(min(w1 x, limit)) * clamp(w3 x)).
void add_expert(const Case& c, const Rounded& x, const double* w1, const double* w3, const double* w2, double weight, bool rounds,
                double* y, double* slack) {
  std::vector<double> hidden, hidden_slack;
  for (int64_t i = 0; i < c.inner; ++i) {
    const Sum g = dot(w1 + i * c.width, x), u = dot(w3 + i * c.width, x);
    double gate = g.value, up = u.value;
    if (c.limit > 0.0) {
      gate = std::min(gate, c.limit);
      up = std::min(std::max(up, -c.limit), c.limit);
    }
    const double silu = gate / (1.0 + std::exp(-gate));
    hidden.push_back(silu * up * weight);
    // |SiLU'| <= 1.1
    hidden_slack.push_back(std::abs(weight) * (1.1 * g.slack * (std::abs(up) + u.slack) + (std::abs(silu) + 1.1 * g.slack) * u.slack));
  }
  Rounded h = rounded(hidden, rounds);
  for (size_t i = 0; i < hidden.size(); ++i) {
    // A changed value may change the scale of its block and every code by one besides.
    if (hidden_slack[i] > 0.0) {
      const size_t begin = i / 32 * 32;
      for (size_t j = begin; j < std::min(hidden.size(), begin + 32); ++j) h.slack[j] += 2.0 * hidden_slack[i];
      h.slack[i] += std::abs(hidden[i]) / 64.0;
    }
  }
  for (int64_t d = 0; d < c.width; ++d) {
    const Sum sum = dot(w2 + d * c.inner, h);
    y[d] += sum.value;
    slack[d] += sum.slack;
  }
}

Expected expect_all(const Case& c, const Layer& layer, const Tokens& tokens) {
  Expected expected;
  const bool int8 = c.mode == ActivationRounding::kInt8;
  for (size_t t = 0; t < tokens.ids.size(); ++t) {
    const std::vector<double> x(tokens.x.begin() + static_cast<int64_t>(t) * c.width,
                                tokens.x.begin() + static_cast<int64_t>(t + 1) * c.width);
    const Rounded exact = rounded(x, false);
    std::vector<double> scores, biased;
    for (int64_t e = 0; e < c.experts; ++e) {
      const double l = dot(layer.gate.row(e), exact).value;
      scores.push_back(std::sqrt(std::log1p(std::exp(-std::abs(l))) + std::max(l, 0.0)));
      biased.push_back(scores.back() + layer.bias[static_cast<size_t>(e)]);
    }
    std::vector<int64_t> chosen;
    for (int64_t i = 0; i < c.per_token; ++i) {
      if (c.hashed) {
        chosen.push_back(layer.table[static_cast<size_t>(tokens.ids[t] * c.per_token + i)]);
      } else {
        chosen.push_back(std::max_element(biased.begin(), biased.end()) - biased.begin());  // the first of equal ones
        biased[static_cast<size_t>(chosen.back())] = -1e300;
      }
    }
    double total = 0.0;
    for (const int64_t e : chosen) total += scores[static_cast<size_t>(e)];
    std::vector<double> y(static_cast<size_t>(c.width), 0.0), slack = y;
    const bool stack_rounds = int8 && rounds_activations(c.stack), shared_rounds = int8 && rounds_activations(c.shared);
    for (const int64_t e : chosen) {
      const double* gate_up = layer.gate_up.row(e * 2 * c.inner);
      add_expert(c, rounded(x, stack_rounds), gate_up, gate_up + c.inner * c.width, layer.down.row(e * c.width),
                 scores[static_cast<size_t>(e)] / total * kFactor, stack_rounds, y.data(), slack.data());
    }
    add_expert(c, rounded(x, shared_rounds), layer.w1.row(0), layer.w3.row(0), layer.w2.row(0), 1.0, shared_rounds, y.data(), slack.data());
    expected.y.insert(expected.y.end(), y.begin(), y.end());
    expected.slack.insert(expected.slack.end(), slack.begin(), slack.end());
  }
  return expected;
}

// Three sums of up to 200 products each in float32, of values of about 3: 2e-5 is less than 100 units in the last place.
constexpr double kTolerance = 2e-5;

void expect_equal(const std::vector<float>& found, const Expected& expected, const std::string& what) {
  ASSERT_EQ(found.size(), expected.y.size()) << what;
  for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected.y[i], kTolerance + expected.slack[i]) << what << ", value " << i;
}

void check(Random& random, const Case& c, const std::string& what) {
  const Layer layer = make_layer(random, c);
  const Tokens tokens = make_tokens(random, c);
  expect_equal(evaluate(*experts_op(c, layer), tokens.tensors(c))[0], expect_all(c, layer, tokens), what);
}

TEST(Experts, EqualsTheFormulasForAllShapes) {
  Random random(1);
  for (const int64_t width : {32, 50, 128, 200}) {
    for (const int64_t inner : {16, 33, 96}) {
      for (const int64_t tokens : {0, 1, 3, 19}) {
        for (const bool hashed : {false, true}) {
          check(random, {.width = width, .inner = inner, .tokens = tokens, .hashed = hashed},
                std::to_string(width) + "x" + std::to_string(inner) + ", " + std::to_string(tokens) + " tokens");
        }
      }
    }
  }
}

TEST(Experts, TakesAnyNumberOfExperts) {
  Random random(2);
  for (const auto& [experts, per_token] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {2, 2}, {5, 1}, {64, 6}, {300, 8}}) {
    for (const bool hashed : {false, true}) {
      check(random, {.width = 32, .inner = 16, .experts = experts, .per_token = per_token, .tokens = 7, .hashed = hashed},
            std::to_string(per_token) + " of " + std::to_string(experts));
    }
  }
}

TEST(Experts, DoesMoreTokensThanItTakesAtOnce) {
  Random random(3);
  check(random, {.width = 32, .inner = 8, .experts = 4, .per_token = 2, .tokens = 1100}, "bias");
  check(random, {.width = 32, .inner = 8, .experts = 4, .per_token = 2, .tokens = 513, .hashed = true}, "table");
}

TEST(Experts, TakesWeightsOfEveryType) {
  Random random(4);
  for (const Kind kind : kAllKinds) {
    for (const int64_t tokens : {1, 6}) {
      check(random, {.tokens = tokens, .gate = kind, .group = 16}, "gate " + name_of(kind));
      check(random, {.tokens = tokens, .stack = kind, .group = 16}, "stacks " + name_of(kind));
      check(random, {.tokens = tokens, .shared = kind, .group = 0}, "shared " + name_of(kind));
      check(random, {.inner = 96, .tokens = tokens, .gate = kind, .stack = kind, .shared = kind, .group = 32}, "all " + name_of(kind));
    }
  }
}

TEST(Experts, ClampsOnlyWhereThereIsALimit) {
  Random random(5);
  for (const double limit : {0.0, 0.3, 10.0}) check(random, {.tokens = 4, .limit = limit}, std::to_string(limit));
}

TEST(Experts, RoundsActivationsAsDefined) {
  Random random(6);
  for (const Kind kind : {Kind::kU8, Kind::kI8, Kind::kU4, Kind::kI4, Kind::kF4E2M1}) {
    for (const int64_t tokens : {1, 9}) {
      const Case c{
          .width = 128, .inner = 64, .tokens = tokens, .stack = kind, .shared = kind, .group = 32, .mode = ActivationRounding::kInt8};
      const Layer layer = make_layer(random, c);
      Tokens input = make_tokens(random, c);
      // No undecided roundings of x, so that the slack stays small.
      for (size_t begin = 0; begin < input.x.size(); begin += 32) {
        float largest = 0.0f;
        for (size_t i = begin; i < begin + 32; ++i) largest = std::max(largest, std::abs(input.x[i]));
        for (size_t i = begin; i < begin + 32; ++i) {
          if (near_tie(static_cast<double>(input.x[i]) * 127.0 / static_cast<double>(largest))) input.x[i] *= 0.99f;
        }
      }
      const Expected expected = expect_all(c, layer, input);
      const auto found = evaluate(*experts_op(c, layer), input.tensors(c))[0];
      expect_equal(found, expected, name_of(kind));
      // The bound is smaller than what rounding changes, so that the test can tell.
      Case exact = c;
      exact.mode = ActivationRounding::kF32;
      const Expected unrounded = expect_all(exact, layer, input);
      double slack = 0.0, change = 0.0;
      for (size_t i = 0; i < found.size(); ++i) {
        slack += kTolerance + expected.slack[i];
        change += std::abs(expected.y[i] - unrounded.y[i]);
      }
      EXPECT_LT(slack, 0.5 * change);
    }
  }
}

TEST(Experts, RoutesWithExactInputsInEveryMode) {
  // Scores of experts 0 and 1 differ by less than what rounding x to 8 bits changes.
  Random random(7);
  Case c{.width = 32,
         .inner = 32,
         .experts = 2,
         .per_token = 1,
         .tokens = 1,
         .stack = Kind::kI8,
         .shared = Kind::kI8,
         .mode = ActivationRounding::kInt8};
  for (const Kind gate : {Kind::kF32, Kind::kI8}) {
    c.gate = gate;
    for (int n = 0; n < 20; ++n) {
      Layer layer = make_layer(random, c);
      Tokens tokens = make_tokens(random, c);
      tokens.x[0] = 1.0f;
      std::vector<double> x(tokens.x.begin(), tokens.x.end());
      double difference = 0.0;  // of the scores
      for (const int64_t e : {0, 1}) {
        const double l = dot(layer.gate.row(e), rounded(x, false)).value;
        difference += (e == 0 ? 1.0 : -1.0) * std::sqrt(std::log1p(std::exp(-std::abs(l))) + std::max(l, 0.0));
      }
      for (const double margin : {1e-5, -1e-5}) {
        layer.bias = {0.0f, static_cast<float>(difference - margin)};
        select_by(layer, c);
        expect_equal(evaluate(*experts_op(c, layer), tokens.tensors(c))[0], expect_all(c, layer, tokens), name_of(gate));
      }
    }
  }
}

TEST(Experts, PrefersTheLowerOfEqualExperts) {
  Random random(8);
  const Case c{.experts = 6, .per_token = 2, .tokens = 3};
  Layer layer = make_layer(random, c);
  // All routers are alike: scores are equal, the bias decides, equal biases leave it to the order.
  std::vector<float> row = random.floats(c.width, 0.2), gate;
  for (int64_t e = 0; e < c.experts; ++e) gate.insert(gate.end(), row.begin(), row.end());
  layer.gate.values.assign(gate.begin(), gate.end());
  layer.inputs = {};
  layer.inputs.add({constant(ov::element::f32, {6, static_cast<size_t>(c.width)}, gate)});
  layer.inputs.add(layer.gate_up.nodes, MatrixForm::kStack);
  layer.inputs.add(layer.down.nodes, MatrixForm::kStack);
  for (const Weight* w : {&layer.w1, &layer.w3, &layer.w2}) layer.inputs.add(w->nodes);
  const Tokens tokens = make_tokens(random, c);
  for (const std::vector<float>& bias :
       {std::vector<float>{0, 0, 0, 0, 0, 0}, {0, 1, 0, 1, 1, 0}, {0, 0, 0, 0, 2, 2}, {-1, -1, 0, 0, 0, 0}, {0, 0, 0, 1, 0, 0}}) {
    layer.bias = bias;
    select_by(layer, c);
    expect_equal(evaluate(*experts_op(c, layer), tokens.tensors(c))[0], expect_all(c, layer, tokens), testing::PrintToString(bias));
  }
}

TEST(Experts, CountsAnExpertThatTheTableNamesTwice) {
  Random random(9);
  const Case c{.per_token = 3, .tokens = 5, .vocabulary = 2, .hashed = true};
  Layer layer = make_layer(random, c);
  layer.table = {4, 4, 4, 1, 7, 1};
  select_by(layer, c);
  const Tokens tokens = make_tokens(random, c);
  expect_equal(evaluate(*experts_op(c, layer), tokens.tensors(c))[0], expect_all(c, layer, tokens), "table");
}

TEST(Experts, IsTheSameOnEveryInstructionSet) {
  testing_support::for_each_instruction_set([] {
    Random random(10);
    for (const bool hashed : {false, true}) check(random, {.width = 69, .inner = 37, .tokens = 5, .hashed = hashed}, "f32");
  });
}

TEST(Experts, RunsOnTheCpuPluginWithAndWithoutPrefetch) {
  Random random(11);
  for (const Kind kind : {Kind::kF16, Kind::kU4, Kind::kF4E2M1}) {
    for (const bool hashed : {false, true}) {
      for (const bool prefetch : {false, true}) {
        const Case c{.tokens = 6, .gate = kind, .stack = kind, .shared = kind, .group = 16, .hashed = hashed, .prefetch = prefetch};
        const Layer layer = make_layer(random, c);
        const Tokens tokens = make_tokens(random, c);
        expect_equal(infer(experts_op(c, layer), tokens.tensors(c))[0], expect_all(c, layer, tokens), name_of(kind));
      }
    }
  }
}

TEST(Experts, GivesTwoThreadsTheSameBits) {
  Random random(12);
  for (const ActivationRounding mode : {ActivationRounding::kF32, ActivationRounding::kInt8}) {
    const Case c{.width = 128, .inner = 64, .tokens = 40, .stack = Kind::kU4, .shared = Kind::kU8, .group = 32, .mode = mode};
    const auto op = experts_op(c, make_layer(random, c));
    const ov::TensorVector inputs = make_tokens(random, c).tensors(c);
    const auto alone = evaluate(*op, inputs);
    std::vector<int> different(2, 0);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        for (int n = 0; n < 10; ++n) different[i] += evaluate(*op, inputs) != alone;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(different, std::vector<int>(2, 0));
  }
}

/// Tokens in calls of one, of some and of all: as many of them go to an expert as the call has.
void expect_the_same_in_every_call(ActivationRounding mode) {
  testing_support::for_each_instruction_set([&] {
    Random random(19);
    for (const Kind kind : kAllKinds) {
      for (const bool hashed : {false, true}) {
        SCOPED_TRACE(name_of(kind));
        const Case c{.width = 96,
                     .inner = 64,
                     .experts = 21,
                     .per_token = 4,
                     .tokens = 50,
                     .gate = kind == Kind::kF16 ? Kind::kBF16 : Kind::kF32,
                     .stack = kind,
                     .shared = kind,
                     .group = 32,
                     .hashed = hashed,
                     .mode = mode};
        const auto op = experts_op(c, make_layer(random, c));
        const Tokens tokens = make_tokens(random, c);
        const std::vector<float> together = evaluate(*op, tokens.tensors(c))[0];
        for (const int64_t n : {1, 3, 7, 16, 30}) {
          std::vector<float> y;
          for (int64_t first = 0; first < c.tokens; first += n) {
            const int64_t end = std::min(c.tokens, first + n);
            const Tokens some{{tokens.x.begin() + first * c.width, tokens.x.begin() + end * c.width},
                              {tokens.ids.begin() + first, tokens.ids.begin() + end}};
            const std::vector<float> part = evaluate(*op, some.tensors(c))[0];
            y.insert(y.end(), part.begin(), part.end());
          }
          EXPECT_EQ(y, together) << n << " tokens a call";
        }
      }
    }
  });
}

TEST(Experts, GivesATokenTheSameBitsInEveryCallWithExactActivations) { expect_the_same_in_every_call(ActivationRounding::kF32); }

TEST(Experts, GivesATokenTheSameBitsInEveryCallWithRoundedActivations) { expect_the_same_in_every_call(ActivationRounding::kInt8); }

TEST(Experts, SurvivesACopyOfTheNode) {
  Random random(13);
  const Case c{.tokens = 3, .stack = Kind::kI4, .group = 32, .hashed = true, .mode = ActivationRounding::kInt8};
  const auto op = experts_op(c, make_layer(random, c));
  const ov::TensorVector inputs = make_tokens(random, c).tensors(c);
  EXPECT_EQ(evaluate(*op->clone_with_new_inputs(op->input_values()), inputs), evaluate(*op, inputs));
}

TEST(Experts, GivesTheSameWithBoundWeights) {
  Random random(17);
  const Case c{.tokens = 3, .stack = Kind::kU4, .group = 32};
  Layer layer = make_layer(random, c);
  const ov::TensorVector inputs = make_tokens(random, c).tensors(c);
  const auto among = evaluate(*experts_op(c, layer), inputs);
  layer.inputs.bind();
  const auto bound = experts_op(c, layer);
  ASSERT_EQ(bound->get_input_size(), 3u);
  EXPECT_EQ(evaluate(*bound, inputs), among);
  EXPECT_EQ(evaluate(*bound->clone_with_new_inputs(bound->input_values()), inputs), among);
  EXPECT_EQ(infer(bound, inputs), among);
}

TEST(Full_Experts, GivesTheSameWhenReadInGroups) {
  // 36 experts of 8 MiB and 4 MiB: three groups of gate and up rows, two of down rows.
  Random random(18);
  Case c{.width = 1024, .inner = 1024, .experts = 36, .per_token = 9, .tokens = 40, .limit = 10.0};
  const std::vector<float> values = random.floats(36 * 2048 * 1024, 0.03);
  Layer layer = make_layer(random, {.width = 1024, .inner = 1024, .experts = 36, .per_token = 9, .stack = Kind::kI8});
  WeightInputs inputs;
  inputs.add(layer.gate.nodes);
  inputs.add({constant(ov::element::f32, {36, 2048, 1024}, values)}, MatrixForm::kStack);
  inputs.add({constant(ov::element::f32, {36, 1024, 1024}, values)}, MatrixForm::kStack);
  for (const Weight* w : {&layer.w1, &layer.w3, &layer.w2}) inputs.add(w->nodes);
  layer.inputs = inputs;
  const ov::TensorVector tokens = make_tokens(random, c).tensors(c);
  const auto at_once = evaluate(*experts_op(c, layer), tokens);
  c.prefetch = true;
  EXPECT_EQ(evaluate(*experts_op(c, layer), tokens), at_once);
}

TEST(Experts, RefusesBadIdsAndBadTables) {
  Random random(14);
  const Case c{.per_token = 2, .tokens = 2, .vocabulary = 3, .hashed = true};
  Layer layer = make_layer(random, c);
  Tokens tokens = make_tokens(random, c);
  for (const int32_t bad : {-1, 3, 1 << 30}) {
    tokens.ids = {0, bad};
    EXPECT_THROW(evaluate(*experts_op(c, layer), tokens.tensors(c)), ov::Exception) << bad;
  }
  tokens.ids = {0, 2};
  for (const int32_t bad : {-1, 8, 1 << 30}) {
    layer.table = {0, 1, 2, 3, 4, bad};
    select_by(layer, c);
    EXPECT_THROW(evaluate(*experts_op(c, layer), tokens.tensors(c)), ov::Exception) << bad;
  }
}

TEST(Experts, StaysInBoundsWhenScoresAreNotNumbers) {
  Random random(15);
  const Case c{.tokens = 2};
  const Layer layer = make_layer(random, c);
  Tokens tokens = make_tokens(random, c);
  tokens.x[0] = std::numeric_limits<float>::quiet_NaN();
  tokens.x[static_cast<size_t>(c.width)] = std::numeric_limits<float>::infinity();
  EXPECT_NO_THROW(evaluate(*experts_op(c, layer), tokens.tensors(c)));
}

TEST(Experts, RefusesOtherShapesAndAttributes) {
  Random random(16);
  const Case c;
  const Layer layer = make_layer(random, c);
  const auto make = [&](const Case& other, const WeightInputs& weights, const ov::Output<ov::Node>& selection) {
    return std::make_shared<Experts>(
        parameter(ov::element::f32, {-1, other.width}), parameter(ov::element::i32, {-1}), selection, weights,
        ExpertsAttributes{.hash_routed = other.hashed, .experts_per_token = other.per_token, .swiglu_limit = other.limit});
  };
  EXPECT_NO_THROW(make(c, layer.inputs, layer.selection));
  EXPECT_THROW(make({.width = 63}, layer.inputs, layer.selection), ov::Exception);
  EXPECT_THROW(make({.per_token = 0}, layer.inputs, layer.selection), ov::Exception);
  EXPECT_THROW(make({.per_token = 9}, layer.inputs, layer.selection), ov::Exception);
  EXPECT_THROW(make({.limit = -1.0}, layer.inputs, layer.selection), ov::Exception);
  EXPECT_THROW(make({.hashed = true}, layer.inputs, layer.selection), ov::Exception);
  EXPECT_THROW(make(c, layer.inputs, random.exact(7, 0.0, 1.0).nodes[0]), ov::Exception);
  for (const Case& other : {Case{.width = 32}, Case{.inner = 16}, Case{.experts = 7}}) {
    const Layer foreign = make_layer(random, other);
    WeightInputs mixed;
    mixed.add(layer.gate.nodes);
    mixed.add(foreign.gate_up.nodes, MatrixForm::kStack);
    mixed.add(layer.down.nodes, MatrixForm::kStack);
    for (const Weight* w : {&layer.w1, &layer.w3, &layer.w2}) mixed.add(w->nodes);
    EXPECT_THROW(make(c, mixed, layer.selection), ov::Exception);
  }

  // Dims that are known only when the op runs.
  const auto op = std::make_shared<Experts>(parameter(ov::element::f32, ov::PartialShape::dynamic()), parameter(ov::element::i32, {-1}),
                                            layer.selection, layer.inputs, ExpertsAttributes{.experts_per_token = 3});
  const std::vector<int32_t> ids = {0, 0};
  EXPECT_NO_THROW(evaluate(*op, {ov::Tensor(ov::element::f32, {2, 64}), tensor(ov::element::i32, {2}, ids)}));
  EXPECT_THROW(evaluate(*op, {ov::Tensor(ov::element::f32, {2, 63}), tensor(ov::element::i32, {2}, ids)}), ov::Exception);
  EXPECT_THROW(evaluate(*op, {ov::Tensor(ov::element::f32, {3, 64}), tensor(ov::element::i32, {2}, ids)}), ov::Exception);
}

}  // namespace
}  // namespace dsv4::ops
