// The scheduler on the converted toy: every text is that of generate() alone, whatever else there is and whatever goes wrong beside it.
#include "dsv4/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "runtime/converted_model.h"
#include "runtime/failing_op.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Le;
using namespace testing_support;
using Tokens = std::vector<int64_t>;

/// With the roundings of a user who says nothing.
EngineOptions default_options() {
  EngineOptions options;
  options.program = Program::kCpu;
  options.threads = 2;
  return options;
}

class Scheduling : public testing::Test {
 protected:
  /// One conversion for all tests.
  static void SetUpTestSuite() {
    directory_ = std::make_unique<TemporaryDirectory>();
    folder_ = convert_golden("toy", directory_->path());
    engine_ = std::make_unique<Engine>(folder_, default_options());
  }
  static void TearDownTestSuite() {
    engine_.reset();
    directory_.reset();
  }

  /// Some tokens of the golden's, which repeat.
  static Tokens prompt(size_t begin, size_t length) {
    static const Tokens golden = dsv4_test::golden_tokens("toy");
    Tokens tokens;
    for (size_t i = 0; i < length; ++i) tokens.push_back(golden[(begin + i) % golden.size()]);
    return tokens;
  }
  static Request request(Tokens prompt, int64_t count, uint64_t seed = 0) {
    Request request;
    request.prompt = std::move(prompt);
    request.max_new_tokens = count;
    request.ignore_eos = true;
    if (seed > 0) request.sampler = {.temperature = 1.2, .top_p = 0.98, .seed = seed};
    return request;
  }
  static Tokens alone(const Request& request, const Engine& engine = *engine_) {
    Request quiet = request;
    quiet.on_token = {};
    quiet.ends_after = {};
    Session session(engine);
    return generate(session, quiet).tokens;
  }
  static Job job(Request request) {
    Job job;
    job.requests.push_back(std::move(request));
    return job;
  }
  static Tokens tokens_of(Scheduler& scheduler, uint64_t id) {
    const Outcome outcome = scheduler.wait(id);
    EXPECT_EQ(outcome.end, End::kFinished) << outcome.error;
    return outcome.generated.tokens;
  }
  /// An engine on the same folder whose inferences fail when they are told to.
  static Engine failing(const std::shared_ptr<std::atomic<Fault>>& fault) {
    Engine engine(folder_, last_position(Program::kCpu));
    const std::shared_ptr<ov::Model> graph = graph_of(engine, folder_);
    insert_after(places(*graph).at(5), fault);
    replace_graph(engine, graph);
    return engine;
  }

  static inline std::unique_ptr<TemporaryDirectory> directory_;
  static inline std::filesystem::path folder_;
  static inline std::unique_ptr<Engine> engine_;
};

int64_t resident_pages() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident;
}

