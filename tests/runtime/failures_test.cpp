// Inferences that fail: on any number of threads the same error, never a number, and sessions that say so until they are reset or restored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <utility>

#include "dsv4/request.h"
#include "dsv4/session.h"
#include "runtime/checked_inference.h"
#include "runtime/converted_model.h"
#include "runtime/failing_op.h"
#include "runtime/inner.h"
#include "support/ir_scan.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using namespace testing_support;
using Tokens = std::vector<int64_t>;
using Logits = std::vector<float>;

enum class Form { kStateful, kPrefillOnly, kCpu };

struct Case {
  Form form;
  int threads;

  bool operator<(const Case& other) const { return std::pair(form, threads) < std::pair(other.form, other.threads); }
};

/// The toy's folder, and engines on it that fail when they are told to.
struct Model {
  explicit Model(const Case& c) : form(c), folder(convert_golden("toy", directory.path(), c.form != Form::kPrefillOnly)) {}

  /// With a failing operation after that place of its graph.
  Engine failing_at(size_t place) const {
    EngineOptions options = every_position(form.form == Form::kCpu ? Program::kCpu : Program::kPortable);
    options.threads = form.threads;
    Engine engine(folder, options);
    const std::shared_ptr<ov::Model> graph = graph_of(engine, folder);
    insert_after(places(*graph).at(place), fault);
    replace_graph(engine, graph);
    return engine;
  }

  Case form;
  TemporaryDirectory directory;
  std::filesystem::path folder;
  std::shared_ptr<std::atomic<Fault>> fault = std::make_shared<std::atomic<Fault>>(Fault::kNone);
};

class Failing : public testing::TestWithParam<Case> {
 protected:
  Failing() : tokens_(dsv4_test::golden_tokens("toy")) {
    tokens_.resize(40);
    golden_ = toy_golden().f32("logits_reference");
    golden_.resize(tokens_.size() * 512);
    *fault_ = Fault::kNone;
  }

  /// Compiled once for all tests of a form: fails in its middle.
  const Engine& engine() {
    const auto found = engines().find(GetParam());
    if (found != engines().end()) return found->second;
    return engines().emplace(GetParam(), model_.failing_at(5)).first->second;
  }

  /// Models must be gone before OpenVINO's own static objects are.
  static void TearDownTestSuite() {
    engines().clear();
    models().clear();
  }

  Logits golden_rows(size_t begin, size_t end) const {
    return {golden_.begin() + static_cast<std::ptrdiff_t>(begin * 512), golden_.begin() + static_cast<std::ptrdiff_t>(end * 512)};
  }
  bool keeps_state() const { return GetParam().form != Form::kPrefillOnly; }

  /// Fails after each place, `step` apart.
  void fail_everywhere(size_t step) {
    EngineOptions options = every_position(GetParam().form == Form::kCpu ? Program::kCpu : Program::kPortable);
    const size_t count = places(*graph_of(Engine(model_.folder, options), model_.folder)).size();
    for (size_t place = 0; place < count; place += step) {
      SCOPED_TRACE(place);
      const Engine engine = model_.failing_at(place);
      Session session(engine);
      session.feed(std::span(tokens_).first(9));
      *fault_ = Fault::kError;
      EXPECT_THAT(error_of([&] { session.feed(std::span(tokens_).subspan(9, 4)); }), HasSubstr("FailingOp: told to"));
      *fault_ = Fault::kNone;
      session.reset();
      EXPECT_LT(largest_difference(session.feed(std::span(tokens_).first(20)), golden_rows(0, 20)), kGoldenTolerance);
    }
  }

  static std::map<Case, Engine>& engines() {
    static std::map<Case, Engine> engines;
    return engines;
  }
  static std::map<Case, std::unique_ptr<Model>>& models() {
    static std::map<Case, std::unique_ptr<Model>> models;
    return models;
  }
  static const Model& model_of(const Case& c) {
    std::unique_ptr<Model>& model = models()[c];
    if (!model) model = std::make_unique<Model>(c);
    return *model;
  }

  const Model& model_ = model_of(GetParam());
  std::shared_ptr<std::atomic<Fault>> fault_ = model_.fault;
  Tokens tokens_;
  Logits golden_;
};

TEST_P(Failing, SaysWhyAndGivesNoNumber) {
  Session session(engine());
  for (const size_t count : {size_t{20}, size_t{1}}) {
    session.reset();
    *fault_ = Fault::kError;
    const std::string error = error_of([&] { session.feed(std::span(tokens_).first(count)); });
    EXPECT_THAT(error, AllOf(HasSubstr("inference failed"), HasSubstr("FailingOp: told to"), Not(HasSubstr("Exception from"))));
    session.reset();
    *fault_ = Fault::kNoMemory;
    EXPECT_THAT(error_of([&] { session.feed(std::span(tokens_).first(count)); }), EndsWith(": inference failed: not enough memory"));
    *fault_ = Fault::kNone;
    session.reset();
    EXPECT_LT(largest_difference(session.feed(tokens_), golden_), kGoldenTolerance);
  }
}

