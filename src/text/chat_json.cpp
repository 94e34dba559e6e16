// Reads a chat JSON.
#include "text/chat_json.h"

#include <algorithm>
#include <span>
#include <utility>

#include "checkpoint/quote.h"
#include "checkpoint/utf8.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr size_t kMostShown = 80;

template <class T>
struct Name {
  const char* name;
  T value;
};

constexpr Name<ChatRole> kRoles[] = {{"system", ChatRole::kSystem}, {"developer", ChatRole::kDeveloper},
                                     {"user", ChatRole::kUser},     {"assistant", ChatRole::kAssistant},
                                     {"tool", ChatRole::kTool},     {"latest_reminder", ChatRole::kLatestReminder}};
constexpr Name<ChatTask> kTasks[] = {{"action", ChatTask::kAction}, {"query", ChatTask::kQuery}, {"authority", ChatTask::kAuthority},
                                     {"domain", ChatTask::kDomain}, {"title", ChatTask::kTitle}, {"read_url", ChatTask::kReadUrl}};
constexpr Name<bool> kModes[] = {{"chat", false}, {"thinking", true}};
constexpr Name<ReasoningEffort> kEfforts[] = {
    {"low", ReasoningEffort::kLow}, {"high", ReasoningEffort::kHigh}, {"max", ReasoningEffort::kMax}};
constexpr const char* kFields[] = {"messages", "tools", "response_format", "thinking_mode", "drop_thinking", "reasoning_effort"};

std::string shown(const PyJson& value) { return shortened(escaped(value.dump()), kMostShown); }

/// A value of the file and what messages call it.
class Field {
 public:
  /// `value` is nullptr where the field is missing.
  Field(const PyJson* value, const std::string& where, std::string path) : value_(value), where_(where), path_(std::move(path)) {}

  bool missing() const { return value_ == nullptr; }
  bool absent() const { return missing() || value_->is_null(); }
  template <class T>
  const T* as() const {
    return missing() ? nullptr : value_->as<T>();
  }

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(where_, ": ", path_, path_.empty() ? "" : ": ", parts...);
  }
  [[noreturn]] void wrong_type(std::string_view expected) const {
    if (missing()) refuse("missing, expected ", expected);
    refuse("found ", shown(*value_), ", expected ", expected);
  }

  Field operator[](const std::string& key) const {
    return {missing() ? nullptr : value_->find(key), where_, path_.empty() ? key : path_ + "." + key};
  }

  const PyJson::Object& object(std::string_view expected = "an object") const {
    if (const auto* members = as<PyJson::Object>()) return *members;
    wrong_type(expected);
  }
  const PyJson& json() const { return *value_; }

  size_t list_size(std::string_view expected = "a list") const {
    if (const auto* list = as<PyJson::List>()) return list->size();
    wrong_type(expected);
  }
  /// An item of a list.
  Field operator[](size_t i) const { return {&(*as<PyJson::List>())[i], where_, path_ + "[" + std::to_string(i) + "]"}; }

  std::string text(std::string_view expected = "a string") const {
    const auto* value = as<std::string>();
    if (value == nullptr) wrong_type(expected);
    check_characters(*value);
    return *value;
  }
  std::string text_or_none() const { return absent() ? "" : text(); }

  /// The file is UTF-8, so what is none came from an escape.
  void check_characters(std::string_view value) const {
    if (invalid_utf8(value)) refuse("half of a surrogate pair (\\ud800 to \\udfff), which is no character; remove it");
  }

  bool flag() const {
    const auto* value = as<bool>();
    if (value == nullptr) wrong_type("true or false");
    return *value;
  }

  template <class T>
  T one_of(std::span<const Name<T>> names) const {
    std::string list;
    for (size_t i = 0; i < names.size(); ++i)
      list += (i == 0 ? "\"" : i + 1 < names.size() ? "\", \"" : "\" or \"") + std::string(names[i].name);
    list += '"';
    const auto* value = as<std::string>();
    if (value != nullptr) {
      for (const Name<T>& known : names) {
        if (*value == known.name) return known.value;
      }
    }
    wrong_type(list);
  }

 private:
  const PyJson* value_;
  const std::string& where_;
  std::string path_;
};

/// A list is its text parts with an empty line between them; of others DeepSeek's encoder says in the prompt that they are not supported.
std::string content_text(const Field& content) {
  constexpr std::string_view kExpected = "a string or a list of parts";
  if (content.as<PyJson::List>() == nullptr) return content.text(kExpected);
  std::string out;
  const char* separator = "";
  for (size_t i = 0; i < content.list_size(); ++i) {
    const Field part = content[i];
    part.object();
    const std::string type = part["type"].text();
    out += separator;
    if (type != "text") {
      out += "[Unsupported " + type + "]";
    } else if (!part["text"].missing()) {
      out += part["text"].text();
    }
    separator = "\n\n";
  }
  return out;
}

/// DeepSeek's encoder takes no content, or null, for an empty one; but of a user message it needs one that is no null, of a developer's one
/// that is not empty, and of tool results and reminders it prints Python's None.
std::string read_content(const Field& content, ChatRole role) {
  if (role == ChatRole::kDeveloper) {
    std::string text = content_text(content);
    if (text.empty()) content.refuse("empty, expected the text of a developer message");
    return text;
  }
  if (content.missing()) return role == ChatRole::kLatestReminder ? "None" : "";
  if (!content.absent() || role == ChatRole::kUser) return content_text(content);
  return role == ChatRole::kLatestReminder || role == ChatRole::kTool ? "None" : "";
}

