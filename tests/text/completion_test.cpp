// Answers as messages: every case whole and in pieces of 1 to 40 bytes; stop strings; long values; damaged markup.
#include <gtest/gtest.h>

#include <random>
#include <regex>

#include "checkpoint/utf8.h"
#include "dsv4/error.h"
#include "text/completion_cases.h"

namespace dsv4 {

void PrintTo(const CompletionCall& call, std::ostream* out) { *out << call.name << call.arguments; }

namespace {

using testing_support::CompletionCase;
using testing_support::dsml;
using testing_support::kCaseTools;

struct Answer {
  std::string_view text;
  bool thinking = false, cut = false, tools = true;
  std::vector<std::string> stops = {};
};

struct Parsed {
  CompletionMessage message;
  std::vector<CompletionDelta> deltas;
  FinishReason reason = FinishReason::kStop;
};

/// `piece` 0: whole.
Parsed parse(const Answer& answer, size_t piece = 0) {
  static const CompletionTools tools = CompletionTools::parse(kCaseTools, "tools");
  CompletionOptions options;
  options.thinking = answer.thinking;
  if (answer.tools) options.tools = tools;
  options.stops = answer.stops;
  CompletionParser parser(options);
  Parsed out;
  const auto take = [&](const std::vector<CompletionDelta>& deltas) {
    for (const CompletionDelta& delta : deltas) {
      EXPECT_FALSE(invalid_utf8(delta.text)) << delta.text;
      out.message.add(delta);
      out.deltas.push_back(delta);
    }
  };
  const size_t step = piece == 0 ? answer.text.size() + 1 : piece;
  for (size_t at = 0; at < answer.text.size(); at += step) take(parser.push(answer.text.substr(at, step)));
  take(parser.finish(answer.cut));
  EXPECT_TRUE(parser.ended());
  EXPECT_TRUE(parser.push("more").empty());
  out.reason = parser.finish_reason();
  return out;
}

std::string as_text(const CompletionMessage& message) {
  std::string out = "reasoning [" + message.reasoning + "] content [" + message.content + "]";
  for (const CompletionCall& call : message.calls) out += " " + call.id + " " + call.name + " " + call.arguments;
  return out;
}

Answer answer_of(const CompletionCase& one) {
  const std::string_view mode = one.mode;
  const auto has = [&](const char* word) { return mode.find(word) != std::string_view::npos; };
  return {one.answer, has("think"), has("cut"), !has("none")};
}

TEST(Completion, EachRuleWholeAndInPieces) {
  for (const CompletionCase& one : testing_support::completion_cases()) {
    CompletionMessage expected{one.content, one.reasoning, {}};
    for (const auto& [name, arguments] : one.calls)
      expected.calls.push_back({"call_" + std::to_string(expected.calls.size()), name, arguments});
    for (size_t piece = 0; piece <= 40; ++piece) {
      ASSERT_EQ(as_text(parse(answer_of(one), piece).message), as_text(expected))
          << one.name << ", pieces of " << piece << ": " << one.answer;
    }
  }
}

TEST(Completion, TheReasonWhyItEnded) {
  const auto reason = [](const char* text, bool cut) { return parse({dsml(text), false, cut}).reason; };
  EXPECT_EQ(reason("a", false), FinishReason::kStop);
  EXPECT_EQ(reason("a", true), FinishReason::kLength);
  EXPECT_EQ(reason("a<｜end▁of▁sentence｜>", true), FinishReason::kStop);
  EXPECT_EQ(reason("<§tool_calls><§invoke name=\"g\"/></§tool_calls>", false), FinishReason::kToolCalls);
  EXPECT_EQ(reason("<§invoke name=\"g\"/>", false), FinishReason::kToolCalls);
  EXPECT_EQ(reason("<§tool_calls><§invoke name=\"g\"/></§tool_calls><｜end▁of▁sentence｜>", true), FinishReason::kToolCalls);
  EXPECT_EQ(reason("<§tool_calls><§invoke name=\"g\"/>", true), FinishReason::kLength);
  EXPECT_EQ(reason("<§tool_calls></§tool_calls>", false), FinishReason::kStop);
}

TEST(Completion, StopStringsEndTheContent) {
  struct Case {
    std::string text;
    std::vector<std::string> stops;
    std::string expected;
  };
  const std::vector<Case> cases = {{"the LORD the", {"LORD th"}, "the "},
                                   {"the LORD of", {"LORD th"}, "the LORD of"},
                                   {"the LORD t", {"LORD th"}, "the LORD t"},
                                   {"aaab", {"aab"}, "a"},
                                   {"abababc!", {"ababc"}, "ab"},
                                   {"x one two", {"two", "one"}, "x "},
                                   {"x abcd", {"bc", "abcd"}, "x a"},
                                   {"x abc", {"bc", "abc"}, "x "},
                                   {"a\n\nb", {"\n\n"}, "a"},
                                   {"a\n\n", {"\n\n"}, "a"},
                                   {"a é b", {"é"}, "a "},
                                   {"a <b> c", {"<b"}, "a "},
                                   {"a <think>b</think>c", {"bc"}, "a "}};
  for (const Case& one : cases) {
    for (size_t piece = 0; piece <= 12; ++piece) {
      EXPECT_EQ(as_text(parse({.text = one.text, .stops = one.stops}, piece).message), "reasoning [] content [" + one.expected + "]")
          << piece;
    }
  }
}

TEST(Completion, StopStringsDoNotApplyToReasoningAndCalls) {
  const std::string text = dsml(
      "a STOP b</think>c\nd \n\n<§tool_calls>\n<§invoke name=\"f\">\n<§parameter name=\"s\" "
      "string=\"true\">STOP</§parameter>\n</§invoke>\n</§tool_calls>");
  for (size_t piece = 0; piece <= 12; ++piece) {
    const Parsed parsed = parse({.text = text, .thinking = true, .stops = {"STOP", "\n\n", "d!"}}, piece);
    EXPECT_EQ(as_text(parsed.message), "reasoning [a STOP b] content [c\nd] call_0 f {\"s\": \"STOP\"}");
    EXPECT_EQ(parsed.reason, FinishReason::kToolCalls);
  }
}

TEST(Completion, WhatCannotBeAMarkIsShownAtOnce) {
  CompletionOptions options;
  options.thinking = false;
  options.tools = CompletionTools::parse(kCaseTools, "tools");
  options.stops = {"LORD th"};
  CompletionParser parser(options);
  const auto shown = [&](std::string_view bytes) {
    std::string out;
    for (const CompletionDelta& delta : parser.push(bytes)) out += delta.text;
    return out;
  };
  EXPECT_EQ(shown("a"), "a");
  EXPECT_EQ(shown(" "), "");
  EXPECT_EQ(shown("b <"), " b");
  EXPECT_EQ(shown("｜DS"), "");
  EXPECT_EQ(shown("x"), " <｜DSx");
  EXPECT_EQ(shown(" L"), " ");
  EXPECT_EQ(shown("ORD"), "");
  EXPECT_EQ(shown("S"), "LORDS");
  EXPECT_EQ(shown("\xF0\x9F"), "");
  EXPECT_EQ(shown("\x9A\x80"), "🚀");
}

TEST(Completion, LongTextsStreamAndLongJsonIsHeld) {
  std::string text = dsml("<§tool_calls><§invoke name=\"f\"><§parameter name=\"s\" string=\"true\">");
  const std::string prose = "line \"of\" text\n";
  std::string value;
  while (value.size() < 4096) value += prose;
  text += value;
  size_t pieces = 0;
  for (const CompletionDelta& delta : parse({text}, 32).deltas) pieces += delta.kind == CompletionDelta::Kind::kArguments;
  EXPECT_GT(pieces, 100u);
  const std::string json =
      dsml("<§tool_calls><§invoke name=\"f\"><§parameter name=\"l\" string=\"false\">[1, 2, 3, 4, 5, 6, 7, 8, 9]</§parameter></§invoke>");
  const Parsed parsed = parse({json}, 4);
  ASSERT_EQ(parsed.deltas.size(), 3u);
  EXPECT_EQ(parsed.deltas[0].text, "f");
  EXPECT_EQ(parsed.deltas[1].text, "{\"l\": [1, 2, 3, 4, 5, 6, 7, 8, 9]");
  EXPECT_EQ(parsed.deltas[2].text, "}");
}

/// Counted, not timed: a parser that reads what it holds again for every piece would not come to an end here.
TEST(Completion, FourMegabytesInPiecesOfOneByte) {
  const size_t size = 4u << 20;
  std::string plain(size, 'x');
  for (size_t i = 0; i < size; i += 64) plain[i] = '<';
  const std::string open = "<§tool_calls><§invoke name=\"f\">";
  const auto value = [&](const char* attributes, const std::string& text) {
    return dsml(open + "<§parameter " + attributes + ">") + text + dsml("</§parameter></§invoke></§tool_calls>");
  };
  EXPECT_EQ(parse({value("name=\"s\" string=\"true\"", plain)}, 1).message.calls.at(0).arguments, "{\"s\": \"" + plain + "\"}");
  EXPECT_EQ(parse({value("name=\"any\" string=\"false\"", plain)}, 1).message.calls.at(0).arguments, "{\"any\": \"" + plain + "\"}");
  EXPECT_EQ(parse({value("name=\"input\" string=\"true\"", plain)}, 1).message.calls.at(0).arguments, "{\"input\": \"" + plain + "\"}");
  EXPECT_EQ(parse({dsml(open) + plain}, 1).message.calls.at(0).arguments, "{}");
  const std::string bare = dsml("<§invoke name=\"zz\"><§parameter name=\"s\">");
  EXPECT_EQ(parse({bare + plain}, 1).message.content, plain);
  const std::string spaces(size, ' ');
  EXPECT_EQ(parse({"a" + spaces}, 1).message.content, "a" + spaces);
  EXPECT_EQ(parse({"a<" + spaces + "b"}, 1).message.content, "a<" + spaces + "b");
  EXPECT_EQ(parse({dsml("a<§invoke" + spaces + "/>")}, 1).message.content, "a");
  EXPECT_EQ(parse({"a" + spaces + dsml("<§invoke name=\"g\"/>")}, 1).message.content, "a");
  const std::string deep(size, '[');
  EXPECT_EQ(parse({value("name=\"any\" string=\"false\"", deep)}, 1).message.calls.at(0).arguments, "{\"any\": \"" + deep + "\"}");
}

TEST(Completion, WhereverItIsCutWholeCallsStayAndTheLastIsABeginning) {
  const std::string text = dsml(
      "a</think>b\n\n<§tool_calls>\n<§invoke name=\"f\">\n<§parameter name=\"s\" string=\"true\">é<b> </b>\n</§parameter>\n<§parameter "
      "name=\"o\" "
      "string=\"false\">{\"a\": [1, 2]}</§parameter>\n</§invoke>\n<§invoke name=\"g\">\n{\"a\": 1}</§invoke>\n<§invoke "
      "name=\"f\">\n<§parameter name=\"input\" "
      "string=\"true\">{\"t\": \"<\"}</§parameter>\n</§invoke>\n</§tool_calls>");
  const CompletionMessage whole = parse({.text = text, .thinking = true}).message;
  ASSERT_EQ(
      as_text(whole),
      "reasoning [a] content [b] call_0 f {\"s\": \"é<b> </b>\\n\", \"o\": {\"a\": [1, 2]}} call_1 g {\"a\": 1} call_2 f {\"t\": \"<\"}");
  for (size_t size = 0; size < text.size(); ++size) {
    const Parsed cut = parse({.text = std::string_view(text).substr(0, size), .thinking = true, .cut = true});
    EXPECT_EQ(cut.reason, FinishReason::kLength);
    ASSERT_LE(cut.message.calls.size(), 3u);
    for (size_t i = 0; i < cut.message.calls.size(); ++i) {
      EXPECT_EQ(cut.message.calls[i].name, whole.calls[i].name);
      EXPECT_TRUE(whole.calls[i].arguments.starts_with(cut.message.calls[i].arguments)) << size << cut.message.calls[i].arguments;
      EXPECT_TRUE(i + 1 == cut.message.calls.size() || cut.message.calls[i].arguments == whole.calls[i].arguments);
    }
    EXPECT_TRUE(cut.message.content.empty() || cut.message.content.starts_with("b")) << size << cut.message.content;
    EXPECT_EQ(cut.message.content.find("DSML"), std::string::npos) << size;
  }
}

TEST(Completion, ManyMarksInOnePiece) {
  std::string tags, joints, invokes;
  for (int i = 0; i < 200000; ++i) tags += "<think>";
  for (int i = 0; i < 200000; ++i) joints += "<<think>";
  for (int i = 0; i < 50000; ++i) invokes += dsml("<§invoke name=\"f\">");
  EXPECT_EQ(parse({"a" + tags}).message.content, "a");
  EXPECT_EQ(parse({"a" + joints}).message.content, "a" + std::string(200000, '<'));
  EXPECT_EQ(parse({"a" + invokes}).message.content, "a");
}

/// Random sequences of marks, halves of marks and text.
class Rubble {
 public:
  std::string operator()() {
    static const std::vector<std::string> parts = {"<§tool_calls>",
                                                   "</§tool_calls>",
                                                   "<§invoke name=\"f\">",
                                                   "<§invoke name=\"g\">",
                                                   "<§invoke name=\"zz\">",
                                                   "<§invoke>",
                                                   "<§invoke name=\"g\"/>",
                                                   "</§invoke>",
                                                   "<§parameter name=\"s\" string=\"true\">",
                                                   "<§parameter name=\"any\" string=\"false\">",
                                                   "<§parameter name=\"i\" string=\"true\">",
                                                   "<§parameter name=\"arguments\">",
                                                   "<§parameter>",
                                                   "</§parameter>",
                                                   "</§param",
                                                   "</§",
                                                   "<§",
                                                   "§",
                                                   "<",
                                                   "</",
                                                   "<|DSML|tool_calls >",
                                                   "< ｜｜DSML｜｜invoke name='f' >",
                                                   "<DSML|parameter string=\"false\" name=\"o\">",
                                                   "<think>",
                                                   "</think>",
                                                   "<thi",
                                                   "nk>",
                                                   "</th",
                                                   "<｜end▁of▁sentence｜>",
                                                   "<｜User｜>",
                                                   "<｜Us",
                                                   "er｜>",
                                                   "<｜DS",
                                                   "ML｜",
                                                   "invoke",
                                                   " name=\"f\"",
                                                   ">",
                                                   "/>",
                                                   "\"",
                                                   "{",
                                                   "}",
                                                   "{\"s\": 1}",
                                                   "42",
                                                   "\\",
                                                   "é",
                                                   "\xF0\x9F",
                                                   "\x9A\x80",
                                                   "\xFF",
                                                   " ",
                                                   "\n\n",
                                                   "text ",
                                                   "a",
                                                   "STOP",
                                                   "ST",
                                                   "OP"};
    std::string out;
    for (uint64_t n = 1 + random_() % 24; n > 0; --n) {
      const size_t among = random_() % 4 == 0 ? parts.size() : 22;
      out += parts[random_() % among];
    }
    return dsml(out);
  }

