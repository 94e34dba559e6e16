// The cases; R1 to R16 are the rules in docs/completions.md.
#include "text/completion_cases.h"

namespace dsv4::testing_support {

namespace {

/// A block with one call of f.
std::string block(const std::string& parameters) {
  return "<§tool_calls>\n<§invoke name=\"f\">\n" + parameters + "\n</§invoke>\n</§tool_calls>";
}

std::string parameter(const std::string& name, const std::string& attribute, const std::string& value) {
  return "<§parameter name=\"" + name + "\"" + attribute + ">" + value + "</§parameter>";
}

const char* const kText = " string=\"true\"";
const char* const kJson = " string=\"false\"";

void add_thinking(std::vector<CompletionCase>& cases) {
  cases.insert(cases.end(), {{"R1 thinking begins in reasoning", "think", "a</think>b", "a", "b", {}},
                             {"R1 chat begins in content", "chat", "a", "", "a", {}},
                             {"R1 a think tag at the start is dropped", "think", "<think>a</think>b", "a", "b", {}},
                             {"R1 it opens reasoning in chat mode", "chat", "<think>a</think>b", "a", "b", {}},
                             {"R1 behind white space too", "chat", "\n<think>a</think>b", "a", "\nb", {}},
                             {"R1 not in the middle of an answer", "chat", "x<think>a</think>b", "", "xab", {}},
                             {"R1 nothing at all", "think", "", "", "", {}},
                             {"R2 doubled", "think", "<think><think>a</think></think>b", "a", "b", {}},
                             {"R2 stray ones behind", "think", "a</think>b<think>c</think>d", "a", "bcd", {}},
                             {"R2 a closing one in chat mode", "chat", "</think>a", "", "a", {}},
                             {"R2 after it nothing opens reasoning", "chat", "</think><think>a", "", "a", {}},
                             {"R2 no end", "think", "all of it", "all of it", "", {}},
                             {"R2 then nothing", "think", "a</think><｜end▁of▁sentence｜>", "a", "", {}},
                             {"R2 white space stays", "think", "a \n</think>\n\nb", "a \n", "\n\nb", {}},
                             {"R2 what is left out joins nothing", "chat", "x <thi<think>nk>y", "", "x <thiy", {}},
                             {"R2 nor twice", "think", "</think>x <t<th<think>ink>hink>y", "", "x <t<thhink>y", {}},
                             {"R2 nor a closing tag", "think", "</think>x </th<think><think>ink>y", "", "x </thy", {}},
                             {"R3 the end", "chat", "a<｜end▁of▁sentence｜>b", "", "a", {}},
                             {"R3 EOT", "chat", "a<|EOT|>b", "", "a", {}},
                             {"R3 a role token", "chat", "Hello<｜User｜>And", "", "Hello", {}},
                             {"R3 another", "chat", "Hello \n<｜Assistant｜><think>And", "", "Hello \n", {}},
                             {"R3 in reasoning", "think", "a<｜end▁of▁sentence｜></think>b", "a", "", {}},
                             {"R3 the end is an end, whatever the limit says",
                              "think cut",
                              "</think><§tool_calls><§invoke name=\"f\"><§parameter name=\"s\" string=\"true\">a<｜end▁of▁sentence｜>",
                              "",
                              "",
                              {{"f", "{\"s\": \"a\"}"}}}});
}

void add_space(std::vector<CompletionCase>& cases) {
  const std::string call = block(parameter("s", kText, "a"));
  const std::vector<std::pair<std::string, std::string>> called = {{"f", "{\"s\": \"a\"}"}};
  cases.insert(cases.end(), {{"R4 blank lines before a block", "chat", "I will inspect.\n\n\n\n" + call, "", "I will inspect.", called},
                             {"R4 one space", "chat", "Sure! " + call, "", "Sure!", called},
                             {"R4 blank lines before text", "chat", "x.\n\nt", "", "x.\n\nt", {}},
                             {"R4 at the end", "chat", "x.\n\n", "", "x.\n\n", {}},
                             {"R4 at the end of an answer", "chat", "x. \t<｜end▁of▁sentence｜>", "", "x. \t", {}},
                             {"R4 between reasoning and block", "think", "a</think>\n\n" + call, "a", "", called},
                             {"R4 with a stray tag between", "chat", "x \n</think>\n" + call, "", "x", called},
                             {"R4 before a tag that is dropped", "chat", "x </§invoke> y", "", "x  y", {}},
                             {"R5 in open reasoning", "think", "so I call\n\n" + call, "so I call", "", called},
                             {"R5 and no answer behind", "think", "so I call" + call + "\n</think>b", "so I call", "", called},
                             {"R5 a bare invoke", "think", "so<§invoke name=\"g\"/>", "so", "", {{"g", "{}"}}}});
}

void add_spellings(std::vector<CompletionCase>& cases) {
  const std::vector<std::pair<std::string, std::string>> called = {{"f", "{\"s\": \"a\"}"}};
  for (const char* name : {"tool_calls", "toolcalls", "function_calls"}) {
    const std::string opener = name;
    cases.push_back({"R6 names", "chat",
                     "x<§" + opener + "><§invoke name=\"f\">" + parameter("s", kText, "a") + "</§invoke></§" + opener + ">", "", "x",
                     called});
  }
  for (const char* marker :
       {"|DSML|", "｜｜DSML｜｜", "||DSML||", "DSML｜", "DSML|", "DSML||", "｜DSML|", "||DSML｜", "‖DSML‖", " ｜ DSML ｜ ", "\n|DSML|\t"}) {
    std::string answer = "x " + block(parameter("s", kText, "a"));
    std::string spelled;
    for (size_t at = 0;;) {
      const size_t next = answer.find("§", at);
      spelled += answer.substr(at, next - at);
      if (next == std::string::npos) break;
      spelled += marker;
      at = next + std::string("§").size();
    }
    cases.push_back({"R6 bars", "chat", spelled, "", "x", called});
  }
  cases.insert(
      cases.end(),
      {{"R6 attributes in another order", "chat",
        "<§tool_calls><§invoke name=\"f\"><§parameter string=\"true\" name=\"s\">a</§parameter></§invoke></§tool_calls>", "", "", called},
       {"R6 space in tags", "chat",
        "<§tool_calls >\n< §invoke\n name = \"f\" >\n<§parameter\n\tname=\"s\"\n\tstring=\"true\"\n>a</ §parameter >< /§invoke "
        "></§tool_calls\n>",
        "", "", called},
       {"R6 no space", "chat",
        "<§tool_calls><§invoke name='f'><§parameter name=\"s\"string=\"true\">a</§parameter></§invoke></§tool_calls>", "", "", called},
       {"R6 a name with an angle",
        "chat",
        "<§tool_calls><§invoke name=\"f\"><§parameter name=\"a<b\" string=\"true\">a</§parameter></§invoke></§tool_calls>",
        "",
        "",
        {{"f", "{\"a<b\": \"a\"}"}}},
       {"R6 no marks",
        "chat",
        "2 < 3, a<b, <｜DSM x, </DSML parameter, <tool_calls>, <b>",
        "",
        "2 < 3, a<b, <｜DSM x, </DSML parameter, <tool_calls>, <b>",
        {}},
       {"R6 no mark at the end", "chat", "2 <", "", "2 <", {}},
       {"R6 nor half a word", "chat", "2 <｜DS", "", "2 <｜DS", {}},
       {"R6 but a whole word", "chat", "2 <｜DSML", "", "2 ", {}},
       {"R6 half a tag at the end", "chat", "a <§tool_ca", "", "a ", {}},
       {"R6 half a tag before text", "chat", "a <§tool_calls b c", "", "a  b c", {}},
       {"R6 an unknown tag", "chat", "a<§foo>b</§foo>c", "", "abc", {}},
       {"R6 a quote that nothing closes", "chat", "a <§invoke name=\"f\nb", "", "a  name=\"f\nb", {}},
       {"R6 tags before tags", "chat", "<<<§tool_calls><§invoke name=\"g\"></§invoke></§tool_calls>", "", "<<", {{"g", "{}"}}}});
}

void add_values(std::vector<CompletionCase>& cases) {
  const auto value = [&](const char* name, const char* parameter_name, const char* attribute, const char* text, const std::string& json) {
    cases.push_back({name,
                     "chat",
                     block(parameter(parameter_name, attribute, text)),
                     "",
                     "",
                     {{"f", "{\"" + std::string(parameter_name) + "\": " + json + "}"}}});
  };
  value("R7 text", "s", kText, " a\n", "\" a\\n\"");
  value("R7 escapes", "s", kText, "\"\\\n\r\t\b\f\x01\x7F\u2028é😀/", "\"\\\"\\\\\\n\\r\\t\\b\\f\\u0001\x7F\u2028é😀/\"");
  value("R7 empty", "s", kText, "", "\"\"");
  for (const char* json : {"true", "42", "3.14", "[1, 2]", "{\"a\": null}", "null", "\"x\"", "123456789012345678901234567890"})
    value("R7 JSON", "any", kJson, json, json);
  value("R7 JSON as Python prints it", "any", kJson, " [1e5,{\"a\":1e16}] ", "[100000.0, {\"a\": 1e+16}]");
  value("R7 no JSON", "any", kJson, "hello", "\"hello\"");
  value("R7 broken JSON", "any", kJson, "[broken", "\"[broken\"");
  value("R7 no JSON, other letters", "any", kJson, "Привет", "\"Привет\"");
  value("R7 nothing for JSON", "any", kJson, "", "\"\"");
  value("R7 text in a number's place", "i", kText, "42", "42");
  value("R7 text of a number or null", "in", kText, "null", "null");
  value("R7 text of a number or null", "in", kText, "7", "7");
  value("R7 whole floats are integers", "i", kText, "5.0", "5.0");
  value("R7 what does not fit is text", "i", kText, "4.5", "\"4.5\"");
  value("R7 what does not fit is text", "i", kText, "many", "\"many\"");
  value("R7 an object", "o", kText, "{\"a\":1}", "{\"a\": 1}");
  value("R7 a list", "l", kText, "[]", "[]");
  value("R7 a list for an object", "o", kText, "[]", "\"[]\"");
  value("R7 a boolean", "b", kText, "true", "true");
  value("R7 by reference", "r", kText, "{}", "{}");
  value("R7 text stays where text is allowed", "s", kText, "{\"a\": 1}", "\"{\\\"a\\\": 1}\"");
  value("R7 text stays where text is allowed", "sn", kText, "null", "\"null\"");
  value("R7 text stays where nothing is said", "any", kText, "42", "\"42\"");
  value("R7 text stays where nothing is declared", "zz", kText, "42", "\"42\"");
  value("R7 only text", "s", kJson, "null", "\"null\"");
  value("R7 only text", "s", kJson, "42", "\"42\"");
  value("R7 only words", "e", kJson, "x", "\"x\"");
  value("R7 text or null", "sn", kJson, "null", "null");
  value("R7 JSON of another type is JSON", "i", kJson, "[1]", "[1]");
  value("R7 no attribute: JSON", "any", "", "42", "42");
  value("R7 no attribute: text", "any", "", "so so", "\"so so\"");
  value("R7 no attribute: the schema says text", "s", "", "42", "\"42\"");
  value("R7 no attribute: the schema says integer", "i", "", "42", "42");
  value("R7 no attribute: neither", "sn", "", "42", "\"42\"");
  value("R7 no attribute: null", "sn", "", "null", "null");
  value("R7 another attribute", "any", " string=\"maybe\"", "42", "42");
  value("R8 markup is text", "s", kText, "<b>x</b> <tool_calls> </parameter> a<b", "\"<b>x</b> <tool_calls> </parameter> a<b\"");
  value("R8 other tags are text", "s", kText, dsml("<§invoke name=\"g\"> <§tool_calls> <§parameter> <think></think>").c_str(),
        dsml("\"<§invoke name=\\\"g\\\"> <§tool_calls> <§parameter> <think></think>\""));
  value("R8 half a parameter is text", "s", kText, dsml("a <§parameter name=\"t\" b").c_str(), dsml("\"a <§parameter name=\\\"t\\\" b\""));
  const std::string open = "<§tool_calls>\n<§invoke name=\"f\">\n<§parameter name=\"s\" string=\"true\">a";
  const std::string next = "<§parameter name=\"t\" string=\"true\">b</§parameter>";
  const std::string close = "\n</§invoke>\n</§tool_calls>";
  const std::vector<std::pair<std::string, std::string>> one = {{"f", "{\"s\": \"a\"}"}}, two = {{"f", "{\"s\": \"a\", \"t\": \"b\"}"}};
  cases.insert(cases.end(), {{"R8 a broken end", "chat", open + "</§param>" + close, "", "", one},
                             {"R8 an end without a name", "chat", open + "</§>" + next + close, "", "", two},
                             {"R8 an end without its angle", "chat", open + "</§parameter\n" + next + close, "", "", two},
                             {"R8 a word behind the name", "chat", open + "</§parameter x>" + next + close, "", "", two},
                             {"R8 the end of another parameter", "chat", open + next + close, "", "", two},
                             {"R8 the invoke's end", "chat", open + "</§invoke></§tool_calls>x", "", "", one},
                             {"R8 the block's end", "chat", open + "</§tool_calls>x", "", "", one}});
}

void add_ends(std::vector<CompletionCase>& cases) {
  const std::string f = "<§invoke name=\"f\">" + parameter("s", kText, "a"), g = "<§invoke name=\"g\">" + parameter("q", kJson, "1");
  const std::string end = "</§invoke>";
  const std::vector<std::pair<std::string, std::string>> one = {{"f", "{\"s\": \"a\"}"}},
                                                         two = {{"f", "{\"s\": \"a\"}"}, {"g", "{\"q\": 1}"}};
  cases.insert(
      cases.end(),
      {{"R9 an invoke's end by the block's", "chat", "<§tool_calls>" + f + "</§tool_calls>", "", "", one},
       {"R9 by the next invoke", "chat", "<§tool_calls>" + f + g + end + "</§tool_calls>", "", "", two},
       {"R9 by another block", "chat", "<§tool_calls>" + f + "<§tool_calls>" + g + end + "</§tool_calls>", "", "", two},
       {"R9 by the end", "chat", "<§tool_calls>" + f, "", "", one},
       {"R9 by the end token", "chat", "<§tool_calls>" + f + "<｜end▁of▁sentence｜>x", "", "", one},
       {"R9 the block's", "chat", "<§tool_calls>" + f + end, "", "", one},
       {"R9 a value's", "chat", "<§tool_calls><§invoke name=\"f\"><§parameter name=\"s\" string=\"true\">a", "", "", one},
       {"R10 bare, closed, declared", "chat", "x " + f + end, "", "x", one},
       {"R10 two", "chat", "x " + f + end + "\n" + g + end + "</§tool_calls> y", "", "x", two},
       {"R10 not declared", "chat", "x <§invoke name=\"zz\">" + parameter("s", kText, "a") + end + " y", "", "x  y", {}},
       {"R10 not closed", "chat", "x " + f + " y", "", "x ", {}},
       {"R10 not closed, then a block", "chat", "x " + f + " <§tool_calls>" + g + end + "</§tool_calls>", "", "x", {{"g", "{\"q\": 1}"}}},
       {"R10 prose about markup", "chat", "Write <§invoke name=\"f\"> first.\n\nThen more.", "", "Write  first.\n\nThen more.", {}},
       {"R10 prose in reasoning", "think", "Write <§invoke name=\"f\"> </think>b", "Write  ", "b", {}},
       {"R10 prose with a value", "chat", "Write <§invoke name=\"zz\"><§parameter name=\"s\"> so.", "", "Write  so.", {}},
       {"R10 declared in no block counts, not declared in a block too",
        "chat",
        "<§tool_calls><§invoke name=\"zz\">" + end + "</§tool_calls>",
        "",
        "",
        {{"zz", "{}"}}},
       {"R10 what is left out joins nothing", "chat", "a <thi<§invoke name=\"zz\"></§invoke>nk>b", "", "a <thib", {}},
       {"R10 nor what is no call", "chat", "a <thi<§invoke name=\"f\">nk>b", "", "a <thib", {}},
       {"R11 an object", "chat", block("{\"s\": \"a\", \"q\": [1,2]}"), "", "", {{"f", "{\"s\": \"a\", \"q\": [1, 2]}"}}},
       {"R11 with marks in it", "chat", block("{\"s\": \"<think>\"}"), "", "", {{"f", "{\"s\": \"<think>\"}"}}},
       {"R11 bare", "chat", "<§invoke name=\"g\"> {\"s\": \"</think>\"} </§invoke>", "", "", {{"g", "{\"s\": \"</think>\"}"}}},
       {"R11 no object", "chat", block("[1]"), "", "", {{"f", "{}"}}},
       {"R11 nothing", "chat", block(""), "", "", {{"f", "{}"}}},
       {"R11 self-closing",
        "chat",
        "<§tool_calls><§invoke name=\"f\"/><§invoke name=\"g\" /></§tool_calls>",
        "",
        "",
        {{"f", "{}"}, {"g", "{}"}}},
       {"R11 self-closing, bare", "chat", "x <§invoke name=\"g\"/>", "", "x", {{"g", "{}"}}},
       {"R11 a self-closing parameter", "chat", block("<§parameter name=\"s\" string=\"true\"/>"), "", "", {{"f", "{\"s\": \"\"}"}}},
       {"R11 parameters count more", "chat", block("{\"t\": 1}" + parameter("s", kText, "a")), "", "", one},
       {"R12 arguments", "chat", block(parameter("arguments", kJson, "{\"s\":\"a\"}")), "", "", one},
       {"R12 input, as text", "chat", block(parameter("input", kText, "{\"s\": \"a\"}")), "", "", one},
       {"R12 in a JSON string", "chat", block(parameter("arguments", kJson, "\"{\\\"s\\\": \\\"a\\\"}\"")), "", "", one},
       {"R12 unknown keys", "chat", block(parameter("arguments", kJson, "{\"zz\": 1}")), "", "", {{"f", "{\"arguments\": {\"zz\": 1}}"}}},
       {"R12 no object", "chat", block(parameter("input", kText, "a")), "", "", {{"f", "{\"input\": \"a\"}"}}},
       {"R12 not alone",
        "chat",
        block(parameter("input", kText, "{\"s\": 1}") + parameter("t", kText, "b")),
        "",
        "",
        {{"f", "{\"input\": \"{\\\"s\\\": 1}\", \"t\": \"b\"}"}}},
       {"R12 not first",
        "chat",
        block(parameter("s", kText, "a") + parameter("input", kJson, "{\"t\": 1}")),
        "",
        "",
        {{"f", "{\"s\": \"a\", \"input\": {\"t\": 1}}"}}},
       {"R12 declared",
        "chat",
        "<§tool_calls><§invoke name=\"has_input\">" + parameter("input", kJson, "{\"a\": 1}") + "</§invoke></§tool_calls>",
        "",
        "",
        {{"has_input", "{\"input\": {\"a\": 1}}"}}},
       {"R12 no schema",
        "chat",
        "<§tool_calls><§invoke name=\"g\">" + parameter("input", kJson, "{\"a\": 1}") + "</§invoke></§tool_calls>",
        "",
        "",
        {{"g", "{\"input\": {\"a\": 1}}"}}},
       {"R13 no name", "chat", "<§tool_calls><§invoke>" + parameter("s", kText, "x") + end + f + end + "</§tool_calls>", "", "", one},
       {"R13 an empty name", "chat",
        "<§tool_calls>" + f + end + "<§invoke name=\"\">" + parameter("s", kText, "x") + end + "</§tool_calls>", "", "", one},
       {"R13 a broken one", "chat", "<§tool_calls><§invoke name=\"g\"\n" + parameter("s", kText, "x") + end + f + end + "</§tool_calls>",
        "", "", one},
       {"R13 text between", "chat", "<§tool_calls> so: " + f + " and " + end + " then </think> <b> " + g + end + " end </§tool_calls>", "",
        "", two},
       {"R13 a parameter without a name", "chat", block("<§parameter string=\"true\">x</§parameter>" + parameter("s", kText, "a")), "", "",
        one},
       {"R13 a parameter in no invoke", "chat", "<§tool_calls>" + parameter("t", kText, "x") + f + end + "</§tool_calls>", "", "", one},
       {"R13 ends that end nothing", "chat", "<§tool_calls></§parameter></§invoke>" + f + "</§parameter>" + end + "</§tool_calls>", "", "",
        one},
       {"R14 two blocks", "chat", "x <§tool_calls>" + f + end + "</§tool_calls> y <§tool_calls>" + g + end + "</§tool_calls> z", "", "x",
        two},
       {"R14 text behind", "think", "r</think>x\n<§tool_calls>" + f + end + "</§tool_calls> y <think>z</think> <", "r", "x", one}});
}

void add_cuts(std::vector<CompletionCase>& cases) {
  const std::string g = "x\n\n<§tool_calls>\n<§invoke name=\"g\">" + parameter("q", kJson, "1") + "</§invoke>\n";
  const auto cut = [&](const char* name, const std::string& rest, const std::vector<std::pair<std::string, std::string>>& more) {
    std::vector<std::pair<std::string, std::string>> calls = {{"g", "{\"q\": 1}"}};
    calls.insert(calls.end(), more.begin(), more.end());
    cases.push_back({name, "chat cut", g + rest, "", "x", calls});
  };
  cut("R15 between calls", "", {});
  cut("R15 in a tag", "<§inv", {});
  cut("R15 in a name", "<§invoke name=\"f", {});
  cut("R15 before the parameters", "<§invoke name=\"f\">\n", {});
  cut("R15 in a parameter's tag", "<§invoke name=\"f\">\n<§parameter name=\"s\" str", {});
  cut("R15 in a value", "<§invoke name=\"f\">\n<§parameter name=\"s\" string=\"true\">ab", {{"f", "{\"s\": \"ab"}});
  cut("R15 in a character", "<§invoke name=\"f\">\n<§parameter name=\"s\" string=\"true\">ab\xF0\x9F", {{"f", "{\"s\": \"ab"}});
  cut("R15 in JSON", "<§invoke name=\"f\">\n<§parameter name=\"o\" string=\"false\">{\"a\": ", {});
  cut("R15 in the second value",
      "<§invoke name=\"f\">" + parameter("s", kText, "a") + "<§parameter name=\"o\" string=\"false\">{\"a\": ", {{"f", "{\"s\": \"a\""}});
  cut("R15 in an end", "<§invoke name=\"f\">\n<§parameter name=\"s\" string=\"true\">ab</§para", {{"f", "{\"s\": \"ab\""}});
  cut("R15 in an end's marker", "<§invoke name=\"f\">\n<§parameter name=\"s\" string=\"true\">ab</｜DS", {{"f", "{\"s\": \"ab"}});
  cut("R15 before an end's marker", "<§invoke name=\"f\">\n<§parameter name=\"s\" string=\"true\">ab<", {{"f", "{\"s\": \"ab"}});
  cut("R15 before the invoke's end", "<§invoke name=\"f\">" + parameter("s", kText, "a") + "\n</§invo", {{"f", "{\"s\": \"a\""}});
  cut("R15 in an object", "<§invoke name=\"f\">{\"s\": \"a", {});
  cut("R15 in arguments", "<§invoke name=\"f\"><§parameter name=\"arguments\" string=\"true\">{\"s\": \"a", {});
  cut("R15 behind all calls", "</§tool_calls>", {});
  cases.insert(
      cases.end(),
      {{"R15 text", "chat cut", "a \xF0\x9F", "", "a \uFFFD", {}},
       {"R15 reasoning", "think cut", "a ", "a ", "", {}},
       {"R15 a bare invoke", "chat cut", "a <§invoke name=\"f\">\n<§parameter name=\"s\" string=\"true\">ab", "", "a ", {}},
       {"R15 2 <", "chat cut", "2 <", "", "2 <", {}},
       {"R15 half a word", "chat cut", "2 <｜DS", "", "2 ", {}},
       {"R15 half a think tag", "think cut", "2 </thin", "2 ", "", {}},
       {"R15 a tag", "chat cut", "a <§", "", "a ", {}},
       {"R16 markup is text",
        "chat none",
        "a\n\n" + block(parameter("s", kText, "a")) + " b",
        "",
        dsml("a\n\n" + block(parameter("s", kText, "a")) + " b"),
        {}},
       {"R16 cut too", "chat none cut", "a <§tool_ca", "", dsml("a <§tool_ca"), {}},
       {"R16 in reasoning", "think none", "<§invoke name=\"f\"/> </think> b <｜User｜>c", dsml("<§invoke name=\"f\"/> "), " b ", {}},
       {"R16 think tags are none", "chat none", "a<think>b", "", "ab", {}},
       {"bytes that are no text", "chat", "ok \xFF\xFE end", "", "ok \uFFFD\uFFFD end", {}},
       {"half a character before a mark", "think", "a\xE2\x82</think>\x82 b", "a\uFFFD", "\uFFFD b", {}},
       {"bytes that are no text in a value",
        "chat",
        block(parameter("s", kText, "\xF0\x9F\x9A\x80\xFF")),
        "",
        "",
        {{"f", "{\"s\": \"🚀\uFFFD\"}"}}},
       {"bytes that are no text in JSON", "chat", block(parameter("any", kJson, "[\"\xFF\"]")), "", "", {{"f", "{\"any\": [\"\uFFFD\"]}"}}},
       {"a name twice",
        "chat",
        block(parameter("s", kText, "a") + parameter("s", kText, "b")),
        "",
        "",
        {{"f", "{\"s\": \"a\", \"s\": \"b\"}"}}}});
}

}  // namespace

std::vector<CompletionCase> completion_cases() {
  std::vector<CompletionCase> cases;
  add_thinking(cases);
  add_space(cases);
  add_spellings(cases);
  add_values(cases);
  add_ends(cases);
  add_cuts(cases);
  for (CompletionCase& one : cases) one.answer = dsml(one.answer);
  return cases;
}

}  // namespace dsv4::testing_support
