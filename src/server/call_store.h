// Calls of tools as the model wrote them, by their ids: histories come back without the reasoning of a turn, reordered, or printed anew.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/chat_message.h"
#include "text/completion_message.h"

namespace dsv4 {

/// Thread-safe.
class CallStore {
 public:
  /// The oldest turns go when there are more ids than `most`.
  explicit CallStore(size_t most = 100000) : most_(most) {}

  /// A turn with calls, and what was sampled for it.
  void keep(const CompletionMessage& message, std::shared_ptr<const SampledAnswer> sampled);

  /// Turns that say what a kept one says get what was sampled, and their calls its order. One whose content or calls were changed stays as it is.
  void restore(Conversation& chat) const;

 private:
  struct Turn {
    std::string content, reasoning;
    std::vector<ChatToolCall> calls;
    std::shared_ptr<const SampledAnswer> sampled;
  };

  static bool same(const Turn& turn, const ChatMessage& message);

  size_t most_;
  mutable std::mutex mutex_;
  std::deque<std::string> ids_;  // the oldest first
  std::unordered_map<std::string, std::shared_ptr<const Turn>> turns_;
};

}  // namespace dsv4
