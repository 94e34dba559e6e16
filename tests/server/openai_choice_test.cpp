// Choices from tokens: the chunks of a stream and the whole answer, against JSON written by hand.
#include "server/openai_choice.h"

#include <gtest/gtest.h>

#include <cmath>

#include "checkpoint/json_text.h"

namespace dsv4 {
namespace {

using Json = nlohmann::ordered_json;

TokenLogprobs logprob(const std::string& bytes, double value) { return {{bytes, value}, {{bytes, value}, {"?", -9.5}}}; }

CompletionOptions completion(bool thinking, std::vector<std::string> stops = {}) {
  CompletionOptions options;
  options.thinking = thinking;
  options.stops = std::move(stops);
  return options;
}

std::string text_of(const std::vector<Json>& chunks) {
  std::string out;
  for (const Json& chunk : chunks) out += json_text(chunk) + "\n";
  return out;
}

/// Parsed, so that the order of fields is not looked at.
void expect_json(const Json& found, const std::string& expected) { EXPECT_EQ(nlohmann::json(found), nlohmann::json::parse(expected)); }

TEST(ChatChoice, StreamsReasoningAndContent) {
  ChatChoice choice({.index = 2}, completion(true), true);
  expect_json(choice.push("Hm.", {}).at(0),
              R"({"index": 2, "delta": {"role": "assistant", "reasoning_content": "Hm."}, "logprobs": null, "finish_reason": null})");
  EXPECT_TRUE(choice.push("</think>", {}).empty());
  expect_json(choice.push("Yes", {}).at(0), R"({"index": 2, "delta": {"content": "Yes"}, "logprobs": null, "finish_reason": null})");
  EXPECT_TRUE(choice.push("<｜end▁of▁sentence｜>", {}).empty());
  EXPECT_TRUE(choice.ended());
  expect_json(choice.finish(false).at(0), R"({"index": 2, "delta": {}, "logprobs": null, "finish_reason": "stop"})");
  expect_json(choice.whole(),
              R"({"index": 2, "message": {"role": "assistant", "content": "Yes", "reasoning_content": "Hm."}, "logprobs": null,
                                  "finish_reason": "stop"})");
  EXPECT_EQ(choice.tokens(), 4);
  EXPECT_EQ(choice.reasoning_tokens(), 2);
}

TEST(ChatChoice, SaysWhoAnswersThoughNothingIsSaid) {
  ChatChoice choice({}, completion(false), true);
  choice.push("<｜end▁of▁sentence｜>", {});
  expect_json(choice.finish(false).at(0),
              R"({"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": null, "finish_reason": "stop"})");
  expect_json(choice.whole(),
              R"({"index": 0, "message": {"role": "assistant", "content": ""}, "logprobs": null, "finish_reason": "stop"})");
}

TEST(ChatChoice, GivesWhatWasHeldBackAtTheLimit) {
  ChatChoice choice({}, completion(false, {"end."}), true);
  EXPECT_EQ(text_of(choice.push("the en", {})),
            R"({"index":0,"delta":{"role":"assistant","content":"the "},"logprobs":null,"finish_reason":null})"
            "\n");
  EXPECT_EQ(text_of(choice.finish(true)), R"({"index":0,"delta":{"content":"en"},"logprobs":null,"finish_reason":null})"
                                          "\n"
                                          R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"length"})"
                                          "\n");
}

TEST(ChatChoice, EndsAtAStopStringOverTokens) {
  ChatChoice choice({}, completion(false, {"LORD th"}), true);
  choice.push("of the", {});
  choice.push(" LORD", {});
  EXPECT_FALSE(choice.ended());
  choice.push(" the", {});
  EXPECT_TRUE(choice.ended());
  choice.finish(false);
  EXPECT_EQ(choice.message().content, "of the ");
}

constexpr const char* kCalls =
    "\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"f\">\n<｜DSML｜parameter name=\"x\" "
    "string=\"false\">1.50</｜DSML｜parameter>\n</｜DSML｜invoke>\n"
    "<｜DSML｜invoke name=\"g\">\n<｜DSML｜parameter name=\"y\" "
    "string=\"true\">z</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>";

ChatChoice with_tools(bool parallel) {
  CompletionOptions options;
  options.thinking = false;
  options.tools =
      CompletionTools::parse(R"([{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}])", "T");
  return ChatChoice({}, std::move(options), parallel);
}

