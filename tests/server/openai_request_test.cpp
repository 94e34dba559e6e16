// Requests as clients write them: what is understood, and that what is not is refused by the name of its field.
#include "server/openai_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/api_error.h"
#include "text/chat_encoder.h"

namespace dsv4 {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kHello = R"("messages": [{"role": "user", "content": "Hello"}])";

ChatRequest chat(const std::string& fields, const RequestDefaults& defaults = {}) {
  return parse_chat_request("{" + std::string(kHello) + (fields.empty() ? "" : ", ") + fields + "}", defaults);
}

ChatRequest messages(const std::string& list, const std::string& fields = "") {
  return parse_chat_request(R"({"messages": [)" + list + "]" + (fields.empty() ? "" : ", ") + fields + "}", {});
}

CompletionRequest completion(const std::string& fields) { return parse_completion_request("{" + fields + "}", {}); }

std::string prompt_of(const ChatRequest& request) { return encode_chat(request.chat, ChatRelease::kOriginal); }

/// The field that a request is refused for; its message begins with it.
template <class Function>
std::string blamed(Function function) {
  try {
    function();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 400);
    EXPECT_THAT(error.what(), testing::StartsWith(error.param()));
    return error.param().empty() ? std::string("body: ") + error.what() : error.param();
  }
  return "nothing";
}

std::string blamed_in(const std::string& fields) {
  return blamed([&] { chat(fields); });
}
std::string blamed_message(const std::string& list) {
  return blamed([&] { messages(list); });
}

TEST(ChatRequest, HasTheModelsDefaultsWhereItSaysNothing) {
  RequestDefaults defaults;
  defaults.sampler.temperature = 0.6;
  defaults.sampler.top_p = 0.95;
  defaults.effort = ReasoningEffort::kMax;
  const ChatRequest request = chat("", defaults);
  EXPECT_EQ(request.generation.sampler.temperature, 0.6);
  EXPECT_EQ(request.generation.sampler.top_p, 0.95);
  EXPECT_TRUE(request.chat.thinking);
  EXPECT_EQ(request.chat.effort, ReasoningEffort::kMax);
  EXPECT_FALSE(request.generation.stream || request.generation.seeded || request.generation.max_tokens || request.generation.logprobs);
  EXPECT_EQ(request.generation.choices, 1);
}

TEST(ChatRequest, ReadsHowTokensAreChosen) {
  const GenerationRequest request =
      chat(R"("temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1, "presence_penalty": -2,
      "frequency_penalty": 2, "seed": -1, "n": 16, "stop": ["a", "b"], "max_tokens": 5, "logit_bias": {"7": -100, "12": 3.5}, "logprobs": true,
      "top_logprobs": 20, "ignore_eos": true, "stream": true, "stream_options": {"include_usage": true}, "user": "someone", "unheard_of": [1, {}])")
          .generation;
  EXPECT_EQ(request.sampler.temperature, 0.5);
  EXPECT_EQ(request.sampler.top_p, 0.9);
  EXPECT_EQ(request.sampler.top_k, 40);
  EXPECT_EQ(request.sampler.min_p, 0.05);
  EXPECT_EQ(request.sampler.repetition_penalty, 1.1);
  EXPECT_EQ(request.sampler.presence_penalty, -2);
  EXPECT_EQ(request.sampler.frequency_penalty, 2);
  EXPECT_EQ(request.sampler.seed, ~uint64_t{0});
  EXPECT_TRUE(request.seeded && request.ignore_eos && request.stream && request.include_usage);
  EXPECT_EQ(request.choices, 16);
  EXPECT_THAT(request.stop, ElementsAre("a", "b"));
  EXPECT_EQ(request.max_tokens, 5);
  EXPECT_EQ(request.logprobs, 20);
  ASSERT_EQ(request.sampler.logit_bias.size(), 2u);
  EXPECT_EQ(request.sampler.logit_bias[0].token, 7);
  EXPECT_EQ(request.sampler.logit_bias[1].bias, 3.5);
}

TEST(ChatRequest, TakesWhatClientsSendForNothing) {
  EXPECT_EQ(
      blamed_in(
          R"("temperature": null, "stop": null, "tools": null, "max_tokens": null, "response_format": {"type": "text"}, "logit_bias": {},
      "tool_choice": "auto", "top_k": -1, "top_p": 0, "modalities": ["text"], "store": true, "metadata": {"a": "b"})"),
      "nothing");
  EXPECT_EQ(chat(R"("max_tokens": 5, "max_completion_tokens": 7)").generation.max_tokens, 7);
  EXPECT_EQ(chat(R"("logprobs": false, "top_logprobs": 0)").generation.logprobs, std::nullopt);
}

