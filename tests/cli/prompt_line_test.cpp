// Lines of --prompts: what they come to, what is refused by name, how they are read, and what an earlier run's output says.
#include "cli/prompt_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "cli/finished_lines.h"
#include "cli/line_reader.h"
#include "dsv4/error.h"
#include "fuzz/prompt_line_targets.h"
#include "support/files.h"
#include "support/replay.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using testing::UnorderedElementsAre;
using namespace testing_support;
using Found = LineReader::Found;

PromptLine read(std::string_view line) {
  Request defaults;
  defaults.max_new_tokens = 9;
  defaults.sampler = {.temperature = 0.5, .top_k = 3, .seed = 4};
  return read_prompt_line(line, defaults, {"END"});
}

std::string refusal(std::string_view line) {
  try {
    read(line);
  } catch (const Error& error) {
    return error.what();
  }
  return "taken";
}

TEST(PromptLines, SayWhatTheOptionsOtherwiseSay) {
  const PromptLine all = read(
      R"({"tokens":[3,1],"id":"x","max_new_tokens":2,"temperature":1,"top_p":0.5,"top_k":7,"min_p":0.25,"seed":18446744073709551615,"stop":["a","b"]})");
  EXPECT_FALSE(all.prompt);
  EXPECT_THAT(all.request.prompt, ElementsAre(3, 1));
  EXPECT_EQ(all.id, "\"x\"");
  EXPECT_EQ(all.request.max_new_tokens, 2);
  const SamplerOptions& sampler = all.request.sampler;
  EXPECT_EQ(sampler.temperature, 1.0);
  EXPECT_EQ(sampler.top_p, 0.5);
  EXPECT_EQ(sampler.top_k, 7);
  EXPECT_EQ(sampler.min_p, 0.25);
  EXPECT_EQ(sampler.seed, 18446744073709551615u);
  EXPECT_THAT(all.stop, ElementsAre("a", "b"));

  for (const char* line : {R"({"prompt":"\u00e9"})", R"( {"prompt" : "é", "id":null, "seed":null, "stop":null, "tokens":null} )"}) {
    const PromptLine none = read(line);
    EXPECT_EQ(none.prompt, "é");
    EXPECT_EQ(none.id, "");
    EXPECT_EQ(none.request.max_new_tokens, 9);
    EXPECT_EQ(none.request.sampler.temperature, 0.5);
    EXPECT_EQ(none.request.sampler.top_k, 3);
    EXPECT_EQ(none.request.sampler.seed, 4u);
    EXPECT_THAT(none.stop, ElementsAre("END"));
  }
  EXPECT_EQ(read(R"({"prompt":"a","id":123456789012345678901234567890})").id, "123456789012345678901234567890");
  EXPECT_THAT(read(R"({"prompt":"a","stop":"x"})").stop, ElementsAre("x"));
  EXPECT_THAT(read(R"({"prompt":"a","stop":[]})").stop, ElementsAre());  // none, whatever the command says
}