TEST_F(Scheduling, TwoHundredRequestsGetTheTextsThatTheyGetAlone) {
  std::mt19937_64 random{20261201};
  const auto below = [&](uint64_t limit) { return static_cast<size_t>(random() % limit); };
  SchedulerOptions options;
  options.parallel = 5;
  Scheduler scheduler(*engine_, options);
  struct Expected {
    Request request;
    End end = End::kFinished;
    size_t after = 0;  // tokens, where it does not finish
  };
  std::map<uint64_t, Expected> expected;
  int64_t pages = 0;
  int refused = 0, cancelled = 0, failed = 0;
  std::map<uint64_t, Outcome> outcomes;
  for (int i = 0; i < 200; ++i) {
    Expected one;
    one.request =
        request(prompt(below(150), 1 + below(i % 20 == 0 ? 300 : 90)), static_cast<int64_t>(below(14)), below(2) * (1 + below(1000)));
    if (below(15) == 0) {
      one.request.prompt[below(one.request.prompt.size())] = 512;
      EXPECT_THROW(scheduler.submit(job(one.request)), Error);
      ++refused;
      continue;
    }
    const auto id = std::make_shared<uint64_t>(0);
    const auto seen = std::make_shared<size_t>(0);
    Request submitted = one.request;
    if (one.request.max_new_tokens > 3 && below(4) == 0) {
      one.after = 1 + below(3);
      one.end = below(2) == 0 ? End::kCancelled : End::kFailed;
      submitted.on_token = [&scheduler, id, seen, one](int64_t) {
        if (++*seen != one.after) return;
        if (one.end == End::kFailed) throw std::runtime_error("the reader is gone");
        scheduler.cancel(*id);
      };
    }
    Job submission = job(std::move(submitted));
    submission.priority = static_cast<int>(below(3));
    submission.on_end = [&outcomes](uint64_t of, Outcome outcome) { outcomes.emplace(of, std::move(outcome)); };
    *id = scheduler.submit(std::move(submission)).front();
    expected.emplace(*id, one);
    for (size_t steps = below(6); steps > 0; --steps) scheduler.step();
    if (i == 60) pages = resident_pages();
  }
  scheduler.run_until_idle();
#ifdef __SANITIZE_ADDRESS__
  constexpr int64_t kMost = 400 << 20;  // AddressSanitizer keeps what was freed for a while, 256 MB of it
#else
  constexpr int64_t kMost = 30 << 20;
#endif
  EXPECT_LT(resident_pages() - pages, kMost >> 12) << "memory grows";
  ASSERT_EQ(outcomes.size(), expected.size());
  for (const auto& [id, one] : expected) {
    const Outcome& outcome = outcomes.at(id);
    EXPECT_EQ(outcome.end, one.end) << outcome.error;
    Tokens tokens = alone(one.request);
    if (one.end != End::kFinished) tokens.resize(one.after);
    EXPECT_EQ(outcome.generated.tokens, tokens);
    cancelled += one.end == End::kCancelled;
    failed += one.end == End::kFailed;
    if (one.end == End::kFailed) {
      EXPECT_THAT(outcome.error, HasSubstr("the reader is gone"));
    }
  }
  EXPECT_GT(refused, 3);
  EXPECT_GT(cancelled, 3);
  EXPECT_GT(failed, 3);
  EXPECT_EQ(scheduler.counts().unfinished, 0);
  EXPECT_EQ(scheduler.counts().running, 0);
}

TEST_F(Scheduling, FeedsThePromptOfSeveralTextsOnce) {
  int64_t fed = 0;
  SchedulerOptions options;
  options.parallel = 3;
  options.on_step = [&](const StepReport& step) { fed += step.prompt_tokens; };
  Scheduler scheduler(*engine_, options);
  Job five;
  for (uint64_t seed = 1; seed <= 5; ++seed) five.requests.push_back(request(seed == 1 ? prompt(0, 70) : Tokens(), 9, seed));
  const std::vector<uint64_t> ids = scheduler.submit(std::move(five));
  ASSERT_EQ(ids.size(), 5u);
  scheduler.run_until_idle();
  EXPECT_EQ(fed, 70);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(tokens_of(scheduler, ids[i]), alone(request(prompt(0, 70), 9, i + 1)));
}

TEST_F(Scheduling, CutsPromptsAtPlacesThatLoadDoesNotMove) {
  std::vector<StepReport> steps;
  double time = 0.0;
  SchedulerOptions options;
  options.clock = [&] { return time; };
  options.on_step = [&](const StepReport& step) {
    steps.push_back(step);
    time += 1.0 + 0.4 * static_cast<double>(step.prompt_tokens);
  };
  Scheduler scheduler(*engine_, options);
  scheduler.submit(job(request(prompt(0, 5), 40)));
  scheduler.step();
  Session session(*engine_);
  session.feed(prompt(0, 7));
  Job late = job(request(prompt(7, 150), 1));
  late.session = std::move(session);
  scheduler.submit(std::move(late));
  scheduler.run_until_idle();
  int64_t position = 7;
  for (const StepReport& step : steps) {
    if (step.decoded == 0 || step.prompt_tokens == 0) continue;
    position += step.prompt_tokens;
    EXPECT_TRUE(position % 32 == 0 || position == 157) << position;
  }
  EXPECT_EQ(position, 157);
}

/// The longest time between two tokens of a text, in its own steps, while prompts arrive.
struct Gap {
  double longest = 0.0;
  int64_t steps = 0;        // until the prompts were fed
  int64_t most_tokens = 0;  // of prompts in a step
};

