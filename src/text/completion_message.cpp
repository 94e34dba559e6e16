// Messages and deltas as JSON.
#include "text/completion_message.h"

namespace dsv4 {

void CompletionMessage::add(const CompletionDelta& delta) {
  switch (delta.kind) {
    case CompletionDelta::Kind::kContent:
      content += delta.text;
      return;
    case CompletionDelta::Kind::kReasoning:
      reasoning += delta.text;
      return;
    case CompletionDelta::Kind::kCall:
      calls.push_back({delta.call_id, delta.text, {}});
      return;
    case CompletionDelta::Kind::kArguments:
      calls.back().arguments += delta.text;
      return;
  }
}

nlohmann::ordered_json message_json(const CompletionMessage& message) {
  nlohmann::ordered_json calls = nlohmann::ordered_json::array();
  for (const CompletionCall& call : message.calls) {
    calls.push_back({{"id", call.id}, {"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  return {{"role", "assistant"}, {"content", message.content}, {"reasoning_content", message.reasoning}, {"tool_calls", std::move(calls)}};
}

nlohmann::ordered_json delta_json(const CompletionDelta& delta) {
  nlohmann::ordered_json call = {{"index", delta.call}};
  switch (delta.kind) {
    case CompletionDelta::Kind::kContent:
      return {{"content", delta.text}};
    case CompletionDelta::Kind::kReasoning:
      return {{"reasoning_content", delta.text}};
    case CompletionDelta::Kind::kCall:
      call["id"] = delta.call_id;
      call["type"] = "function";
      call["function"] = {{"name", delta.text}, {"arguments", ""}};
      break;
    case CompletionDelta::Kind::kArguments:
      call["function"] = {{"arguments", delta.text}};
      break;
  }
  nlohmann::ordered_json out;
  out["tool_calls"] = nlohmann::ordered_json::array({std::move(call)});
  return out;
}

}  // namespace dsv4