TEST_P(Failing, LeavesASessionThatIsRefusedUntilItIsReset) {
  Session session(engine());
  session.feed(std::span(tokens_).first(15));
  const Snapshot before = session.save();
  *fault_ = Fault::kError;
  EXPECT_THROW(session.feed(std::span(tokens_).subspan(15, 5)), Error);
  *fault_ = Fault::kNone;
  EXPECT_EQ(session.position(), 15);
  if (keeps_state()) {
    Request request;
    request.prompt = {1};
    for (const std::string& error : {error_of([&] { session.feed(std::span(tokens_).subspan(15)); }), error_of([&] { session.save(); }),
                                     error_of([&] { session.fork(); }), error_of([&] { Inner::fill_with_noise(session, 3); }),
                                     error_of([&] { generate(session, request); })}) {
      EXPECT_THAT(error, AllOf(HasSubstr("state of this session was lost"), HasSubstr("reset"), HasSubstr("FailingOp: told to")));
    }
    EXPECT_EQ(session.position(), 15);
    session.restore(before);
  }
  EXPECT_LT(largest_difference(session.feed(std::span(tokens_).subspan(15)), golden_rows(15, 40)), kGoldenTolerance);

  *fault_ = Fault::kError;
  EXPECT_THROW(session.feed(Tokens{3}), Error);
  *fault_ = Fault::kNone;
  session.reset();
  EXPECT_EQ(session.position(), 0);
  EXPECT_LT(largest_difference(session.feed(tokens_), golden_), kGoldenTolerance);
}

TEST_P(Failing, IsUndoneByAStateThatWasKept) {
  if (!keeps_state()) return;
  Session session(engine());
  session.feed(std::span(tokens_).first(10));
  session.keep();
  session.feed(std::span(tokens_).subspan(10, 5));
  *fault_ = Fault::kError;
  EXPECT_THROW(session.feed(std::span(tokens_).subspan(15, 5)), Error);
  *fault_ = Fault::kNone;
  EXPECT_EQ(session.truncate(13), 3);
  EXPECT_LT(largest_difference(session.feed(std::span(tokens_).subspan(13)), golden_rows(13, 40)), kGoldenTolerance);
}

TEST_P(Failing, LeavesOtherSessionsAlone) {
  Session other(engine());
  other.feed(std::span(tokens_).first(15));
  {
    Session session(engine());
    session.feed(std::span(tokens_).first(30));
    *fault_ = Fault::kError;
    EXPECT_THROW(session.feed(Tokens{7}), Error);
    *fault_ = Fault::kNone;
    EXPECT_LT(largest_difference(other.feed(std::span(tokens_).subspan(15, 5)), golden_rows(15, 20)), kGoldenTolerance);
  }
  // And once the one that failed is gone.
  EXPECT_LT(largest_difference(other.feed(std::span(tokens_).subspan(20)), golden_rows(20, 40)), kGoldenTolerance);
  Session fresh(engine());
  EXPECT_LT(largest_difference(fresh.feed(tokens_), golden_), kGoldenTolerance);
  EXPECT_EQ(fresh.feed(Tokens{7}).size(), 512u);
}

class FailingOps : public Failing {};
class Full_Failing : public Failing {};

TEST_P(FailingOps, AtPlacesOfEveryKind) { fail_everywhere(3); }
TEST_P(Full_Failing, AtEveryPlaceOfTheGraph) { fail_everywhere(GetParam().form == Form::kCpu ? 1 : 5); }

std::string form_name(const testing::TestParamInfo<Case>& p) {
  const char* form = p.param.form == Form::kStateful ? "Stateful" : p.param.form == Form::kCpu ? "Cpu" : "PrefillOnly";
  return std::string(form) + (p.param.threads == 1 ? "OneThread" : "TwoThreads");
}
const auto kForms = testing::Values(Case{Form::kStateful, 1}, Case{Form::kStateful, 2}, Case{Form::kPrefillOnly, 1},
                                    Case{Form::kPrefillOnly, 2}, Case{Form::kCpu, 1}, Case{Form::kCpu, 2});
INSTANTIATE_TEST_SUITE_P(Forms, Failing, kForms, form_name);
INSTANTIATE_TEST_SUITE_P(Forms, FailingOps, testing::Values(Case{Form::kCpu, 1}), form_name);
INSTANTIATE_TEST_SUITE_P(Forms, Full_Failing, kForms, form_name);

