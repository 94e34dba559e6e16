// Sequences that were computed before: what a new prompt begins with need not be computed again.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "dsv4/session.h"

namespace dsv4 {

/// Forks of sessions with the tokens that they were fed, in a bounded amount of memory: those that nobody asked for the longest go first. Tokens are compared,
/// not text, so that a state is never taken for another one. Thread-safe.
class PrefixStore {
 public:
  /// `most_bytes` of states, each counted alone though forks share memory; 0: nothing is kept. A sequence holds open files (memfd) too, which a process may not
  /// have any number of: at most `most_sequences`.
  explicit PrefixStore(int64_t most_bytes, int64_t most_sequences = int64_t{1} << 40)
      : most_bytes_(most_bytes), most_sequences_(most_sequences) {}

  /// The kept sequence that has the most of these tokens in front, gone back to where the two part, as a fork; its position says how many they are. At least one
  /// of the tokens is left to be fed. Nothing where not one token is the same.
  std::optional<Session> find(std::span<const int64_t> tokens);

  /// Keeps a fork of the session, which was fed these tokens from its start. One that cannot be had for want of memory is not kept.
  void keep(const Session& session, std::span<const int64_t> tokens);

  struct Counts {
    int64_t sequences = 0, bytes = 0;
  };
  Counts counts() const;

 private:
  struct Entry {
    std::vector<int64_t> tokens;
    Session session;
    int64_t bytes;
  };

  int64_t most_bytes_, most_sequences_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the one that was asked for last in front
  int64_t bytes_ = 0;
};

}  // namespace dsv4
