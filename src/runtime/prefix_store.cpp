// Finding the longest beginning, and forgetting.
#include "runtime/prefix_store.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

/// Tokens of a kept sequence that another one can go on from: all of them, or as many as the two have in common where the session can go back to there.
int64_t usable(const Session& session, std::span<const int64_t> kept, std::span<const int64_t> tokens) {
  const auto [end, other] = std::mismatch(kept.begin(), kept.end(), tokens.begin(), tokens.end() - 1);
  const int64_t common = end - kept.begin();
  return session.position() - common <= session.rewindable() ? common : 0;
}

}  // namespace

std::optional<Session> PrefixStore::find(std::span<const int64_t> tokens) {
  if (tokens.empty()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  auto best = entries_.end();
  int64_t most = 0;
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    const int64_t count = usable(entry->session, entry->tokens, tokens);
    if (count <= most) continue;
    best = entry;
    most = count;
  }
  if (best == entries_.end()) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, best);
  Session found = best->session.fork();
  found.rewind(found.position() - most);
  return found;
}

void PrefixStore::keep(const Session& session, std::span<const int64_t> tokens) {
  const std::lock_guard lock(mutex_);
  const auto same =
      std::find_if(entries_.begin(), entries_.end(), [tokens](const Entry& entry) { return std::ranges::equal(entry.tokens, tokens); });
  if (same != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, same);
    return;
  }
  try {
    const int64_t bytes = session.snapshot_bytes();
    if (tokens.empty() || bytes > most_bytes_) return;
    entries_.push_front({{tokens.begin(), tokens.end()}, session.fork(), bytes});
    bytes_ += bytes;
  } catch (const std::exception&) {
    return;  // a state less is a prompt that takes longer
  }
  while (bytes_ > most_bytes_ || std::ssize(entries_) > most_sequences_) {
    bytes_ -= entries_.back().bytes;
    entries_.pop_back();
  }
}

PrefixStore::Counts PrefixStore::counts() const {
  const std::lock_guard lock(mutex_);
  return {static_cast<int64_t>(entries_.size()), bytes_};
}

}  // namespace dsv4