TEST(ChatChoice, HasCallsOfTools) {
  ChatChoice choice = with_tools(true);
  std::vector<Json> chunks;
  for (const char* at = kCalls; *at != 0; ++at) {
    for (Json& chunk : choice.push(std::string_view(at, 1), {})) chunks.push_back(std::move(chunk));
  }
  choice.push("<｜end▁of▁sentence｜>", {});
  choice.finish(false);
  std::string arguments[2], names[2];
  for (const Json& chunk : chunks) {
    if (!chunk["delta"].contains("tool_calls")) continue;
    const Json& call = chunk["delta"]["tool_calls"][0];
    const size_t index = call["index"].get<size_t>();
    if (call["function"].contains("name")) names[index] = call["function"]["name"];
    arguments[index] += call["function"]["arguments"].get<std::string>();
  }
  EXPECT_EQ(names[0] + names[1], "fg");
  expect_json(choice.whole(), R"({"index": 0, "message": {"role": "assistant", "content": null, "tool_calls": [
      {"id": "call_0", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1.5}"}},
      {"id": "call_1", "type": "function", "function": {"name": "g", "arguments": "{\"y\": \"z\"}"}}]}, "logprobs": null, "finish_reason": "tool_calls"})");
  EXPECT_EQ(arguments[0], R"({"x": 1.5})");
  EXPECT_EQ(arguments[1], R"({"y": "z"})");
}

TEST(ChatChoice, EndsBehindItsFirstCallWhereOneIsWanted) {
  ChatChoice choice = with_tools(false);
  for (const char* at = kCalls; *at != 0 && !choice.ended(); ++at) choice.push(std::string_view(at, 1), {});
  EXPECT_TRUE(choice.ended());
  expect_json(choice.finish(false).back(), R"({"index": 0, "delta": {}, "logprobs": null, "finish_reason": "tool_calls"})");
  ASSERT_EQ(choice.message().calls.size(), 1u);
  EXPECT_EQ(choice.message().calls[0].arguments, R"({"x": 1.5})");
}

TEST(ChatChoice, GivesLogprobsWithTheTextThatShowsThem) {
  ChatChoice choice({.logprobs = true}, completion(false), true);
  const std::string rocket = "\xF0\x9F\x9A\x80";
  EXPECT_TRUE(choice.push(rocket.substr(0, 2), logprob(rocket.substr(0, 2), -1)).empty());
  const std::string both = R"({"content": [
      {"token": "�", "logprob": -1.0, "bytes": [240, 159], "top_logprobs": [{"token": "�", "logprob": -1.0, "bytes": [240, 159]},
                                                                            {"token": "?", "logprob": -9.5, "bytes": [63]}]},
      {"token": "��", "logprob": -9999.0, "bytes": [154, 128], "top_logprobs": [{"token": "��", "logprob": -9999.0, "bytes": [154, 128]},
                                                                                {"token": "?", "logprob": -9.5, "bytes": [63]}]}], "refusal": null})";
  const auto chunks = choice.push(rocket.substr(2), logprob(rocket.substr(2), -HUGE_VAL));
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0]["delta"]["content"], rocket);
  expect_json(chunks[0]["logprobs"], both);
  choice.push("<｜end▁of▁sentence｜>", logprob("E", -2));
  const auto last = choice.finish(false);
  EXPECT_EQ(last.back()["logprobs"]["content"].size(), 1u);  // the token that ends the answer has one too
  EXPECT_EQ(choice.whole()["logprobs"]["content"].size(), 3u);
}

TEST(TextChoice, EchoesAndEndsAtAStopString) {
  TextChoice choice({.index = 1, .logprobs = true}, {"stop"}, "Ü:");
  expect_json(choice.push("a", logprob("a", -1)).at(0),
              R"({"index": 1, "text": "Ü:a", "logprobs": {"tokens": ["a"], "token_logprobs": [-1.0],
      "top_logprobs": [{"a": -1.0, "?": -9.5}], "text_offset": [2]}, "finish_reason": null})");
  EXPECT_TRUE(choice.push("st", logprob("st", -2)).empty());
  EXPECT_TRUE(choice.push("op!", logprob("op!", -3)).empty());
  EXPECT_TRUE(choice.ended());
  const auto last = choice.finish(true);
  EXPECT_EQ(last.back()["finish_reason"], "stop");
  EXPECT_EQ(last.back()["logprobs"]["text_offset"], Json::array({3, 5}));
  expect_json(choice.whole()["logprobs"]["text_offset"], "[2, 3, 5]");
  EXPECT_EQ(choice.whole()["text"], "Ü:a");
}

TEST(TextChoice, IsWholeAtTheLimit) {
  TextChoice choice({}, {}, "P");
  expect_json(choice.finish(true).back(), R"({"index": 0, "text": "", "logprobs": null, "finish_reason": "length"})");
  expect_json(choice.whole(), R"({"index": 0, "text": "P", "logprobs": null, "finish_reason": "length"})");
}

TEST(Reply, HasTheFieldsOfTheApi) {
  const ReplyHead head{"chatcmpl-1", 1700000000, "mini"};
  const Usage usage{.prompt = 10, .cached = 4, .generated = 3, .reasoning = 2};
  expect_json(parse_json(reply_json(head, "chat.completion", Json::array({1}), usage)),
              R"({"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "mini", "choices": [1],
      "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13, "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 2}, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}})");
  EXPECT_EQ(stream_event("{}"), "data: {}\n\n");
}

}  // namespace
}  // namespace dsv4