TEST(ChatRequest, NamesTheFieldThatIsWrong) {
  const std::pair<const char*, const char*> kWrong[] = {
      {R"("temperature": -0.1)", "temperature"},
      {R"("temperature": NaN)", "temperature"},
      {R"("temperature": Infinity)", "temperature"},
      {R"("temperature": "hot")", "temperature"},
      {R"("temperature": true)", "temperature"},
      {R"("temperature": 1e400)", "temperature"},
      {R"("top_p": 1.5)", "top_p"},
      {R"("top_k": 1.5)", "top_k"},
      {R"("top_k": 99999999999999999999)", "top_k"},
      {R"("min_p": 2)", "min_p"},
      {R"("repetition_penalty": 0)", "repetition_penalty"},
      {R"("presence_penalty": 2.1)", "presence_penalty"},
      {R"("frequency_penalty": [])", "frequency_penalty"},
      {R"("seed": 18446744073709551615)", "seed"},
      {R"("n": 0)", "n"},
      {R"("n": 17)", "n"},
      {R"("best_of": 2)", "best_of"},
      {R"("max_tokens": 0)", "max_tokens"},
      {R"("max_completion_tokens": -5)", "max_completion_tokens"},
      {R"("stop": [""])", "stop[0]"},
      {R"("stop": ["a", 1])", "stop[1]"},
      {R"("stop": ["\ud800"])", "stop[0]"},
      {R"("stop": ["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"])", "stop"},
      {R"("logit_bias": {"x": 1})", "logit_bias"},
      {R"("logit_bias": {"5": 101})", "logit_bias.5"},
      {R"("logit_bias": [[5, 1]])", "logit_bias"},
      {R"("logprobs": 3)", "logprobs"},
      {R"("top_logprobs": 5)", "top_logprobs"},
      {R"("logprobs": true, "top_logprobs": 21)", "top_logprobs"},
      {R"("stream": "yes")", "stream"},
      {R"("stream_options": {"include_usage": true})", "stream_options"},
      {R"("model": 5)", "model"},
      {R"("reasoning_effort": "huge")", "reasoning_effort"},
      {R"("thinking": true)", "thinking"},
      {R"("thinking": {"type": "maybe"})", "thinking.type"},
      {R"("chat_template_kwargs": {"thinking": 1})", "chat_template_kwargs.thinking"},
      {R"("tool_choice": "required")", "tool_choice"},
      {R"("tool_choice": {"type": "function", "function": {"name": "f"}})", "tool_choice"},
      {R"("tool_choice": "never")", "tool_choice"},
      {R"("response_format": {"type": "json_object"})", "response_format.type"},
      {R"("response_format": {"type": "json_schema", "json_schema": {}})", "response_format.type"},
      {R"("response_format": {"type": "xml"})", "response_format.type"},
      {R"("modalities": ["text", "audio"])", "modalities[1]"},
      {R"("audio": {"voice": "x"})", "audio"},
      {R"("functions": [])", "functions"},
      {R"("tools": {})", "tools"},
      {R"("tools": [{"type": "web_search"}])", "tools[0].type"},
      {R"("tools": [{"type": "function"}])", "tools[0].function"},
      {R"("tools": [{"type": "function", "function": {"name": ""}}])", "tools[0].function.name"},
      {R"("tools": [{"type": "function", "function": {"name": "f", "parameters": []}}])", "tools[0].function.parameters"},
      {R"("continue_final_message": true)", "continue_final_message"},
  };
  for (const auto& [fields, field] : kWrong) EXPECT_EQ(blamed_in(fields), field) << fields;
}