Gap longest_gap(const Engine& engine, double prompt_token_seconds, const std::vector<Tokens>& prompts, const Tokens& text) {
  double time = 0.0, last = 0.0;
  Gap gap;
  SchedulerOptions options;
  options.clock = [&] { return time; };
  options.on_step = [&](const StepReport& step) {
    time += 1.0 + prompt_token_seconds * static_cast<double>(step.prompt_tokens);
    gap.most_tokens = std::max(gap.most_tokens, step.prompt_tokens);
    ++gap.steps;
  };
  Scheduler scheduler(engine, options);
  Request decoding;
  decoding.prompt = text;
  decoding.max_new_tokens = 400;
  decoding.ignore_eos = true;
  decoding.on_token = [&](int64_t) {
    if (last > 0.0) gap.longest = std::max(gap.longest, time - last);
    last = time;
  };
  Job first;
  first.requests.push_back(decoding);
  const uint64_t id = scheduler.submit(std::move(first)).front();
  scheduler.step();
  gap = {};
  size_t fed = 0;
  for (const Tokens& prompt : prompts) {
    Job job;
    job.requests.emplace_back();
    job.requests.front().prompt = prompt;
    job.requests.front().max_new_tokens = 1;
    job.on_end = [&](uint64_t, const Outcome&) { ++fed; };
    scheduler.submit(std::move(job));
  }
  while (fed < prompts.size() && scheduler.step()) {
  }
  EXPECT_EQ(fed, prompts.size()) << "a prompt starves";
  scheduler.cancel(id);
  scheduler.run_until_idle();
  return gap;
}

TEST_F(Scheduling, ATextWaitsNoLongerThanTwelveOfItsStepsForPrompts) {
  const std::vector<Tokens> prompts = {prompt(0, 900), prompt(3, 700), prompt(5, 20), prompt(9, 800)};
  const Gap gap = longest_gap(*engine_, 0.05, prompts, prompt(0, 4));
  EXPECT_LE(gap.longest, 12.0);
  EXPECT_THAT(gap.most_tokens, AllOf(Ge(192), Le(200))) << "ten steps' worth, in whole pieces";
  EXPECT_LT(gap.steps, 25) << "2,420 tokens, up to 200 a step";
}

TEST(Full_Scheduling, ATextWaitsNoLongerForPromptsOf8192Tokens) {
  TemporaryDirectory directory;
  const Engine engine(convert_golden("mini", directory.path()), default_options());
  std::vector<Tokens> prompts(2);
  for (size_t i = 0; i < prompts.size(); ++i) {
    for (int64_t token = 0; token < 8192; ++token) prompts[i].push_back((7 + 131 * token + static_cast<int64_t>(i)) % engine.vocab_size());
  }
  const Gap gap = longest_gap(engine, 0.05, prompts, {5, 6, 7});
  EXPECT_LE(gap.longest, 12.0);
  EXPECT_THAT(gap.most_tokens, AllOf(Ge(192), Le(200)));
}

TEST_F(Scheduling, ATextWaitsNoLongerThanForAPieceWhereThatTakesMore) {
  const Gap gap = longest_gap(*engine_, 1.0, {prompt(0, 300), prompt(2, 150)}, prompt(0, 4));
  EXPECT_EQ(gap.longest, 33.0);
  EXPECT_EQ(gap.most_tokens, 32);
}

TEST_F(Scheduling, AShortPromptDoesNotWaitForALongOne) {
  std::vector<int64_t> order;
  Scheduler scheduler(*engine_);
  int64_t name = 0;
  for (const size_t length : {1500, 600, 20}) {
    Job one = job(request(prompt(0, length), 1));
    one.on_end = [&order, name](uint64_t, const Outcome&) { order.push_back(name); };
    ++name;
    scheduler.submit(std::move(one));
  }
  scheduler.run_until_idle();
  EXPECT_THAT(order, ElementsAre(2, 1, 0));
}

TEST_F(Scheduling, PrioritiesGoBeforeAndNobodyStarves) {
  SchedulerOptions options;
  options.parallel = 1;
  Scheduler scheduler(*engine_, options);
  int64_t before = 0;
  bool low_ended = false;
  std::function<void()> submit_high = [&] {
    Job high = job(request(prompt(0, 4), 3));
    high.priority = 2;
    high.on_end = [&](uint64_t, const Outcome&) {
      if (low_ended) return;
      ++before;
      submit_high();
    };
    scheduler.submit(std::move(high));
  };
  Job low = job(request(prompt(0, 4), 3));
  low.on_end = [&](uint64_t, const Outcome&) { low_ended = true; };
  scheduler.submit(std::move(low));
  submit_high();
  scheduler.run_until_idle();
  EXPECT_TRUE(low_ended);
  EXPECT_GT(before, 30) << "the other ones go before";
}