ChatToolCall read_call(const Field& call) {
  call.object();
  const Field function = call["function"];
  function.object();
  ChatToolCall out;
  out.id = call["id"].text_or_none();
  if (out.id.empty()) out.id = function["id"].text_or_none();
  out.name = function["name"].text();
  const Field arguments = function["arguments"];
  out.parameters = call_parameters(arguments.text("a string that holds a JSON object"));
  for (const PyJson::Member& parameter : out.parameters) {
    arguments.check_characters(parameter.key);
    if (const auto* text = parameter.value.as<std::string>()) arguments.check_characters(*text);
  }
  return out;
}

std::vector<PyJson> read_tools(const Field& tools) {
  std::vector<PyJson> out;
  if (tools.absent()) return out;
  for (size_t i = 0; i < tools.list_size(); ++i) {
    const Field tool = tools[i];
    tool.object();
    const Field function = tool["function"];
    function.object();
    out.push_back(function.json());
  }
  return out;
}

/// Null for none, and for an empty one, which says nothing.
PyJson read_response_format(const Field& format) { return format.absent() || format.object().empty() ? PyJson() : format.json(); }

ChatMessage read_message(const Field& field, bool last) {
  field.object();
  ChatMessage message;
  message.role = field["role"].one_of<ChatRole>(kRoles);
  message.content = read_content(field["content"], message.role);
  message.reasoning_content = field["reasoning_content"].text_or_none();
  if (const Field calls = field["tool_calls"]; !calls.absent()) {
    for (size_t i = 0; i < calls.list_size(); ++i) message.tool_calls.push_back(read_call(calls[i]));
  }
  message.tool_call_id = field["tool_call_id"].text_or_none();
  message.tools = read_tools(field["tools"]);
  message.response_format = read_response_format(field["response_format"]);
  if (const Field task = field["task"]; !task.absent()) message.task = task.one_of<ChatTask>(kTasks);
  if (const Field unfinished = field["wo_eos"]; !unfinished.absent()) message.unfinished = unfinished.flag();
  if (const Field prefix = field["prefix"]; !prefix.absent() && prefix.flag()) {
    if (!last || message.role != ChatRole::kAssistant) prefix.refuse("true, which only the last message may have, of the assistant");
    message.unfinished = true;
  }
  return message;
}

/// Tools and a response format beside the messages are those of the first system or developer message, or of an empty system message in front.
void add_beside(std::vector<PyJson> tools, PyJson response_format, std::vector<ChatMessage>& messages) {
  if (tools.empty() && response_format.is_null()) return;
  auto found = std::find_if(messages.begin(), messages.end(), [](const ChatMessage& message) {
    return message.role == ChatRole::kSystem || message.role == ChatRole::kDeveloper;
  });
  if (found == messages.end()) {
    ChatMessage system;
    system.role = ChatRole::kSystem;
    found = messages.insert(messages.begin(), std::move(system));
  }
  if (!tools.empty()) found->tools = std::move(tools);
  if (!response_format.is_null()) found->response_format = std::move(response_format);
}

PyJson parsed(std::string_view text, const std::string& where) {
  if (text.size() > kMostChatBytes) fail(where, ": ", text.size(), " bytes, expected a chat JSON of at most ", kMostChatBytes);
  if (const std::optional<size_t> byte = invalid_utf8(text)) fail(where, ": byte ", *byte, " is not UTF-8; save the chat JSON as UTF-8");
  PyJson::Problem problem;
  std::optional<PyJson> json = PyJson::parse(text, &problem);
  if (!json && problem.too_deep) {
    fail(where, ": byte ", problem.byte, ": lists and objects in more than ", PyJson::kMostLevels, " levels; a chat JSON has fewer");
  }
  if (!json) fail(where, ": byte ", problem.byte, ": no JSON: ", problem.what);
  return *std::move(json);
}

}  // namespace

ChatJson read_chat_json(std::string_view text, const std::string& where) {
  const PyJson json = parsed(text, where);
  const Field top(&json, where, "");
  ChatJson out;
  for (const PyJson::Member& member : top.object("an object with \"messages\" and \"thinking_mode\"")) {
    const bool known = std::any_of(std::begin(kFields), std::end(kFields), [&member](const char* field) { return member.key == field; });
    if (!known) out.unknown.push_back(excerpt(member.key));
  }
  Conversation& chat = out.chat;
  const Field messages = top["messages"];
  const size_t count = messages.list_size("a list of messages");
  if (count == 0) messages.refuse("an empty list, expected at least one message");
  for (size_t i = 0; i < count; ++i) chat.messages.push_back(read_message(messages[i], i + 1 == count));
  chat.thinking = top["thinking_mode"].one_of<bool>(kModes);
  if (const Field drop = top["drop_thinking"]; !drop.missing()) chat.drop_thinking = drop.flag();
  if (const Field effort = top["reasoning_effort"]; !effort.absent()) chat.effort = effort.one_of<ReasoningEffort>(kEfforts);
  add_beside(read_tools(top["tools"]), read_response_format(top["response_format"]), chat.messages);
  return out;
}

}  // namespace dsv4
