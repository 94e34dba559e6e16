// Snapshots that were damaged, mixed, or are of another model: all refused, by an Error, and the session goes on as if nothing had been.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "dsv4/session.h"
#include "runtime/converted_model.h"

namespace dsv4 {

static bool operator==(const Snapshot::State& a, const Snapshot::State& b) {
  return a.type == b.type && a.shape == b.shape && a.bytes == b.bytes;
}

static bool operator==(const Snapshot& a, const Snapshot& b) {
  return a.position == b.position && a.back == b.back && a.tokens == b.tokens && a.states == b.states && a.model == b.model &&
         a.digest == b.digest;
}

namespace {

using testing::AnyOf;
using testing::HasSubstr;
using namespace testing_support;
using Tokens = std::vector<int64_t>;
using Logits = std::vector<float>;
using Random = std::mt19937;

template <class T>
T one_of(Random& random, const std::vector<T>& values) {
  return values[random() % values.size()];
}

void damage_bytes(Snapshot::State& state, Random& random) {
  switch (random() % 6) {
    case 0:
      for (int i = 0; i < 1 + static_cast<int>(random() % 200) && !state.bytes.empty(); ++i) {
        state.bytes[random() % state.bytes.size()] ^= static_cast<std::byte>(1 + random() % 255);
      }
      return;
    case 1:
      std::fill(state.bytes.begin(), state.bytes.end(), std::byte(0xFF));
      return;
    case 2:
      if (!state.bytes.empty()) state.bytes[random() % state.bytes.size()] ^= std::byte(1 << random() % 8);  // one bit
      return;
    case 3:
      if (!state.bytes.empty()) state.bytes.resize(random() % state.bytes.size());
      return;
    case 4:
      state.bytes.resize(state.bytes.size() + 1 + random() % 4096);
      return;
    default:
      std::reverse(state.bytes.begin(), state.bytes.end());
  }
}

void damage_shape(Snapshot::State& state, Random& random) {
  switch (random() % 4) {
    case 0:
      if (!state.shape.empty())
        state.shape[random() % state.shape.size()] = one_of<size_t>(random, {0, 1, 2, SIZE_MAX, size_t{1} << 32, size_t{1} << 62});
      return;
    case 1:  // transposed
      if (!state.shape.empty()) std::swap(state.shape.front(), state.shape.back());
      return;
    case 2:
      if (!state.shape.empty()) std::rotate(state.shape.begin(), state.shape.begin() + 1, state.shape.end());
      return;
    default:
      state.shape.push_back(1);
  }
}

/// `other`: a good snapshot of the same session at another position.
Snapshot damaged(const Snapshot& good, const Snapshot& other, Random& random) {
  Snapshot bad = good;
  auto place = bad.states.begin();
  if (!bad.states.empty()) std::advance(place, random() % bad.states.size());
  const int kind = static_cast<int>(random() % 13);
  if (kind >= 4 && kind < 12 && bad.states.empty()) {  // the prefill-only form has none
    bad.states["cache"] = {"u8", {3}, std::vector<std::byte>(3)};
    return bad;
  }
  switch (kind) {
    case 12:
      bad.back = one_of<int64_t>(random, {-1, 0, 7, 8, 9, INT64_MAX, INT64_MIN});
      break;
    case 0:
      bad.position = one_of<int64_t>(random, {-1, 0, 1, good.position - 1, good.position + 1, 4095, 4096, 4097, INT64_MAX, INT64_MIN,
                                              int64_t{1} << 31, static_cast<int64_t>(random())});
      break;
    case 1:
      bad.tokens.insert(bad.tokens.end(), 1 + random() % 3, one_of<int64_t>(random, {0, -1, 511, 512, INT64_MAX}));
      break;
    case 2:
      if (bad.tokens.empty()) bad.digest.clear();
      if (!bad.tokens.empty()) bad.tokens[random() % bad.tokens.size()] ^= 1 << random() % 40;
      break;
    case 3: {
      std::string& text = random() % 2 == 0 ? bad.model : bad.digest;
      text = one_of<std::string>(random, {"", "x", std::string(32, '0'), text + "0", text.substr(1), other.digest});
      break;
    }
    case 4:
      place->second.type = one_of<std::string>(
          random, {"f32", "f16", "i64", "string", "u4", "u1", "boolean", "", "zzz", "dynamic", "undefined", "f64", "i8"});
      break;
    case 5: {
      auto node = bad.states.extract(place);
      node.key() += "x";
      bad.states.insert(std::move(node));
      break;
    }
    case 6:
      bad.states.erase(place);
      break;
    case 7:  // a state that contradicts the others
      place->second = other.states.at(place->first);
      break;
    case 8:
      bad.states = other.states;
      break;
    case 9:
      damage_shape(place->second, random);
      break;
    default:
      damage_bytes(place->second, random);
  }
  return bad;
}

enum class Form { kStateful, kPrefillOnly, kCpu };

class DamagedSnapshots : public testing::TestWithParam<Form> {
 protected:
  DamagedSnapshots() : folder_(convert_golden("toy", directory_.path(), GetParam() != Form::kPrefillOnly)) {}