TEST_F(Scheduling, AnInferenceThatFailsOnceCostsNobodyHisText) {
  const auto fault = std::make_shared<std::atomic<Fault>>(Fault::kNone);
  const Engine engine = failing(fault);
  Scheduler scheduler(engine);
  std::vector<Request> requests = {request(prompt(0, 40), 12), request(prompt(9, 7), 12, 5), request(prompt(20, 200), 6, 6)};
  std::vector<uint64_t> ids;
  for (const Request& one : requests) ids.push_back(scheduler.submit(job(one)).front());
  Session before(engine);
  before.feed(prompt(0, 45));
  Job late = job(request(prompt(45, 5), 9));
  late.session = before.fork();
  ids.push_back(scheduler.submit(std::move(late)).front());
  requests.push_back(request(prompt(0, 50), 9));
  for (int step = 0; step < 30; ++step) {
    if (step % 4 == 1) *fault = Fault::kOnce;
    scheduler.step();
  }
  *fault = Fault::kNone;
  scheduler.run_until_idle();
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(tokens_of(scheduler, ids[i]), alone(requests[i], engine)) << i;
}

TEST_F(Scheduling, InferencesThatAlwaysFailEndTheirRequestsAndNoOthers) {
  const auto fault = std::make_shared<std::atomic<Fault>>(Fault::kNone);
  const Engine engine = failing(fault);
  Scheduler scheduler(engine);
  std::vector<uint64_t> ids;
  for (size_t i = 0; i < 3; ++i) ids.push_back(scheduler.submit(job(request(prompt(i, 8 + 60 * i), 12))).front());
  scheduler.step();
  *fault = Fault::kError;
  scheduler.run_until_idle();
  for (const uint64_t id : ids) {
    const Outcome outcome = scheduler.wait(id);
    EXPECT_EQ(outcome.end, End::kFailed);
    EXPECT_THAT(outcome.error, AllOf(HasSubstr("FailingOp"), HasSubstr(folder_.filename().string())));
    EXPECT_FALSE(outcome.session);
  }
  *fault = Fault::kNone;
  const uint64_t id = scheduler.submit(job(request(prompt(0, 8), 5))).front();
  scheduler.run_until_idle();
  EXPECT_EQ(tokens_of(scheduler, id), alone(request(prompt(0, 8), 5), engine));
}

TEST_F(Scheduling, AChoiceThatIsImpossibleEndsItsTextAlone) {
  Scheduler scheduler(*engine_);
  const std::vector<uint32_t> none(512 / 32, 0);
  Job two;
  two.requests = {request(prompt(0, 12), 6, 1), request({}, 6, 2)};
  two.requests[0].allowed = [&](std::span<const int64_t> tokens) { return tokens.size() < 2 ? AllowedIds() : AllowedIds(none); };
  const std::vector<uint64_t> ids = scheduler.submit(std::move(two));
  scheduler.run_until_idle();
  const Outcome outcome = scheduler.wait(ids[0]);
  EXPECT_EQ(outcome.end, End::kFailed);
  EXPECT_EQ(outcome.generated.tokens.size(), 2u);
  EXPECT_THAT(outcome.error, HasSubstr("no token can be chosen"));
  EXPECT_EQ(tokens_of(scheduler, ids[1]), alone(request(prompt(0, 12), 6, 2)));
}

/// Bytes that a request of so many tokens is refused with one byte less of.
int64_t needed(const Engine& engine, size_t prompt, int64_t count, const Tokens& tokens) {
  int64_t low = 1, high = int64_t{1} << 40;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    SchedulerOptions options;
    options.cache_bytes = middle;
    Scheduler scheduler(engine, options);
    Job job;
    job.requests.emplace_back();
    job.requests.front().prompt.assign(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(prompt));
    job.requests.front().max_new_tokens = count;
    try {
      scheduler.submit(std::move(job));
      high = middle;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr("of cache"), HasSubstr("fewer tokens")));
      low = middle + 1;
    }
  }
  return low;
}

