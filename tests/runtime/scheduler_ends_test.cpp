// Ends of requests in a scheduler: all that generate() says of a text is said of it there, and one that fails alone fails alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dsv4/scheduler.h"
#include "runtime/converted_model.h"
#include "runtime/failing_op.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using namespace testing_support;
using Tokens = std::vector<int64_t>;

class SchedulerEnds : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<TemporaryDirectory>();
    folder_ = convert_golden("toy", directory_->path());
  }
  static void TearDownTestSuite() { directory_.reset(); }

  /// The first tokens of the golden's.
  static Request request(size_t prompt, int64_t count) {
    Request request;
    request.prompt = dsv4_test::golden_tokens("toy");
    request.prompt.resize(prompt);
    request.max_new_tokens = count;
    request.ignore_eos = true;
    return request;
  }
  static Generated alone(const Engine& engine, const Request& request) {
    Session session(engine);
    return generate(session, request);
  }
  static std::vector<Outcome> side_by_side(const Engine& engine, const std::vector<Request>& requests) {
    Scheduler scheduler(engine);
    std::vector<uint64_t> ids;
    for (const Request& one : requests) {
      Job job;
      job.requests.push_back(one);
      ids.push_back(scheduler.submit(std::move(job)).front());
    }
    scheduler.run_until_idle();
    std::vector<Outcome> outcomes;
    for (const uint64_t id : ids) outcomes.push_back(scheduler.wait(id));
    return outcomes;
  }
  /// Of all that does not depend on time.
  static void expect_equal(const Generated& found, const Generated& expected) {
    EXPECT_EQ(found.tokens, expected.tokens);
    EXPECT_EQ(found.stopped_at_eos, expected.stopped_at_eos);
    EXPECT_EQ(found.stopped, expected.stopped);
    EXPECT_EQ(found.context_full, expected.context_full);
    EXPECT_EQ(found.decoded, expected.decoded);
    ASSERT_EQ(found.logprobs.size(), expected.logprobs.size());
    for (size_t i = 0; i < found.logprobs.size(); ++i) {
      EXPECT_EQ(found.logprobs[i].chosen.token, expected.logprobs[i].chosen.token);
      EXPECT_EQ(found.logprobs[i].chosen.logprob, expected.logprobs[i].chosen.logprob);
      EXPECT_EQ(found.logprobs[i].top.size(), expected.logprobs[i].top.size());
    }
  }
  static void expect_as_alone(const Engine& engine, const std::vector<Request>& requests) {
    const std::vector<Outcome> outcomes = side_by_side(engine, requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      SCOPED_TRACE("request " + std::to_string(i));
      EXPECT_EQ(outcomes[i].end, End::kFinished) << outcomes[i].error;
      expect_equal(outcomes[i].generated, alone(engine, requests[i]));
    }
  }

  static inline std::unique_ptr<TemporaryDirectory> directory_;
  static inline std::filesystem::path folder_;
};

TEST_F(SchedulerEnds, AreToldAsGenerateTellsThem) {
  EngineOptions options;
  options.threads = 2;
  options.context = 20;
  const Engine engine(folder_, options);
  const int64_t fourth = alone(engine, request(3, 12)).tokens[3];
  std::vector<Request> requests = {request(3, 12), request(3, 12), request(3, 0), request(3, 1),
                                   request(10, 5), request(18, 9), request(20, 2)};
  requests[0].stop_tokens = {fourth};
  requests[1].ends_after = [fourth](int64_t token) { return token == fourth; };
  requests[3].logprobs = 0;
  requests[4].logprobs = 3;
  requests[4].sampler = {.temperature = 0.9, .top_p = 0.9, .seed = 6, .repetition_penalty = 1.2, .frequency_penalty = 0.2};
  expect_as_alone(engine, requests);
  const std::vector<Outcome> outcomes = side_by_side(engine, requests);
  EXPECT_TRUE(outcomes[0].generated.stopped);
  EXPECT_TRUE(outcomes[5].generated.context_full) << "three tokens, of which the last needs no position";
  EXPECT_STREQ(finish_reason(outcomes[1].generated), "stop");
  EXPECT_STREQ(finish_reason(outcomes[6].generated), "length");
}

TEST_F(SchedulerEnds, OfThePrefillOnlyFormAreItsOwnToo) {
  const std::filesystem::path folder = convert_golden("toy", directory_->path(), false);
  expect_as_alone(Engine(folder, last_position()), {request(3, 3), request(20, 4)});
}

TEST_F(SchedulerEnds, ThatOneComesToAloneCostTheOthersNothing) {
  const auto fault = std::make_shared<std::atomic<Fault>>(Fault::kNone);
  const Engine engine(folder_, last_position(Program::kCpu));
  const std::shared_ptr<ov::Model> graph = graph_of(engine, folder_);
  insert_after(places(*graph).at(5), fault);
  replace_graph(engine, graph);
  const std::vector<Request> requests = {request(9, 8), request(40, 8), request(2, 8)};
  std::vector<Generated> expected;
  for (const Request& one : requests) expected.push_back(alone(engine, one));

  std::vector<Request> submitted = requests;
  submitted[1].on_token = [&fault, tokens = 0](int64_t) mutable {
    if (++tokens == 4) *fault = Fault::kTwice;  // the step, and the first that is brought back from it
  };
  const std::vector<Outcome> outcomes = side_by_side(engine, submitted);
  ASSERT_EQ(*fault, Fault::kNone) << "both were met";
  int failed = 0;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    if (outcomes[i].end == End::kFailed) {
      ++failed;
      EXPECT_THAT(outcomes[i].error, AllOf(HasSubstr("toy"), HasSubstr("inference failed")));
      EXPECT_LT(outcomes[i].generated.tokens.size(), expected[i].tokens.size());
    } else {
      expect_equal(outcomes[i].generated, expected[i]);
    }
  }
  EXPECT_EQ(failed, 1);
}

}  // namespace
}  // namespace dsv4