  void refuse_all(int count, uint32_t seed) {
    const Engine engine(folder_, last_position(GetParam() == Form::kCpu ? Program::kCpu : Program::kPortable));
    const Tokens tokens = dsv4_test::golden_tokens("toy"), start = {1, 2, 3}, next = {7};
    Session session(engine);
    session.feed(std::span(tokens).first(70));
    const Snapshot other = session.save();
    session.feed(std::span(tokens).subspan(70, 130));
    const Snapshot good = session.save();
    session.reset();
    session.feed(start);
    const Logits expected = session.feed(next);
    Random random(seed);
    int tried = 0;
    while (tried < count) {
      const Snapshot bad = damaged(good, other, random);
      if (bad == good || bad == other) continue;  // e.g. a list transposed
      ++tried;
      session.reset();
      session.feed(start);
      EXPECT_NE(error_of([&] { session.restore(bad); }), "");
      ASSERT_EQ(session.position(), 3);
      ASSERT_EQ(session.feed(next), expected) << "after attempt " << tried;
    }
    session.restore(good);
    EXPECT_EQ(session.position(), 200);
  }

  TemporaryDirectory directory_;
  std::filesystem::path folder_;
};

class Full_DamagedSnapshots : public DamagedSnapshots {};

TEST_P(DamagedSnapshots, AreRefusedAndChangeNothing) { refuse_all(100, 1); }
TEST_P(Full_DamagedSnapshots, AreRefusedAndChangeNothing) { refuse_all(2000, 2); }

std::string form_name(const testing::TestParamInfo<Form>& p) {
  return p.param == Form::kStateful ? "Stateful" : p.param == Form::kPrefillOnly ? "PrefillOnly" : "Cpu";
}
const auto kForms = testing::Values(Form::kStateful, Form::kPrefillOnly, Form::kCpu);
INSTANTIATE_TEST_SUITE_P(Forms, DamagedSnapshots, kForms, form_name);
INSTANTIATE_TEST_SUITE_P(Forms, Full_DamagedSnapshots, kForms, form_name);

TEST_P(DamagedSnapshots, OfAModelOfEqualShapeAreRefused) {
  const Program program = GetParam() == Form::kCpu ? Program::kCpu : Program::kPortable;
  const TemporaryDirectory directory;
  const std::filesystem::path tuned = directory.path() / "tuned";
  std::filesystem::copy(folder_, tuned, std::filesystem::copy_options::recursive);
  std::string bin = read_file(tuned / "openvino_model.bin");
  bin[bin.size() / 2] ^= 1;
  write_file(tuned / "openvino_model.bin", bin);
  // And one of which only the list of files knows that it is another, as of weights that are too large to be read whole.
  const std::filesystem::path listed = directory.path() / "listed";
  std::filesystem::copy(folder_, listed, std::filesystem::copy_options::recursive);
  const auto list = [&](const std::string& hash) {
    return concat(R"({"files": {"openvino_model.bin": {"bytes": )", bin.size(), R"(, "xxh3_128": ")", hash, "\"}}}");
  };
  write_file(listed / "dsv4_files.json", list(std::string(32, '1')));
  const Engine engine(folder_, last_position(program)), of_other(tuned, last_position(program)), again(folder_, last_position(program));
  if (program == Program::kCpu) {
    Session one{Engine(listed, last_position(program))};
    const Snapshot snapshot = one.save();
    EXPECT_EQ(error_of([&] { Session{Engine(listed, last_position(program))}.restore(snapshot); }), "");
    write_file(listed / "dsv4_files.json", list(std::string(32, '2')));
    EXPECT_THAT(error_of([&] { Session{Engine(listed, last_position(program))}.restore(snapshot); }), HasSubstr("another model"));
  }
  Session session(engine), other(of_other), same(again);
  session.feed(Tokens{1, 2, 3, 4});
  for (const Snapshot& snapshot : {session.save(), Session(engine).save()}) {
    EXPECT_THAT(error_of([&] { other.restore(snapshot); }), HasSubstr("another model"));
    same.restore(snapshot);
    EXPECT_EQ(same.position(), snapshot.position);
  }
  EXPECT_THAT(error_of([&] { session.restore(Snapshot{}); }), HasSubstr("earlier dsv4"));
}

TEST(SnapshotOptions, ThatAStateDependsOnHaveToBeTheSame) {
  const TemporaryDirectory directory;
  const std::filesystem::path folder = convert_golden("toy", directory.path());
  const EngineOptions exact = last_position(Program::kCpu);
  Session session{Engine(folder, exact)};
  session.feed(Tokens{1, 2, 3, 4});
  const Snapshot snapshot = session.save();
  const auto restore_with = [&](const auto& change) {
    EngineOptions options = exact;
    change(options);
    Session other{Engine(folder, options)};
    return error_of([&] { other.restore(snapshot); });
  };
  EXPECT_THAT(restore_with([](EngineOptions& o) { o.cache = CachePrecision::kBF16; }), HasSubstr("other options"));
  EXPECT_THAT(restore_with([](EngineOptions& o) { o.activations = ActivationRounding::kInt8; }), HasSubstr("other options"));
  EXPECT_THAT(restore_with([](EngineOptions& o) { o.quantize_cache = true; }), HasSubstr("other options"));
  EXPECT_THAT(restore_with([](EngineOptions& o) { o.program = Program::kPortable; }), HasSubstr("other options"));
  EXPECT_THAT(restore_with([](EngineOptions& o) { o.context = 3; }), HasSubstr("limited to 3"));
  EXPECT_EQ(restore_with([](EngineOptions& o) { o.context = 100; }), "");
  EXPECT_EQ(restore_with([](EngineOptions& o) { o.threads = 1; }), "");
  EXPECT_EQ(restore_with([](EngineOptions& o) { o.all_logits = true; }), "");
  EXPECT_EQ(restore_with([](EngineOptions& o) { o.weights = WeightMemory::kLoad; }), "");
}

}  // namespace
}  // namespace dsv4