TEST(DamagedTable, IsTheSameLineOnOneThreadAndTwo) {
  const TemporaryDirectory directory;
  const std::filesystem::path folder = convert_golden("hash", directory.path());
  const auto constants = scan_constants(read_file(folder / "openvino_model.xml"));
  const IrConstant& table = constants.at("layers.0.ffn.gate.tid2eid");
  std::string bin = read_file(folder / "openvino_model.bin");
  const int32_t no_expert = 30000;
  const size_t row = table.bytes / static_cast<size_t>(table.shape.at(0));
  for (size_t token = 40; token < 44; ++token) std::memcpy(bin.data() + table.offset + token * row, &no_expert, sizeof no_expert);
  write_file(folder / "openvino_model.bin", bin);
  std::vector<std::string> lines;
  for (const int threads : {1, 2}) {
    EngineOptions options = last_position(Program::kCpu);
    options.threads = threads;
    const Engine engine(folder, options);
    Session session(engine);
    Logits before = session.feed(Tokens{1, 2, 3});
    lines.push_back(error_of([&] { session.feed(Tokens{4, 5, 42, 6}); }));
    session.reset();
    EXPECT_EQ(session.feed(Tokens{1, 2, 3}), before);
    session.reset();
    EXPECT_THAT(error_of([&] { session.feed(Tokens{41}); }), HasSubstr("for token 41"));
  }
  EXPECT_THAT(lines[0], AllOf(HasSubstr("expert 30000 for token 42"), HasSubstr("expected 0..")));
  EXPECT_EQ(lines[0], lines[1]);
  EXPECT_THAT(lines[0], Not(HasSubstr(".cpp"))) << "no place in a source";
}

/// x [n,4] -> logits.
ov::CompiledModel identity(const std::shared_ptr<std::atomic<Fault>>& fault, const ov::PartialShape& shape, int threads) {
  const auto x = std::make_shared<ov::op::v0::Parameter>(ov::element::f32, shape);
  x->output(0).set_names({"x"});
  const auto op = std::make_shared<FailingOp>(x, fault);
  op->output(0).set_names({"logits"});
  const auto model = std::make_shared<ov::Model>(ov::OutputVector{op}, ov::ParameterVector{x});
  return ov::Core().compile_model(model, "CPU", ov::inference_num_threads(threads), ov::hint::inference_precision(ov::element::f32));
}

TEST(CheckedInference, RefusesAnOutputOfAnotherShape) {
  const auto fault = std::make_shared<std::atomic<Fault>>(Fault::kNone);
  CheckedInference inference(identity(fault, {-1, 4}, 2));
  ov::Tensor x(ov::element::f32, {3, 4});
  std::fill_n(x.data<float>(), 12, 2.5f);
  inference.set("x", x);
  EXPECT_THAT(inference.infer({3, 4}), testing::Each(2.5f));
  EXPECT_THAT(error_of([&] { inference.infer({2, 4}); }), AllOf(HasSubstr("[3,4]"), HasSubstr("expected f32 [2,4]")));
  EXPECT_THAT(error_of([&] { inference.infer({0, 4}); }), AllOf(HasSubstr("[3,4]"), HasSubstr("expected f32 [0,4]")));
  EXPECT_THAT(inference.infer({3, 4}), testing::Each(2.5f));
}

TEST(CheckedInference, TakesAnOutputWithoutRows) {
  const auto fault = std::make_shared<std::atomic<Fault>>(Fault::kNone);
  for (const int threads : {1, 2}) {
    CheckedInference inference(identity(fault, {-1, 4}, threads));
    inference.set("x", ov::Tensor(ov::element::f32, {0, 4}));
    EXPECT_EQ(inference.infer({0, 4}).size(), 0u);
    *fault = Fault::kError;
    EXPECT_THAT(error_of([&] { inference.infer({0, 4}); }), HasSubstr("inference failed"));
    *fault = Fault::kNone;
  }
}

TEST(CheckedInference, RefusesARowThatWasNotWritten) {
  // What stands in the output before a call is taken for unwritten, whoever put it there: here the model itself.
  const auto fault = std::make_shared<std::atomic<Fault>>(Fault::kNone);
  CheckedInference inference(identity(fault, {-1, 4}, 1));
  ov::Tensor x(ov::element::f32, {3, 4});
  std::fill_n(x.data<float>(), 12, 1.0f);
  const uint32_t mark = 0x7FD5A4E1;
  std::memcpy(x.data<float>() + 8, &mark, sizeof mark);
  inference.set("x", x);
  EXPECT_THAT(error_of([&] { inference.infer({3, 4}); }), HasSubstr("unwritten"));
  x.data<float>()[8] = std::nanf("");
  EXPECT_EQ(inference.infer({3, 4}).size(), 12u) << "any other NaN is a value";
}

}  // namespace
}  // namespace dsv4