TEST_F(Scheduling, CachesStayWithinTheirMemory) {
  SchedulerOptions options;
  options.cache_bytes = 2 * needed(*engine_, 20, 8, prompt(0, 20));
  int64_t most = 0;
  options.on_step = [&](const StepReport& step) { most = std::max(most, step.decoded); };
  Scheduler scheduler(*engine_, options);
  std::vector<uint64_t> ids;
  std::vector<Request> requests;
  for (uint64_t i = 0; i < 4; ++i) {
    Job two;  // which needs all of it
    two.requests = {request(prompt(i, 20), 8, 3 * i + 1), request({}, 8, 3 * i + 2), request({}, 8, 3 * i + 3)};
    for (uint64_t seed = 3 * i + 1; seed <= 3 * i + 3; ++seed) requests.push_back(request(prompt(i, 20), 8, seed));
    for (const uint64_t id : scheduler.submit(std::move(two))) ids.push_back(id);
    requests.push_back(request(prompt(i, 15), 5));
    ids.push_back(scheduler.submit(job(requests.back())).front());
  }
  scheduler.run_until_idle();
  EXPECT_EQ(most, 2);
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(tokens_of(scheduler, ids[i]), alone(requests[i])) << i;
  // And it is given back.
  scheduler.submit(job(request(prompt(0, 20), 8)));
  scheduler.submit(job(request(prompt(0, 20), 8)));
  most = 0;
  scheduler.run_until_idle();
  EXPECT_EQ(most, 2);
}

TEST_F(Scheduling, APausedTextGivesItsPlaceAwayAndGoesOnLater) {
  SchedulerOptions options;
  options.parallel = 1;
  Scheduler scheduler(*engine_, options);
  Tokens slow;
  Request first = request(prompt(0, 9), 10, 3);
  first.on_token = [&](int64_t token) { slow.push_back(token); };
  const uint64_t id = scheduler.submit(job(first)).front();
  while (slow.size() < 4) scheduler.step();
  scheduler.pause(id);
  const uint64_t other = scheduler.submit(job(request(prompt(5, 9), 6))).front();
  scheduler.run_until_idle();
  EXPECT_EQ(slow.size(), 4u);
  EXPECT_EQ(tokens_of(scheduler, other), alone(request(prompt(5, 9), 6)));
  EXPECT_EQ(scheduler.counts().unfinished, 1);
  scheduler.resume(id);
  scheduler.run_until_idle();
  EXPECT_EQ(tokens_of(scheduler, id), alone(first));
}

TEST_F(Scheduling, GoesOnFromASessionAndHandsItBack) {
  Session stored(*engine_);
  stored.feed(prompt(0, 50));
  Scheduler scheduler(*engine_);
  Job from = job(request(prompt(50, 9), 5));
  from.session = stored.fork();
  from.keep_session = true;
  const uint64_t id = scheduler.submit(std::move(from)).front();
  scheduler.run_until_idle();
  Outcome outcome = scheduler.wait(id);
  EXPECT_EQ(outcome.cached_tokens, 50);
  EXPECT_EQ(outcome.prompt_tokens, 9);
  const Tokens all = alone(request(prompt(0, 59), 9));
  EXPECT_EQ(outcome.generated.tokens, Tokens(all.begin(), all.begin() + 5));
  ASSERT_TRUE(outcome.session);
  EXPECT_EQ(outcome.session->position(), 63) << "the last token is chosen, not fed";
  EXPECT_EQ(generate(*outcome.session, request({all[4]}, 4)).tokens, Tokens(all.begin() + 5, all.end()));
  EXPECT_EQ(stored.position(), 50);
}

TEST_F(Scheduling, ACancelledPromptHandsBackWhatWasFed) {
  Scheduler scheduler(*engine_);
  Job one = job(request(prompt(0, 1200), 5));
  one.keep_session = true;
  const uint64_t id = scheduler.submit(std::move(one)).front();
  scheduler.step();
  scheduler.cancel(id);
  scheduler.run_until_idle();
  const Outcome outcome = scheduler.wait(id);
  EXPECT_EQ(outcome.end, End::kCancelled);
  EXPECT_THAT(outcome.generated.tokens, IsEmpty());
  ASSERT_TRUE(outcome.session);
  EXPECT_EQ(outcome.session->position(), 512) << "one step, where nobody waits for a token";
  scheduler.cancel(id);  // has ended: nothing happens
  EXPECT_FALSE(scheduler.step());
}

