// The tokens of a session and the pieces in which they were fed, and the states that it keeps of its sequence: what truncate() goes back by.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "runtime/session_state.h"

namespace dsv4 {

class Session::History {
 public:
  struct Kept {
    int64_t position = 0;
    int64_t back = 0;
    std::shared_ptr<const State::Kept> state;
  };

  /// A sequence of `position` tokens of which none is known. No state is kept.
  void begin(int64_t position);
  /// Tokens that were fed in one inference.
  void add(std::span<const int64_t> piece);
  /// The sequence is its first `position` tokens; states of later positions go.
  void cut(int64_t position);

  int64_t known_from() const { return first_; }
  /// The tokens of positions [begin, end) in their pieces; a piece ends at `begin`.
  std::vector<std::vector<int64_t>> pieces(int64_t begin, int64_t end) const;

  /// Adds a state of the sequence as it is; of more than `most` the oldest goes.
  void keep(Kept kept, int64_t most);
  const std::vector<Kept>& kept() const { return kept_; }
  /// The last state at or before a position; null where there is none.
  const Kept* nearest(int64_t position) const;

 private:
  int64_t first_ = 0;            // position of the first token that is known
  std::vector<int64_t> tokens_;  // from there on
  std::vector<int64_t> ends_;    // positions at which pieces end, ascending
  std::vector<Kept> kept_;       // ascending
};

}  // namespace dsv4
