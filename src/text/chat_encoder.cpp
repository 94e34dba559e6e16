// Conversations to prompts.
#include "text/chat_encoder.h"

#include <algorithm>
#include <cstddef>
#include <unordered_map>
#include <utility>

#include "text/chat_tokens.h"

namespace dsv4 {

namespace {

using namespace chat_tokens;

constexpr std::string_view kThorough =
    "Reasoning Effort: Absolute maximum with no shortcuts permitted.\n"
    "You MUST be very thorough in your thinking and comprehensively decompose the problem to resolve the root cause, rigorously "
    "stress-testing your logic against all potential paths, edge cases, and adversarial scenarios.\n"
    "Explicitly write out your entire deliberation process, documenting every intermediate step, considered alternative, and rejected "
    "hypothesis to ensure absolutely no assumption is left unchecked.\n\n";
constexpr std::string_view kRelentless =
    "Reasoning Effort: Beyond maximum — exhaustive, relentless, and uncompromising.\n"
    "You MUST reason with the utmost depth and rigor, leaving absolutely nothing to chance: exhaustively decompose the problem into its "
    "most fundamental components, trace every causal chain to its root, and resolve the underlying cause rather than any surface "
    "symptom.\n"
    "Do not stop reasoning until you have independently verified the solution from multiple angles and are certain that no assumption "
    "remains unchecked and no error remains undiscovered.\n\n";

constexpr std::string_view kBeforeTools =
    "## Tools\n\n"
    "You have access to a set of tools to help answer the user's question. You can invoke tools by writing a \"<｜DSML｜tool_calls>\" "
    "block like the following:\n\n"
    "<｜DSML｜tool_calls>\n"
    "<｜DSML｜invoke name=\"$TOOL_NAME\">\n"
    "<｜DSML｜parameter name=\"$PARAMETER_NAME\" string=\"true|false\">$PARAMETER_VALUE</｜DSML｜parameter>\n"
    "...\n"
    "</｜DSML｜invoke>\n"
    "<｜DSML｜invoke name=\"$TOOL_NAME2\">\n"
    "...\n"
    "</｜DSML｜invoke>\n"
    "</｜DSML｜tool_calls>\n\n"
    "String parameters should be specified as is and set `string=\"true\"`. For all other types (numbers, booleans, arrays, objects), "
    "pass the value in JSON format and set `string=\"false\"`.\n\n"
    "If thinking_mode is enabled (triggered by <think>), you MUST output your complete reasoning inside <think>...</think> BEFORE any "
    "tool calls or final response.\n\n"
    "Otherwise, output directly after </think> with tool calls or final response.\n\n"
    "### Available Tool Schemas\n\n";
constexpr std::string_view kBehindTools =
    "\n\nYou MUST strictly follow the above defined tool name and parameter schemas to invoke tool calls.\n";
constexpr std::string_view kBeforeSchema = "## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n";

std::string_view task_token(ChatTask task) {
  switch (task) {
    case ChatTask::kAction:
      return kAction;
    case ChatTask::kQuery:
      return kQuery;
    case ChatTask::kAuthority:
      return kAuthority;
    case ChatTask::kDomain:
      return kDomain;
    case ChatTask::kTitle:
      return kTitle;
    case ChatTask::kReadUrl:
      return kReadUrl;
  }
  return {};
}

/// A message, or the user messages and tool results in a row that are one.
struct Turn {
  ChatRole role = ChatRole::kUser;
  const ChatMessage* message = nullptr;   // of a user's turn the first
  std::vector<const ChatMessage*> parts;  // of a user's turn
  std::optional<ChatTask> task;
};

bool is_user(const Turn& turn) { return turn.role == ChatRole::kUser || turn.role == ChatRole::kDeveloper; }

/// A user message begins a turn of its own behind one with a task; a tool result never does behind a user.
std::vector<Turn> merged_turns(const std::vector<ChatMessage>& messages) {
  std::vector<Turn> turns;
  for (const ChatMessage& message : messages) {
    const bool result = message.role == ChatRole::kTool;
    if (!result && message.role != ChatRole::kUser) {
      turns.push_back({message.role, &message, {}, message.task});
      continue;
    }
    const bool joins = !turns.empty() && turns.back().role == ChatRole::kUser && (result || !turns.back().task);
    if (!joins) turns.push_back({ChatRole::kUser, &message, {}, result ? std::nullopt : message.task});
    turns.back().parts.push_back(&message);
  }
  return turns;
}

/// Puts the results of each turn into the order of the calls before it; those of unknown calls stand with the first.
void sort_results(std::vector<Turn>& turns) {
  std::unordered_map<std::string_view, size_t> order;
  for (Turn& turn : turns) {
    if (turn.role == ChatRole::kAssistant && !turn.message->tool_calls.empty()) {
      order.clear();
      const std::vector<ChatToolCall>& calls = turn.message->tool_calls;
      for (size_t i = 0; i < calls.size(); ++i) {
        if (!calls[i].id.empty()) order[calls[i].id] = i;
      }
    }
    std::vector<const ChatMessage*> results;
    for (const ChatMessage* part : turn.parts) {
      if (part->role == ChatRole::kTool) results.push_back(part);
    }
    const auto place = [&order](const ChatMessage* result) {
      const auto found = order.find(result->tool_call_id);
      return found == order.end() ? size_t{0} : found->second;
    };
    std::stable_sort(results.begin(), results.end(),
                     [&place](const ChatMessage* left, const ChatMessage* right) { return place(left) < place(right); });
    auto next = results.begin();
    for (const ChatMessage*& part : turn.parts) {
      if (part->role == ChatRole::kTool) part = *next++;
    }
  }
}

/// The index of the last turn of a user or developer, -1 when there is none.
std::ptrdiff_t last_user(const std::vector<Turn>& turns) {
  const auto found = std::find_if(turns.rbegin(), turns.rend(), is_user);
  return turns.rend() - found - 1;
}

void drop_old_developers(std::vector<Turn>& turns) {
  const auto end = turns.begin() + std::max<std::ptrdiff_t>(last_user(turns), 0);
  turns.erase(std::remove_if(turns.begin(), end, [](const Turn& turn) { return turn.role == ChatRole::kDeveloper; }), end);
}

class Encoder {
 public:
  explicit Encoder(const Conversation& chat) : thinking_(chat.thinking), turns_(merged_turns(chat.messages)) {
    sort_results(turns_);
    const bool tools = std::any_of(turns_.begin(), turns_.end(),
                                   [](const Turn& turn) { return turn.role != ChatRole::kUser && !turn.message->tools.empty(); });
    drop_ = chat.drop_thinking && !tools;
    if (thinking_ && drop_) drop_old_developers(turns_);
    last_user_ = last_user(turns_);
  }