TEST_F(Scheduling, RefusesWhatCannotBeDoneByName) {
  Scheduler scheduler(*engine_);
  const auto refusal = [&](Job job) -> std::string {
    try {
      scheduler.submit(std::move(job));
    } catch (const Error& error) {
      return error.what();
    }
    return "taken";
  };
  EXPECT_THAT(refusal({}), HasSubstr("without a request"));
  EXPECT_THAT(refusal(job(request({}, 1))), HasSubstr("no tokens"));
  EXPECT_THAT(refusal(job(request({5, -1}, 1))), HasSubstr("token 1 is -1"));
  EXPECT_THAT(refusal(job(request({5, 512}, 1))), HasSubstr("0 to 511"));
  EXPECT_THAT(refusal(job(request({5}, -1))), HasSubstr("new tokens -1"));
  EXPECT_THAT(refusal(job(request(prompt(0, static_cast<size_t>(engine_->context()) + 1), 1))), HasSubstr("room for"));
  Request hot = request({5}, 1);
  hot.sampler.temperature = -1.0;
  EXPECT_THAT(refusal(job(hot)), HasSubstr("temperature"));
  Job two;
  two.requests = {request({5}, 1), request({6}, 1)};
  EXPECT_THAT(refusal(std::move(two)), HasSubstr("one prompt"));
  Job foreign = job(request({5}, 1));
  foreign.session.emplace(Engine(folder_, default_options()));
  EXPECT_THAT(refusal(std::move(foreign)), HasSubstr("another engine"));
  EXPECT_THROW(scheduler.wait(1), Error);
  EXPECT_FALSE(scheduler.step());
  SchedulerOptions none;
  none.parallel = 0;
  EXPECT_THROW(Scheduler(*engine_, none), Error);
}

TEST_F(Scheduling, WhatOnEndThrowsPassesThroughAndTheOthersGoOn) {
  Scheduler scheduler(*engine_);
  Job one = job(request(prompt(0, 4), 2));
  one.on_end = [](uint64_t, const Outcome&) { fail("the disk is full"); };
  scheduler.submit(std::move(one));
  const uint64_t id = scheduler.submit(job(request(prompt(0, 4), 6))).front();
  EXPECT_THROW(scheduler.run_until_idle(), Error);
  scheduler.run_until_idle();
  EXPECT_EQ(tokens_of(scheduler, id), alone(request(prompt(0, 4), 6)));
}

TEST_F(Scheduling, ServesThreads) {
  Scheduler scheduler(*engine_);
  std::jthread serving([&](const std::stop_token& stop) { scheduler.run(stop); });
  std::vector<std::jthread> clients;
  std::vector<std::vector<Tokens>> texts(4);
  for (size_t client = 0; client < texts.size(); ++client) {
    clients.emplace_back([&, client] {
      for (size_t i = 0; i < 4; ++i) {
        const uint64_t dropped = scheduler.submit(job(request(prompt(i, 30), 200))).front();
        const uint64_t id = scheduler.submit(job(request(prompt(client, 10 + i), 6, client + 1))).front();
        scheduler.cancel(dropped);
        texts[client].push_back(scheduler.wait(id).generated.tokens);
        EXPECT_NE(scheduler.wait(dropped).end, End::kFailed);
      }
    });
  }
  clients.clear();
  serving.request_stop();
  serving.join();
  for (size_t client = 0; client < texts.size(); ++client) {
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(texts[client][i], alone(request(prompt(client, 10 + i), 6, client + 1)));
  }
}

TEST_F(Scheduling, Full_ThePortableProgramsTextsAreTheirsToo) {
  for (const bool stateful : {true, false}) {
    const Engine engine(stateful ? folder_ : convert_golden("toy", directory_->path(), false), last_position());
    Scheduler scheduler(engine);
    std::vector<Request> requests = {request(prompt(0, 40), 5), request(prompt(3, stateful ? 600 : 60), 3, 4)};
    std::vector<uint64_t> ids;
    for (const Request& one : requests) ids.push_back(scheduler.submit(job(one)).front());
    scheduler.run_until_idle();
    for (size_t i = 0; i < 2; ++i) EXPECT_EQ(tokens_of(scheduler, ids[i]), alone(requests[i], engine));
  }
}

}  // namespace
}  // namespace dsv4
