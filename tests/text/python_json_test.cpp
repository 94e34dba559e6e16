// JSON as Python's json module reads and prints it; what is expected here is what Python 3.11 prints. tests/cli/test_encode_chat.py asks Python itself.
#include "text/python_json.h"

#include <gtest/gtest.h>

#include "checkpoint/utf8.h"

namespace dsv4 {
namespace {

/// By values, and printed at once, which has to be the same.
std::string printed(std::string_view text) {
  const std::optional<PyJson> json = PyJson::parse(text);
  const std::string by_values = json ? json->dump() : "(not JSON)";
  EXPECT_EQ(PyJson::printed(text).value_or("(not JSON)"), by_values);
  return by_values;
}

TEST(PythonJson, NumbersAreInTheirPythonForms) {
  const std::pair<const char*, const char*> cases[] = {
      {"1e5", "100000.0"},
      {"1e16", "1e+16"},
      {"1e15", "1000000000000000.0"},
      {"1e-7", "1e-07"},
      {"0.0001", "0.0001"},
      {"0.00001", "1e-05"},
      {"123456789012345680.0", "1.2345678901234568e+17"},
      {"1.5E+300", "1.5e+300"},
      {"-0", "0"},
      {"-0.0", "-0.0"},
      {"1.50", "1.5"},
      {"0.1", "0.1"},
      {"5e-324", "5e-324"},
      {"1e-400", "0.0"},
      {"1e400", "Infinity"},
      {"-1e400", "-Infinity"},
      {"[NaN, Infinity, -Infinity]", "[NaN, Infinity, -Infinity]"},
      {"5.684341886080802e-14", "5.684341886080802e-14"},
      {"9007199254740993", "9007199254740993"},
      {"-340282366920938463463374607431768211456000000000000000000001", "-340282366920938463463374607431768211456000000000000000000001"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(printed(text), expected) << text;
}

TEST(PythonJson, ADuplicateKeyHasItsLastValueAtThePlaceOfItsFirst) {
  EXPECT_EQ(printed(R"({"b": 1, "a": 2, "b": 3})"), R"({"b": 3, "a": 2})");
  std::string text, expected;  // of many keys, where a table finds them
  for (int i = 0; i < 100; ++i) text += (i == 0 ? "{" : ", ") + ("\"k" + std::to_string(i % 40)) + "\": " + std::to_string(i);
  for (int i = 0; i < 40; ++i)
    expected += (i == 0 ? "{" : ", ") + ("\"k" + std::to_string(i)) + "\": " + std::to_string(i < 20 ? i + 80 : i + 40);
  EXPECT_EQ(printed(text + "}"), expected + "}");
}

TEST(PythonJson, WhatAPythonStringPrintsIsEscapedAndTheRestIsNot) {
  EXPECT_EQ(printed(R"("\u00e9\u4f60\ud83d\ude00\u007f\u2028\/\"\\\b\f\n\r\t\u0001\u001F")"),
            "\"é你😀\x7F\u2028/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\"");
}

TEST(PythonJson, HalfOfASurrogatePairIsKeptAndPrintedAsAnEscape) {
  EXPECT_EQ(printed(R"(["\ud83d", "\ude00\ud83d", "\ud83dx", "\uD83D\u0041"])"), R"(["\ud83d", "\ude00\ud83d", "\ud83dx", "\ud83dA"])");
  EXPECT_TRUE(invalid_utf8(*PyJson::parse(R"("a\ud83d")")->as<std::string>()).has_value());
}

TEST(PythonJson, WhiteSpaceGoesAndSeparatorsArePythons) {
  EXPECT_EQ(printed(" {\"a\":[ 1 ,\n2,{ } ,[\t]],\r\"b\":null , \"c\":true,\"d\":false} "),
            R"({"a": [1, 2, {}, []], "b": null, "c": true, "d": false})");
}

TEST(PythonJson, WhatPythonRefusesIsRefused) {
  for (const char* text :
       {"",       " ",     "[1,]", "{\"a\":1,}", "{a:1}",    "{'a':1}",        "01",   "1.",      ".5",          "+1",
        "-",      "1e",    "0x1",  "nan",        "tru",      "[1 2]",          "\"a",  "\"\\x\"", "\"\\u12g4\"", "\"\\ud83d\\u12\"",
        "\"\n\"", "{} {}", "[",    "{\"a\"}",    "{\"a\":}", "\xEF\xBB\xBF{}", "-NaN", "[1]]",    "\v1"}) {
    EXPECT_EQ(printed(text), "(not JSON)") << text;
  }
}

TEST(PythonJson, AProblemSaysWhere) {
  PyJson::Problem problem;
  EXPECT_FALSE(PyJson::parse("{\"a\": [1, }", &problem));
  EXPECT_EQ(problem.byte, 10u);
  EXPECT_FALSE(problem.too_deep);
}

TEST(PythonJson, LevelsAreLimited) {
  const auto nested = [](size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  EXPECT_EQ(printed(nested(PyJson::kMostLevels)), nested(PyJson::kMostLevels));
  PyJson::Problem problem;
  EXPECT_FALSE(PyJson::parse(nested(PyJson::kMostLevels + 1), &problem));
  EXPECT_TRUE(problem.too_deep);
  EXPECT_FALSE(PyJson::parse(std::string(1u << 20, '['), &problem));
  EXPECT_TRUE(problem.too_deep);
  EXPECT_TRUE(PyJson::parse("[[1],[2]]", nullptr, 2));
  EXPECT_FALSE(PyJson::parse("[[1],[[2]]]", nullptr, 2));
}

}  // namespace
}  // namespace dsv4
