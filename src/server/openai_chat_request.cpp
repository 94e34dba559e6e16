// The body of /v1/chat/completions.
#include <algorithm>

#include "checkpoint/quote.h"
#include "checkpoint/utf8.h"
#include "server/openai_request.h"
#include "server/openai_sampling.h"

namespace dsv4 {

namespace {

/// Text, or parts of it: other parts would not reach the model.
std::string read_content(const ApiField& content) {
  if (content.absent()) return "";
  const std::string expected = "a string or a list of parts of text";
  if (content.as<PyJson::List>() == nullptr) return content.text(expected);
  std::string out;
  for (size_t i = 0; i < content.list_size(); ++i) {
    const ApiField part = content[i];
    part.object("a part of text");
    const std::string type = part["type"].text("\"text\"");
    if (type != "text" && type != "refusal")
      part["type"].refuse("found " + quote(type) + ", expected \"text\": this model reads text alone");
    if (i > 0) out += "\n\n";
    out += part[type].text();
  }
  return out;
}

ChatToolCall read_call(const ApiField& call) {
  call.object("a call of a tool");
  if (!call["type"].absent()) call["type"].one_of({"function"});
  const ApiField function = call["function"];
  function.object("the function that is called");
  ChatToolCall out;
  out.id = call["id"].text_or("");
  out.name = function["name"].text("the name of the tool");
  const ApiField arguments = function["arguments"];
  if (const auto* object = arguments.as<PyJson::Object>()) {
    out.parameters = *object;
  } else {
    out.parameters = call_parameters(arguments.absent() ? "{}" : arguments.text("a string that holds a JSON object"));
  }
  for (const PyJson::Member& parameter : out.parameters) {
    const auto* text = parameter.value.as<std::string>();
    if (invalid_utf8(parameter.key) || (text != nullptr && invalid_utf8(*text))) {
      arguments.refuse("half of a surrogate pair (\\ud800 to \\udfff), which is no character");
    }
  }
  return out;
}

ChatRole read_role(const ApiField& role) {
  switch (role.one_of({"system", "developer", "user", "assistant", "tool"})) {
    case 0:
    case 1:  // OpenAI's newer name; the model's own developer messages are something else
      return ChatRole::kSystem;
    case 2:
      return ChatRole::kUser;
    case 3:
      return ChatRole::kAssistant;
    default:
      return ChatRole::kTool;
  }
}

ChatMessage read_message(const ApiField& field) {
  field.object("a message");
  ChatMessage message;
  message.role = read_role(field["role"]);
  message.content = read_content(field["content"]);
  const bool assistant = message.role == ChatRole::kAssistant;
  if (field["content"].absent() && !assistant) field["content"].wrong("the text of the message");
  if (assistant) {
    for (const char* name : {"reasoning", "reasoning_content"}) {
      if (const ApiField reasoning = field[name]; !reasoning.absent()) message.reasoning_content = reasoning.text();
    }
    if (const ApiField calls = field["tool_calls"]; !calls.absent()) {
      for (size_t i = 0; i < calls.list_size(); ++i) message.tool_calls.push_back(read_call(calls[i]));
    }
    if (!field["function_call"].absent()) field["function_call"].refuse("is not read: use tool_calls");
    if (!field["audio"].absent()) field["audio"].refuse("is not read: this model reads text alone");
  }
  if (message.role == ChatRole::kTool) message.tool_call_id = field["tool_call_id"].text_or("");
  return message;
}

/// Whether the model goes on with the last message, and that it can answer at all.
void read_end(const ApiField& body, const ApiField& messages, std::vector<ChatMessage>& out) {
  const ApiField last = messages[out.size() - 1];
  for (size_t i = 0; i < out.size(); ++i) {
    const ApiField prefix = messages[i]["prefix"];
    if (!prefix.flag_or(false)) continue;
    if (i + 1 < out.size() || out[i].role != ChatRole::kAssistant)
      prefix.refuse("true, which only the last message may have, of the assistant");
    out[i].unfinished = true;
  }
  if (const ApiField goes_on = body["continue_final_message"]; goes_on.flag_or(false)) {
    if (out.back().role != ChatRole::kAssistant) goes_on.refuse("true, but the last message is not of the assistant");
    out.back().unfinished = true;
  }
  if (out.back().unfinished && !out.back().tool_calls.empty())
    last["tool_calls"].refuse("a message that the model is to go on with has no calls");
  const ChatRole role = out.back().role;
  if (role == ChatRole::kSystem || (role == ChatRole::kAssistant && !out.back().unfinished)) {
    last["role"].refuse("the last message is " + last["role"].shown() +
                        ", expected one of the user or of a tool, or of the assistant with prefix: true");
  }
}

void read_messages(const ApiField& body, Conversation& chat) {
  const ApiField messages = body["messages"];
  const size_t count = messages.list_size("a list of messages");
  if (count == 0) messages.refuse("an empty list, expected at least one message");
  for (size_t i = 0; i < count; ++i) chat.messages.push_back(read_message(messages[i]));
  read_end(body, messages, chat.messages);
}

void check_tool_choice(const ApiField& choice) {
  if (choice.absent()) return;
  if (choice.as<PyJson::Object>() != nullptr) choice.refuse("a named tool cannot be demanded yet; expected \"auto\" or \"none\"");
  if (choice.one_of({"auto", "none", "required"}) == 2)
    choice.refuse("\"required\": a call cannot be demanded yet; expected \"auto\" or \"none\"");
}

/// Tools stand in the first system message; `tool_choice` "none" leaves them out of what the model sees.
void read_tools(const ApiField& body, ChatRequest& out) {
  for (const char* name : {"functions", "function_call"}) {
    if (!body[name].absent()) body[name].refuse("is not read: use tools and tool_choice");
  }
  const ApiField choice = body["tool_choice"], tools = body["tools"];
  check_tool_choice(choice);
  out.parallel_calls = body["parallel_tool_calls"].flag_or(true);
  if (tools.absent()) return;
  std::vector<PyJson> functions;
  for (size_t i = 0; i < tools.list_size("a list of tools"); ++i) {
    tools[i].object("a tool");
    if (!tools[i]["type"].absent()) tools[i]["type"].one_of({"function"});
    const ApiField function = tools[i]["function"];
    function.object("a function");
    if (function["name"].text("the name of the tool").empty()) function["name"].refuse("empty, expected the name of the tool");
    if (const ApiField schema = function["parameters"]; !schema.absent()) schema.object("the JSON schema of the parameters");
    functions.push_back(function.json());
  }
  const bool none = choice.as<std::string>() != nullptr && *choice.as<std::string>() == "none";
  if (functions.empty() || none) return;
  out.tools = CompletionTools::parse(tools.json().dump(), "tools");
  std::vector<ChatMessage>& messages = out.chat.messages;
  auto found = std::find_if(messages.begin(), messages.end(), [](const ChatMessage& message) { return message.role == ChatRole::kSystem; });
  if (found == messages.end()) {
    ChatMessage system;
    system.role = ChatRole::kSystem;
    found = messages.insert(messages.begin(), std::move(system));
  }
  found->tools = std::move(functions);
}

/// The words of all clients for two things: whether the model thinks, and how much.
void read_thinking(const ApiField& body, const RequestDefaults& defaults, Conversation& chat) {
  chat.thinking = true;
  chat.effort = defaults.effort;
  if (const ApiField effort = body["reasoning_effort"]; !effort.absent()) {
    constexpr ReasoningEffort kEfforts[] = {ReasoningEffort::kLow,  ReasoningEffort::kLow,  ReasoningEffort::kLow, ReasoningEffort::kHigh,
                                            ReasoningEffort::kHigh, ReasoningEffort::kHigh, ReasoningEffort::kMax, ReasoningEffort::kMax};
    const size_t place = effort.one_of({"none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra"});
    chat.thinking = place != 0;
    chat.effort = kEfforts[place];
  }
  if (const ApiField arguments = body["chat_template_kwargs"]; !arguments.absent()) {
    arguments.object();
    for (const char* name : {"thinking", "enable_thinking"}) chat.thinking = arguments[name].flag_or(chat.thinking);
  }
  if (const ApiField thinking = body["thinking"]; !thinking.absent()) {
    thinking.object("an object with \"type\"");
    chat.thinking = thinking["type"].one_of({"enabled", "disabled"}) == 0;
  }
}

/// What would change the answer and is not there.
void check_what_is_missing(const ApiField& body) {
  if (const ApiField format = body["response_format"]; !format.absent()) {
    format.object();
    if (format["type"].one_of({"text", "json_object", "json_schema"}) != 0) {
      format["type"].refuse("found " + format["type"].shown() + ": an answer cannot be held to a form yet; expected \"text\"");
    }
  }
  if (const ApiField kinds = body["modalities"]; !kinds.absent()) {
    for (size_t i = 0; i < kinds.list_size(); ++i) kinds[i].one_of({"text"});
  }
  if (!body["audio"].absent()) body["audio"].refuse("is not made: this model writes text alone");
}

}  // namespace

ChatRequest parse_chat_request(std::string_view text, const RequestDefaults& defaults) {
  const PyJson json = parse_api_body(text);
  const ApiField body(&json, "");
  ChatRequest out;
  read_messages(body, out.chat);
  out.generation = read_generation(body, defaults);
  const ApiField top = body["top_logprobs"];
  if (body["logprobs"].flag_or(false)) {
    out.generation.logprobs = top.integer_or(0, kMostLogprobs, 0);
  } else if (!top.absent() && top.integer(0, kMostLogprobs) > 0) {
    top.refuse("needs logprobs: true");
  }
  check_what_is_missing(body);
  read_thinking(body, defaults, out.chat);
  read_tools(body, out);
  return out;
}

}  // namespace dsv4