  PromptText prompt(std::string_view effort) {
    out_.marker(kBegin);
    if (thinking_) out_.format(effort);
    for (size_t i = 0; i < turns_.size(); ++i) {
      content(i);
      const bool followed =
          i + 1 < turns_.size() && turns_[i + 1].role != ChatRole::kAssistant && turns_[i + 1].role != ChatRole::kLatestReminder;
      if (!followed) transition(i);
    }
    return std::move(out_);
  }

 private:
  void content(size_t i) {
    const ChatMessage& message = *turns_[i].message;
    switch (turns_[i].role) {
      case ChatRole::kSystem:
        out_.plain(message.content);
        additions(message);
        break;
      case ChatRole::kDeveloper:
        out_.marker(kUser);
        out_.plain(message.content);
        additions(message);
        break;
      case ChatRole::kLatestReminder:
        out_.marker(kLatestReminder);
        out_.plain(message.content);
        break;
      case ChatRole::kAssistant:
        answer(i);
        break;
      case ChatRole::kUser:
      case ChatRole::kTool:
        user(turns_[i]);
        break;
    }
  }

  void user(const Turn& turn) {
    out_.marker(kUser);
    std::string_view separator;
    for (const ChatMessage* part : turn.parts) {
      out_.plain(separator);
      const bool result = part->role == ChatRole::kTool;
      if (result) out_.plain(kToolResult);
      out_.plain(part->content);
      if (result) out_.plain(kToolResultEnd);
      separator = "\n\n";
    }
  }

  void additions(const ChatMessage& message) {
    if (!message.tools.empty()) {
      out_.plain("\n\n");
      out_.format(kBeforeTools);
      std::string_view separator;
      for (const PyJson& tool : message.tools) {
        out_.plain(separator);
        out_.plain(tool.dump());
        separator = "\n";
      }
      out_.format(kBehindTools);
    }
    if (!message.response_format.is_null()) {
      out_.plain("\n\n");
      out_.format(kBeforeSchema);
      out_.plain(message.response_format.dump());
    }
  }

