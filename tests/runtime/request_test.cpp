// Requests answered on the converted toy.
#include "dsv4/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/converted_model.h"
#include "runtime/plain_sampler.h"

namespace dsv4 {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using namespace testing_support;
using Tokens = std::vector<int64_t>;

class Generate : public testing::Test {
 protected:
  Generate() : engine_(convert_golden("toy", directory_.path()), last_position()), session_(engine_) {}

  static Request greedy(std::span<const int64_t> prompt, int64_t count) {
    Request request;
    request.prompt.assign(prompt.begin(), prompt.end());
    request.max_new_tokens = count;
    request.ignore_eos = true;
    return request;
  }
  /// The first tokens of the prompt.
  Request greedy(size_t prompt, int64_t count) const { return greedy(std::span(prompt_).first(prompt), count); }

  TemporaryDirectory directory_;
  Engine engine_;
  Session session_;
  const Tokens prompt_ = dsv4_test::golden_tokens("toy");
};

TEST_F(Generate, ContinuesAsTheGoldensDo) {
  const dsv4_test::GoldenData golden = toy_golden();
  EXPECT_EQ(generate(session_, greedy(3, 32)).tokens, golden.i64("greedy_after_3_tokens"));
  session_.reset();
  EXPECT_EQ(generate(session_, greedy(prompt_, 32)).tokens, golden.i64("greedy_after_all_tokens"));
}

TEST_F(Generate, CountsAndReportsWhatItDid) {
  Tokens seen;
  Request request = greedy(20, 6);
  request.on_token = [&](int64_t token) { seen.push_back(token); };
  const Generated out = generate(session_, request);
  EXPECT_EQ(out.tokens.size(), 6u);
  EXPECT_EQ(seen, out.tokens);
  EXPECT_EQ(out.decoded, 5) << "the last token is chosen, not fed";
  EXPECT_EQ(session_.position(), 25);
  EXPECT_FALSE(out.stopped_at_eos);
  EXPECT_EQ(out.prompt_logits.size(), 512u);
  EXPECT_EQ(out.tokens.front(), argmax(out.prompt_logits));
}

TEST_F(Generate, StopsAtTheFirstEosToken) {
  const Tokens whole = generate(session_, greedy(3, 12)).tokens;
  const auto first = std::find(whole.begin(), whole.end(), whole[4]);
  const Tokens expected(whole.begin(), first + 1);

  change_json(directory_.path() / "toy/generation_config.json", {{"eos_token_id", std::vector<int64_t>{500, whole[4]}}});
  Session session{Engine(directory_.path() / "toy", last_position())};
  Request request = greedy(3, 12);
  request.ignore_eos = false;
  const Generated stopped = generate(session, request);
  EXPECT_EQ(stopped.tokens, expected) << "the EOS token is the last one";
  EXPECT_TRUE(stopped.stopped_at_eos);
  EXPECT_EQ(stopped.decoded, static_cast<int64_t>(expected.size()) - 1);

  request.ignore_eos = true;
  session.reset();
  const Generated all = generate(session, request);
  EXPECT_EQ(all.tokens, whole);
  EXPECT_FALSE(all.stopped_at_eos);
}

TEST_F(Generate, CanJustFeedThePrompt) {
  Request request = greedy(7, 0);
  request.on_token = [](int64_t) { ADD_FAILURE() << "no token was asked for"; };
  const Generated out = generate(session_, request);
  EXPECT_THAT(out.tokens, IsEmpty());
  EXPECT_EQ(out.decoded, 0);
  EXPECT_EQ(out.prompt_logits.size(), 512u);
  EXPECT_EQ(session_.position(), 7);
}

TEST_F(Generate, GoesOnFromTheSession) {
  const Tokens once = generate(session_, greedy(30, 10)).tokens;
  session_.reset();
  session_.feed(std::span(prompt_).first(18));
  Tokens twice = generate(session_, greedy(std::span(prompt_).subspan(18, 12), 4)).tokens;
  const Tokens rest = generate(session_, greedy(Tokens{twice.back()}, 6)).tokens;
  twice.insert(twice.end(), rest.begin(), rest.end());
  EXPECT_EQ(twice, once);
}

TEST_F(Generate, SamplesTheSameForASeed) {
  Request request = greedy(5, 16);
  request.sampler = {.temperature = 1.5, .top_p = 0.95, .seed = 12};
  const auto sample = [&] {
    session_.reset();
    return generate(session_, request).tokens;
  };
  const Tokens first = sample();
  EXPECT_EQ(sample(), first);
  request.sampler.seed = 13;
  EXPECT_NE(sample(), first);
  request.sampler.temperature = 0.0;
  EXPECT_NE(sample(), first);
}

TEST_F(Generate, SamplesTheSameInOneRequestAndInSeveral) {
  Request request = greedy(5, 10);
  request.sampler = {.temperature = 1.5, .seed = 12};
  const Tokens whole = generate(session_, request).tokens;
  session_.reset();
  request.max_new_tokens = 4;
  Tokens parts = generate(session_, request).tokens;
  request.prompt = {parts.back()};
  request.max_new_tokens = 6;
  for (const int64_t token : generate(session_, request).tokens) parts.push_back(token);
  EXPECT_EQ(parts, whole) << "noise belongs to positions of the sequence";
}

TEST_F(Generate, StopsAtStopTokensAndWhereItIsTold) {
  const Tokens whole = generate(session_, greedy(3, 12)).tokens;
  const auto first = std::find(whole.begin(), whole.end(), whole[4]);
  const Tokens expected(whole.begin(), first + 1);
  Request request = greedy(3, 12);
  request.stop_tokens = {500, whole[4]};
  session_.reset();
  Generated out = generate(session_, request);
  EXPECT_EQ(out.tokens, expected);
  EXPECT_TRUE(out.stopped);
  EXPECT_FALSE(out.stopped_at_eos);

  request.stop_tokens.clear();
  int64_t asked = 0;
  request.ends_after = [&](int64_t token) { return token == whole[static_cast<size_t>(asked)] && ++asked == 3; };
  session_.reset();
  out = generate(session_, request);
  EXPECT_EQ(out.tokens, Tokens(whole.begin(), whole.begin() + 3));
  EXPECT_TRUE(out.stopped);
}

TEST_F(Generate, ChoosesAmongAllowedIdsOnly) {
  std::vector<uint32_t> words(512 / 32, 0);
  std::vector<size_t> lengths;
  Request request = greedy(3, 4);
  request.sampler = {.temperature = 1.0};
  request.allowed = [&](std::span<const int64_t> tokens) {
    lengths.push_back(tokens.size());
    words.assign(words.size(), 0);
    words[3] = 1u << tokens.size();
    return AllowedIds(words);
  };
  EXPECT_EQ(generate(session_, request).tokens, (Tokens{96, 97, 98, 99}));
  EXPECT_EQ(lengths, (std::vector<size_t>{0, 1, 2, 3}));
}

TEST_F(Generate, PenalisesThePromptAndItsOwnTokens) {
  Request request = greedy(3, 8);
  request.sampler = {.repetition_penalty = 1.2, .presence_penalty = 0.4, .frequency_penalty = 0.3};
  const Generated out = generate(session_, request);
  Tokens expected;
  Session session(engine_);
  std::vector<float> logits = session.feed(request.prompt);
  while (expected.size() < 8) {
    expected.push_back(testing_support::plain_sample(request.sampler, logits, 0, request.prompt, expected));
    logits = session.feed(std::span(expected).last(1));
  }
  EXPECT_EQ(out.tokens, expected);
}

TEST_F(Generate, GivesLogProbabilitiesOfEachToken) {
  Request request = greedy(3, 5);
  EXPECT_THAT(generate(session_, request).logprobs, IsEmpty());
  request.logprobs = 2;
  session_.reset();
  const Generated out = generate(session_, request);
  ASSERT_EQ(out.logprobs.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(out.logprobs[i].chosen.token, out.tokens[i]);
    ASSERT_EQ(out.logprobs[i].top.size(), 2u);
    EXPECT_EQ(out.logprobs[i].top[0].token, out.tokens[i]) << "greedy";
    EXPECT_LT(out.logprobs[i].top[1].logprob, out.logprobs[i].chosen.logprob);
  }
  EXPECT_EQ(out.logprobs[0].chosen.logprob, logprobs(out.prompt_logits, out.tokens[0], 0).chosen.logprob);
}

TEST_F(Generate, RefusesWrongOptionsBeforeItFeeds) {
  EXPECT_THAT(error_of([&] { generate(session_, greedy(prompt_, -1)); }), HasSubstr("-1"));
  Request request = greedy(prompt_, 4);
  request.sampler.top_p = 0.0;
  EXPECT_THAT(error_of([&] { generate(session_, request); }), HasSubstr("top-p"));
  request = greedy(prompt_, 4);
  request.sampler.logit_bias = {{512, 1.0}};
  EXPECT_THAT(error_of([&] { generate(session_, request); }), HasSubstr("logit bias of token 512"));
  request = greedy(prompt_, 4);
  request.logprobs = 21;
  EXPECT_THAT(error_of([&] { generate(session_, request); }), HasSubstr("21"));
  EXPECT_THAT(error_of([&] { generate(session_, greedy(Tokens{}, 4)); }), HasSubstr("no tokens"));
  EXPECT_EQ(session_.position(), 0);
}

TEST_F(Generate, EndsAtTheLastPosition) {
  const std::filesystem::path folder = directory_.path() / "toy";
  const Tokens whole = generate(session_, greedy(10, 9)).tokens;
  const Tokens expected(whole.begin(), whole.begin() + 3);  // the third needs no position
  const auto check = [&](const Engine& engine) {
    Session session(engine);
    Generated out = generate(session, greedy(10, 3));
    EXPECT_EQ(out.tokens, expected);
    EXPECT_FALSE(out.context_full);
    EXPECT_EQ(session.room(), 0);
    session.reset();
    EXPECT_EQ(session.room(), 12);
    out = generate(session, greedy(10, 9));
    EXPECT_EQ(out.tokens, expected);
    EXPECT_TRUE(out.context_full);
    EXPECT_FALSE(out.stopped_at_eos);
    EXPECT_EQ(session.position(), 12);
    EXPECT_THAT(error_of([&] { generate(session, greedy(Tokens{1}, 1)); }), HasSubstr("13 tokens"));
    session.reset();
    EXPECT_THAT(error_of([&] { generate(session, greedy(13, 1)); }), HasSubstr("13 tokens"));
  };
  for (const Program program : {Program::kPortable, Program::kCpu}) {
    EngineOptions options = last_position(program);
    options.context = 12;
    check(Engine(folder, options));
  }
  set_in_config(folder, "max_position_embeddings", 12);
  check(Engine(folder, last_position()));
}

TEST_F(Generate, EndsAfterATokenWhereTheLengthIsFixed) {
  ConvertOptions options;
  options.checkpoint = dsv4_test::golden_checkpoint("toy");
  options.output = directory_.path() / "fixed";
  options.stateful = false;
  options.static_shape = StaticShape{1, 20};
  convert(options);
  Session session{Engine(options.output, last_position())};
  const Generated out = generate(session, greedy(20, 5));
  EXPECT_EQ(out.tokens.size(), 1u);
  EXPECT_TRUE(out.context_full);
}

}  // namespace
}  // namespace dsv4