TEST(ChatRequest, NamesTheMessageThatIsWrong) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"", "messages"},
      {"1", "messages[0]"},
      {"{}", "messages[0].role"},
      {R"({"role": "user"})", "messages[0].content"},
      {R"({"role": "user", "content": null})", "messages[0].content"},
      {R"({"role": "user", "content": 5})", "messages[0].content"},
      {R"({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]})", "messages[0].content[0].type"},
      {R"({"role": "user", "content": [{"type": "input_audio"}]})", "messages[0].content[0].type"},
      {R"({"role": "user", "content": [{"type": "text"}]})", "messages[0].content[0].text"},
      {R"({"role": "robot", "content": "x"})", "messages[0].role"},
      {R"({"role": "function", "content": "x"})", "messages[0].role"},
      {R"({"role": "system", "content": "x"})", "messages[0].role"},
      {R"({"role": "user", "content": "x"}, {"role": "assistant", "content": "y"})", "messages[1].role"},
      {R"({"role": "user", "content": "x", "prefix": true})", "messages[0].prefix"},
      {R"({"role": "assistant", "prefix": true, "content": "x"}, {"role": "user", "content": "x"})", "messages[0].prefix"},
      {R"({"role": "assistant", "tool_calls": [{"id": "1"}]}, {"role": "user", "content": "x"})", "messages[0].tool_calls[0].function"},
      {R"({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{\"\\ud800\": 1}"}}]}, {"role": "user", "content": "x"})",
       "messages[0].tool_calls[0].function.arguments"},
      {R"({"role": "user", "content": "\udc00"})", "messages[0].content"},
  };
  for (const auto& [list, field] : kWrong) EXPECT_EQ(blamed_message(list), field) << list;
}

TEST(ChatRequest, RefusesABodyThatIsNone) {
  const auto body = [](const std::string& text) { return blamed([&] { parse_chat_request(text, {}); }); };
  EXPECT_THAT(body(""), HasSubstr("not JSON"));
  EXPECT_THAT(body("{\"messages\": "), HasSubstr("not JSON"));
  EXPECT_THAT(body("[]"), HasSubstr("no JSON object"));
  EXPECT_THAT(body("{\"a\": \"\xff\"}"), HasSubstr("not UTF-8: byte 7"));
  EXPECT_THAT(body("{\"a\": " + std::string(100000, '[')), HasSubstr("levels"));
  EXPECT_EQ(body("{}"), "messages");
}

TEST(ChatRequest, ThinksAsClientsSay) {
  const auto thinks = [](const std::string& fields) { return chat(fields).chat.thinking; };
  EXPECT_TRUE(thinks(""));
  EXPECT_FALSE(thinks(R"("thinking": {"type": "disabled"})"));
  EXPECT_TRUE(thinks(R"("thinking": {"type": "enabled"}, "reasoning_effort": "none")"));
  EXPECT_FALSE(thinks(R"("reasoning_effort": "none")"));
  EXPECT_FALSE(thinks(R"("chat_template_kwargs": {"enable_thinking": false})"));
  EXPECT_FALSE(thinks(R"("chat_template_kwargs": {"thinking": false})"));
  const std::pair<const char*, ReasoningEffort> kEfforts[] = {{"minimal", ReasoningEffort::kLow}, {"low", ReasoningEffort::kLow},
                                                              {"medium", ReasoningEffort::kHigh}, {"high", ReasoningEffort::kHigh},
                                                              {"xhigh", ReasoningEffort::kHigh},  {"max", ReasoningEffort::kMax},
                                                              {"ultra", ReasoningEffort::kMax}};
  for (const auto& [word, effort] : kEfforts)
    EXPECT_EQ(chat(R"("reasoning_effort": ")" + std::string(word) + "\"").chat.effort, effort) << word;
}

TEST(ChatRequest, MakesThePromptOfTheConversation) {
  EXPECT_EQ(
      prompt_of(messages(R"({"role": "developer", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "a"},
      {"type": "text", "text": "b"}]}, {"role": "assistant", "content": null, "reasoning": "hm", "tool_calls": [{"id": "c1", "type": "function",
      "function": {"name": "f", "arguments": "{\"x\": 1.50, \"y\": 12345678901234567890123}"}}]}, {"role": "tool", "tool_call_id": "c1", "content": "r"})",
                         R"("thinking": {"type": "disabled"})")),
      "<｜begin▁of▁sentence｜>Be brief.<｜User｜>a\n\nb<｜Assistant｜></think>\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"f\">\n"
      "<｜DSML｜parameter name=\"x\" string=\"false\">1.5</｜DSML｜parameter>\n"
      "<｜DSML｜parameter name=\"y\" string=\"false\">12345678901234567890123</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>"
      "<｜end▁of▁sentence｜><｜User｜><tool_result>r</tool_result><｜Assistant｜></think>");
}