  void answer(size_t i) {
    const ChatMessage& message = *turns_[i].message;
    const bool of_a_task = i > 0 && turns_[i - 1].task;
    const bool reasons = thinking_ && !of_a_task && (!drop_ || static_cast<std::ptrdiff_t>(i) > last_user_);
    if (message.sampled && message.sampled->thinking == reasons) {
      out_.sampled(message.sampled->text, message.sampled->ids);
      if (!message.unfinished) out_.marker(kEnd);
      return;
    }
    if (reasons) {
      out_.plain(message.reasoning_content);
      out_.marker(kThinkEnd);
    }
    out_.plain(message.content);
    if (!message.tool_calls.empty()) calls(message.tool_calls);
    if (!message.unfinished) out_.marker(kEnd);
  }

  /// A tag of the markup, `<` or `</` in front.
  void tag(std::string_view open, std::string_view name) {
    out_.plain(open);
    out_.marker(kDsml);
    out_.plain(name);
  }

  void calls(const std::vector<ChatToolCall>& calls) {
    tag("\n\n<", "tool_calls>\n");
    for (const ChatToolCall& call : calls) {
      tag("<", "invoke name=\"");
      out_.plain(call.name);
      out_.plain("\">\n");
      std::string_view separator;
      for (const PyJson::Member& parameter : call.parameters) {
        const auto* text = parameter.value.as<std::string>();
        out_.plain(separator);
        tag("<", "parameter name=\"");
        out_.plain(parameter.key);
        out_.plain(text != nullptr ? "\" string=\"true\">" : "\" string=\"false\">");
        out_.plain(text != nullptr ? *text : parameter.value.dump());
        tag("</", "parameter>");
        separator = "\n";
      }
      tag("\n</", "invoke>\n");
    }
    tag("</", "tool_calls>");
  }

  /// What stands between a turn and the answer to it, or at the end of the prompt.
  void transition(size_t i) {
    const Turn& turn = turns_[i];
    if (turn.task) {
      if (*turn.task == ChatTask::kAction) {
        out_.marker(kAssistant);
        out_.marker(thinking_ ? kThink : kThinkEnd);
      }
      out_.marker(task_token(*turn.task));
    } else if (is_user(turn)) {
      out_.marker(kAssistant);
      out_.marker(thinking_ && (!drop_ || static_cast<std::ptrdiff_t>(i) >= last_user_) ? kThink : kThinkEnd);
    }
  }

  bool thinking_;
  bool drop_ = false;
  std::vector<Turn> turns_;
  std::ptrdiff_t last_user_ = -1;
  PromptText out_;
};

}  // namespace

PyJson::Object call_parameters(std::string_view arguments) {
  const std::optional<PyJson> json = PyJson::parse(arguments);
  if (const auto* members = json ? json->as<PyJson::Object>() : nullptr) return *members;
  return {{"arguments", PyJson(std::string(arguments))}};
}

std::string_view release_name(ChatRelease release) { return release == ChatRelease::k0731 ? "0731" : "original"; }

std::optional<ChatRelease> release_named(std::string_view name) {
  for (const ChatRelease release : {ChatRelease::kOriginal, ChatRelease::k0731}) {
    if (release_name(release) == name) return release;
  }
  return std::nullopt;
}

std::string_view effort_name(ReasoningEffort effort) {
  switch (effort) {
    case ReasoningEffort::kLow:
      return "low";
    case ReasoningEffort::kHigh:
      return "high";
    case ReasoningEffort::kMax:
      return "max";
  }
  return {};
}

std::optional<ReasoningEffort> effort_named(std::string_view name) {
  for (const ReasoningEffort effort : {ReasoningEffort::kLow, ReasoningEffort::kHigh, ReasoningEffort::kMax}) {
    if (effort_name(effort) == name) return effort;
  }
  return std::nullopt;
}

std::string_view effort_text(ReasoningEffort effort, ChatRelease release) {
  const bool original = release == ChatRelease::kOriginal;
  if (effort == ReasoningEffort::kMax) return original ? kThorough : kRelentless;
  return effort == ReasoningEffort::kHigh && !original ? kThorough : std::string_view();
}

PromptText chat_prompt(const Conversation& chat, ChatRelease release) { return Encoder(chat).prompt(effort_text(chat.effort, release)); }

std::string encode_chat(const Conversation& chat, ChatRelease release) { return chat_prompt(chat, release).text(); }

}  // namespace dsv4