TEST(PromptLines, EveryMistakeIsNamedByItsField) {
  const auto with = [](const std::string& field) { return refusal(R"({"prompt":"a",)" + field + "}"); };
  EXPECT_THAT(with(R"("temperature":"hot")"), AllOf(StartsWith("temperature: found \"hot\""), HasSubstr("0 or more")));
  for (const char* value : {"-0.1", "NaN", "Infinity", "1e999", "[1]", "true"}) {
    EXPECT_THAT(with(concat("\"temperature\":", value)), StartsWith("temperature: found "));
    EXPECT_THAT(with(concat("\"min_p\":", value)), StartsWith("min_p: found "));
  }
  for (const char* value : {"0", "1.01", "-1", "\"1\""}) EXPECT_THAT(with(concat("\"top_p\":", value)), StartsWith("top_p: found "));
  for (const char* value : {"-1", "1.5", "1.0", "2147483648", "99999999999999999999", "false", "{}"}) {
    EXPECT_THAT(with(concat("\"max_new_tokens\":", value)), StartsWith("max_new_tokens: found "));
    EXPECT_THAT(with(concat("\"top_k\":", value)), StartsWith("top_k: found "));
  }
  for (const char* value : {"-1", "18446744073709551616", "0.5"}) EXPECT_THAT(with(concat("\"seed\":", value)), StartsWith("seed: found "));
  for (const char* value : {"\"\"", "[\"a\",\"\"]", "[1]", "{}"}) EXPECT_THAT(with(concat("\"stop\":", value)), StartsWith("stop: "));
  for (const char* value : {"1.5", "[]", "true"}) EXPECT_THAT(with(concat("\"id\":", value)), StartsWith("id: found "));
  EXPECT_THAT(with(R"("tempreature":1)"), AllOf(HasSubstr("\"tempreature\""), HasSubstr("did you mean temperature?")));
  EXPECT_THAT(with(R"("prompt":"b")"), StartsWith("prompt: the field comes twice"));
  EXPECT_THAT(with(R"("see\u0064":1,"seed":2)"), HasSubstr("comes twice"));
  EXPECT_THAT(with(R"("stop":"prompt","seed":1,"seed":2)"),
              StartsWith("seed: the field comes twice"));  // the name that stands there twice is another
  EXPECT_THAT(with(R"("tokens":[1])"), HasSubstr("prompt and tokens"));
  for (const char* value : {"[]", "[1.5]", "[-1]", "[\"1\"]", "[[1]]", "3", "[99999999999999999999]"})
    EXPECT_THAT(refusal(concat("{\"tokens\":", value, "}")), StartsWith("tokens: found "));
  EXPECT_THAT(refusal(R"({"prompt":3})"), StartsWith("prompt: found 3"));
  EXPECT_THAT(refusal(R"({"prompt":"\ud800"})"), AllOf(StartsWith("prompt: "), HasSubstr("surrogate")));
  EXPECT_THAT(refusal("{\"prompt\":\"\xff\"}"), HasSubstr("byte 11 of the line is not UTF-8"));
  EXPECT_THAT(refusal("{}"), StartsWith("prompt: missing"));
  EXPECT_THAT(refusal("[1,2]"), HasSubstr("expected an object"));
  EXPECT_THAT(refusal("In the beginning"), StartsWith("no JSON: byte 0"));
  EXPECT_THAT(refusal(R"({"prompt":"a"} {)"), StartsWith("no JSON: byte 15"));
  EXPECT_THAT(refusal(R"({"prompt":"a)"), StartsWith("no JSON"));
  EXPECT_THAT(refusal(std::string(100000, '[')), HasSubstr("more than 16 levels"));
}

TEST(PromptLines, AMessageOfAnyLineIsShort) {
  EXPECT_LT(refusal("{\"prompt\":[\"" + std::string(10'000'000, 'x') + "\"]}").size(), 300u);
  EXPECT_LT(refusal("{\"" + std::string(10'000'000, 'x') + "\":1}").size(), 600u);
}

TEST(PromptLines, TheFuzzTargetKeepsItsPromises) {
  replay("fuzz_prompt_line", 3000, [](const Bytes& bytes) { return fuzz::prompt_line(bytes); });
}

std::vector<std::string> lines_of(const std::string& content, size_t most = 100) {
  TemporaryDirectory directory;
  write_file(directory.path() / "lines", content);
  LineReader reader(directory.path() / "lines", most);
  std::vector<std::string> lines;
  Line line;
  while (reader.next(line) == Found::kLine) lines.push_back((line.too_long ? "(long)" : line.text) + (line.ended ? "" : "(cut)"));
  EXPECT_EQ(reader.bytes_read(), std::ssize(content));
  EXPECT_EQ(reader.bytes(), std::ssize(content));
  return lines;
}

TEST(LinesOfAFile, EndWithLineFeedsOrWithTheFile) {
  EXPECT_THAT(lines_of(""), IsEmpty());
  EXPECT_THAT(lines_of("\n"), ElementsAre(""));
  EXPECT_THAT(lines_of("a\n\nb\r\nc"), ElementsAre("a", "", "b", "c(cut)"));
  EXPECT_THAT(lines_of("\xEF\xBB\xBF"
                       "a\n\xEF\xBB\xBF"
                       "b\n"),
              ElementsAre("a",
                          "\xEF\xBB\xBF"
                          "b"));
}

TEST(LinesOfAFile, AreAnyNumberAndAnyLength) {
  const std::string exact(100, 'x'), more(101, 'y'), large(300'000, 'z');
  EXPECT_THAT(lines_of(exact + "\n" + more + "\n" + large + "\nb\n" + large), ElementsAre(exact, "(long)", "(long)", "b", "(long)(cut)"));
  std::string many;
  for (int i = 0; i < 50'000; ++i) many += "line " + std::to_string(i) + "\n";
  const std::vector<std::string> lines = lines_of(many);
  ASSERT_EQ(lines.size(), 50'000u);
  EXPECT_EQ(lines[31'234], "line 31234");
  EXPECT_THAT(lines_of(large + "\n", 1 << 20), ElementsAre(large));
}

TEST(LinesOfAPipe, AreNotWaitedFor) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  LineReader reader("/dev/fd/" + std::to_string(ends[0]), 100);
  Line line;
  EXPECT_EQ(reader.next(line, false), Found::kNotYet);
  ASSERT_EQ(::write(ends[1], "a\nb", 3), 3);
  EXPECT_EQ(reader.next(line, false), Found::kLine);
  EXPECT_EQ(line.text, "a");
  EXPECT_EQ(reader.next(line, false), Found::kNotYet);
  ::close(ends[1]);
  EXPECT_EQ(reader.next(line), Found::kLine);
  EXPECT_EQ(line.text, "b");
  EXPECT_FALSE(line.ended);
  EXPECT_EQ(reader.next(line), Found::kEnd);
  EXPECT_FALSE(reader.bytes());
  ::close(ends[0]);
}

TEST(LinesOfAFile, OfNothingAreAnError) {
  EXPECT_THROW(LineReader("/nowhere/at/all", 10), Error);
  LineReader directory("/", 10);
  Line line;
  EXPECT_THROW(directory.next(line), Error);
}

FinishedLines finished(const std::string& content) {
  TemporaryDirectory directory;
  write_file(directory.path() / "out", content);
  return read_finished_lines(directory.path() / "out");
}

TEST(AnEarlierRun, HasFinishedWhatHasNoError) {
  const FinishedLines some = finished(
      "{\"index\":4,\"tokens\":[1]}\n\n{\"index\":2,\"error\":\"x\"}\n{\"index\":0,\"tokens\":[]}\r\n{\"index\":4,\"tokens\":[1]}\n"
      "{\"index\":2,\"tokens\":[3]}\n");
  EXPECT_THAT(some.done, UnorderedElementsAre(0, 2, 4));
  EXPECT_FALSE(some.cut);
  EXPECT_EQ(some.damaged, 0);
}

TEST(AnEarlierRun, WasCutAnywhere) {
  const std::string whole = "{\"index\":1,\"id\":\"\\u00e9 } x\",\"tokens\":[1,22],\"text\":\"a\\nb}\"}";
  for (size_t length = 1; length < whole.size(); ++length) {
    for (const char* after : {"", "\n{\"index\":0,\"tokens\":[]}\n"}) {
      const FinishedLines some = finished("{\"index\":3,\"tokens\":[]}\n" + whole.substr(0, length) + after);
      EXPECT_EQ(some.done.contains(0), *after != '\0');
      EXPECT_TRUE(some.done.contains(3));
      EXPECT_FALSE(some.done.contains(1));
      EXPECT_EQ(some.damaged, 1) << length;
      EXPECT_EQ(some.cut, *after == '\0');
    }
  }
  EXPECT_TRUE(finished(whole).done.contains(1)) << "only its line end is missing";
}

TEST(AnEarlierRun, IsNoOtherFile) {
  for (const char* line : {"{\"prompt\":\"a\"}", "hello", "[1]", "{\"index\":-1}", "{\"index\":1.5}", "{\"index\":\"1\"}",
                           "{\"index\":99999999999999999999}"}) {
    try {
      finished(concat("{\"index\":0,\"tokens\":[]}\n", line, "\n"));
      ADD_FAILURE() << line;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr("--resume"), HasSubstr("line 2")));
    }
  }
}

}  // namespace
}  // namespace dsv4