TEST(ChatRequest, GoesOnWithTheLastMessage) {
  const std::string begun = R"({"role": "user", "content": "x"}, {"role": "assistant", "content": "yes, b")";
  const std::string off = R"("thinking": {"type": "disabled"})";
  const std::string expected = "<｜begin▁of▁sentence｜><｜User｜>x<｜Assistant｜></think>yes, b";
  EXPECT_EQ(prompt_of(messages(begun + R"(, "prefix": true})", off)), expected);
  EXPECT_EQ(prompt_of(messages(begun + "}", off + R"(, "continue_final_message": true)")), expected);
}

TEST(ChatRequest, ShowsToolsToTheModelUnlessToldNotTo) {
  const std::string tools =
      R"("tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "minimum": 1.0}}}])";
  const ChatRequest with = chat(tools);
  EXPECT_THAT(prompt_of(with), HasSubstr(R"({"name": "weather", "parameters": {"type": "object", "minimum": 1.0}})"));
  EXPECT_NE(with.tools.find("weather"), nullptr);
  const ChatRequest without = chat(tools + R"(, "tool_choice": "none")");
  EXPECT_THAT(prompt_of(without), testing::Not(HasSubstr("weather")));
  EXPECT_TRUE(without.tools.empty());
  EXPECT_FALSE(chat(tools + R"(, "parallel_tool_calls": false)").parallel_calls);
}

TEST(CompletionRequest, ReadsPromptsAsTextAndIds) {
  using Ids = std::vector<int64_t>;
  EXPECT_EQ(std::get<std::string>(completion(R"("prompt": "a")").prompts.at(0)), "a");
  EXPECT_EQ(std::get<Ids>(completion(R"("prompt": [1, 2])").prompts.at(0)), (Ids{1, 2}));
  const CompletionRequest mixed = completion(R"("prompt": ["a", [3], ""], "echo": true, "n": 2)");
  ASSERT_EQ(mixed.prompts.size(), 3u);
  EXPECT_EQ(std::get<Ids>(mixed.prompts[1]), Ids{3});
  EXPECT_TRUE(mixed.echo);
  EXPECT_EQ(completion(R"("prompt": "a", "logprobs": 5)").generation.logprobs, 5);
}

TEST(CompletionRequest, NamesTheFieldThatIsWrong) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"", "prompt"},
      {R"("prompt": null)", "prompt"},
      {R"("prompt": [])", "prompt"},
      {R"("prompt": {})", "prompt"},
      {R"("prompt": [1, "a"])", "prompt[1]"},
      {R"("prompt": [1, -1])", "prompt[1]"},
      {R"("prompt": ["a", 1])", "prompt[1]"},
      {R"("prompt": [[]])", "prompt[0]"},
      {R"("prompt": [[1], [1.5]])", "prompt[1][0]"},
      {R"("prompt": "a", "logprobs": true)", "logprobs"},
      {R"("prompt": "a", "logprobs": 21)", "logprobs"},
      {R"("prompt": "a", "logprobs": 1, "echo": true)", "echo"},
      {R"("prompt": "a", "suffix": "b")", "suffix"},
  };
  for (const auto& [fields, field] : kWrong) EXPECT_EQ(blamed([&, text = fields] { completion(text); }), field) << fields;
}

TEST(ApiErrors, HaveOpenAisForm) {
  const HttpResponse refused = openai_error(ApiError(400, "n: found 0", "n", "some_code"));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.body, R"({"error":{"message":"n: found 0","type":"invalid_request_error","param":"n","code":"some_code"}})");
  EXPECT_EQ(openai_refusal(404, "no such path").body,
            R"({"error":{"message":"no such path","type":"invalid_request_error","param":null,"code":null}})");
  EXPECT_EQ(openai_error(std::runtime_error("broken")).status, 500);
  EXPECT_THAT(openai_error(std::runtime_error("broken")).body, HasSubstr(R"("type":"server_error")"));
  EXPECT_THAT(openai_error(ApiError(401, "no key")).body, HasSubstr("authentication_error"));
  EXPECT_NE(find_header(HttpHeaders{{"a", "b"}}, "a"), nullptr);
  EXPECT_EQ(openai_error(ApiError(429, "full")).headers.at(0).first, "Retry-After");
}

}  // namespace
}  // namespace dsv4