 private:
  std::mt19937_64 random_{20};
};

TEST(Completion, DamagedMarkupIsOneMessageInAnyPiecesAndShowsNoMark) {
  const std::regex mark("<\\s*/?\\s*(\\||｜|‖|\\s)*DSML\\s*(\\||｜|‖)|</?think>|<｜end▁of▁sentence｜>|<\\|EOT\\|>|<｜User｜>");
  const std::regex end("<｜end▁of▁sentence｜>|<｜User｜>");
  Rubble rubble;
  size_t calls = 0, contents = 0;
  for (int round = 0; round < 6000; ++round) {
    const std::string text = rubble();
    const Answer answer{.text = text, .thinking = round % 2 == 0, .cut = round % 3 == 0, .stops = {"STOP"}};
    const Parsed whole = parse(answer);
    for (const size_t piece : {1, 2, 3, 7, 16}) {
      const Parsed parts = parse(answer, piece);
      ASSERT_EQ(as_text(parts.message), as_text(whole.message)) << "pieces of " << piece << ": " << text;
      ASSERT_EQ(parts.reason, whole.reason) << text;
    }
    ASSERT_FALSE(std::regex_search(whole.message.content, mark)) << text << "\n" << whole.message.content;
    ASSERT_FALSE(std::regex_search(whole.message.reasoning, mark)) << text << "\n" << whole.message.reasoning;
    ASSERT_EQ(whole.message.content.find("STOP"), std::string::npos) << text;
    for (size_t i = 0; i < whole.message.calls.size(); ++i) {
      const CompletionCall& call = whole.message.calls[i];
      ASSERT_FALSE(std::regex_search(call.arguments, end)) << text;
      const bool may_be_cut = whole.reason == FinishReason::kLength && i + 1 == whole.message.calls.size();
      ASSERT_TRUE(may_be_cut || nlohmann::json::accept(call.arguments)) << text << "\n" << call.arguments;
      ASSERT_FALSE(call.name.empty());
    }
    calls += whole.message.calls.size();
    contents += !whole.message.content.empty();
  }
  EXPECT_GT(calls, 1000u);
  EXPECT_GT(contents, 1000u);
}

TEST(CompletionTools, FormsAndWhatTheyMean) {
  EXPECT_TRUE(CompletionTools::parse("[]", "T").empty());
  EXPECT_TRUE(CompletionTools::parse("{}", "T").empty());
  EXPECT_TRUE(CompletionTools::parse("{\"tools\": null}", "T").empty());
  EXPECT_TRUE(CompletionTools::parse("{\"tools\": [{\"name\": \"f\"}], \"tool_choice\": \"none\"}", "T").empty());
  EXPECT_FALSE(CompletionTools::parse("{\"tools\": [{\"name\": \"f\"}], \"tool_choice\": \"auto\"}", "T").empty());
  const CompletionTools tools = CompletionTools::parse(kCaseTools, "T");
  ASSERT_NE(tools.find("f"), nullptr);
  EXPECT_EQ(tools.find("h"), nullptr);
  EXPECT_TRUE(tools.find("f")->types("s").only_string());
  EXPECT_FALSE(tools.find("f")->types("sn").only_string());
  EXPECT_FALSE(tools.find("f")->types("r").allow_string());
  EXPECT_TRUE(tools.find("f")->types("any").allow_string());
  EXPECT_TRUE(tools.find("g")->types("x").allow_string());
}

TEST(CompletionTools, SchemasThatReferToThemselvesEnd) {
  const CompletionTools tools = CompletionTools::parse(
      R"([{"name": "f", "parameters": {"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}, {"$ref": "#/properties/a"}]}, "b": {"$ref": "#/x/y"}}}}])",
      "T");
  EXPECT_TRUE(tools.find("f")->types("a").allow_string());
  EXPECT_TRUE(tools.find("f")->types("b").allow_string());
}

TEST(CompletionTools, WhatIsNoListOfToolsIsNamed) {
  const auto why = [](const char* text) -> std::string {
    try {
      (void)CompletionTools::parse(text, "T");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_TRUE(why("[").starts_with("T: not JSON at byte 1: "));
  EXPECT_EQ(why("3"), "T: expected a list of tools");
  EXPECT_EQ(why("{\"tools\": 3}"), "T: tools: expected a list of tools");
  EXPECT_EQ(why("[3]"), "T: [0]: expected an object, a tool");
  EXPECT_EQ(why("[{\"function\": {}}]"), "T: [0].function.name: expected the name of the tool, a string");
  EXPECT_EQ(why("{\"tools\": [{\"name\": \"f\"}, {\"name\": \"\"}]}"), "T: tools[1].name: expected the name of the tool, a string");
  EXPECT_EQ(why("[{\"name\": \"f\", \"parameters\": 3}]"), "T: [0].parameters: expected an object, the JSON schema of the parameters");
}

}  // namespace
}  // namespace dsv4
