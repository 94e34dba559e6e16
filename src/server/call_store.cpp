// What a client sends back is compared with what it was given: numbers and keys may be printed in another way, but not be others.
#include "server/call_store.h"

#include <algorithm>

namespace dsv4 {

namespace {

/// Whether two values say the same: keys in any order.
bool equal(const PyJson& one, const PyJson& other);

bool equal(const PyJson::Object& one, const PyJson::Object& other) {
  return one.size() == other.size() && std::all_of(one.begin(), one.end(), [&other](const PyJson::Member& member) {
           const auto found =
               std::find_if(other.begin(), other.end(), [&member](const PyJson::Member& same) { return same.key == member.key; });
           return found != other.end() && equal(member.value, found->value);
         });
}

bool equal(const PyJson& one, const PyJson& other) {
  const auto *object = one.as<PyJson::Object>(), *second = other.as<PyJson::Object>();
  if (object != nullptr && second != nullptr) return equal(*object, *second);
  const auto *list = one.as<PyJson::List>(), *other_list = other.as<PyJson::List>();
  if (list != nullptr && other_list != nullptr) {
    return std::equal(list->begin(), list->end(), other_list->begin(), other_list->end(),
                      [](const PyJson& left, const PyJson& right) { return equal(left, right); });
  }
  return one.dump() == other.dump();
}

}  // namespace

void CallStore::keep(const CompletionMessage& message, std::shared_ptr<const SampledAnswer> sampled) {
  const auto turn = std::make_shared<Turn>();
  turn->content = message.content;
  turn->reasoning = message.reasoning;
  for (const CompletionCall& call : message.calls) turn->calls.push_back({call.id, call.name, call_parameters(call.arguments)});
  turn->sampled = std::move(sampled);
  const std::lock_guard lock(mutex_);
  for (const ChatToolCall& call : turn->calls) {
    if (turns_.emplace(call.id, turn).second) ids_.push_back(call.id);
  }
  while (ids_.size() > most_) {
    turns_.erase(ids_.front());
    ids_.pop_front();
  }
}

bool CallStore::same(const Turn& turn, const ChatMessage& message) {
  if (message.content != turn.content || message.tool_calls.size() != turn.calls.size()) return false;
  if (!message.reasoning_content.empty() && message.reasoning_content != turn.reasoning) return false;
  return std::all_of(turn.calls.begin(), turn.calls.end(), [&message](const ChatToolCall& call) {
    const auto found = std::find_if(message.tool_calls.begin(), message.tool_calls.end(),
                                    [&call](const ChatToolCall& other) { return other.id == call.id; });
    return found != message.tool_calls.end() && found->name == call.name && equal(found->parameters, call.parameters);
  });
}

void CallStore::restore(Conversation& chat) const {
  const std::lock_guard lock(mutex_);
  for (ChatMessage& message : chat.messages) {
    if (message.tool_calls.empty() || message.unfinished) continue;
    const auto found = turns_.find(message.tool_calls.front().id);
    if (found == turns_.end() || !same(*found->second, message)) continue;
    message.reasoning_content = found->second->reasoning;
    message.tool_calls = found->second->calls;
    message.sampled = found->second->sampled;
  }
}

}  // namespace dsv4
