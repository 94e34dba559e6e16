// Tokens, pieces and kept states of a sequence.
#include "runtime/history.h"

#include <algorithm>
#include <utility>

namespace dsv4 {

void Session::History::begin(int64_t position) {
  first_ = position;
  tokens_.clear();
  ends_.clear();
  kept_.clear();
}

void Session::History::add(std::span<const int64_t> piece) {
  tokens_.insert(tokens_.end(), piece.begin(), piece.end());
  ends_.push_back(first_ + static_cast<int64_t>(tokens_.size()));
}

void Session::History::cut(int64_t position) {
  while (!kept_.empty() && kept_.back().position > position) kept_.pop_back();
  if (position <= first_) {
    first_ = position;
    tokens_.clear();
    ends_.clear();
    return;
  }
  tokens_.resize(static_cast<size_t>(position - first_));
  while (!ends_.empty() && ends_.back() > position) ends_.pop_back();
  if (ends_.empty() || ends_.back() < position) ends_.push_back(position);
}

std::vector<std::vector<int64_t>> Session::History::pieces(int64_t begin, int64_t end) const {
  std::vector<std::vector<int64_t>> pieces;
  for (auto next = std::upper_bound(ends_.begin(), ends_.end(), begin); begin < end; ++next) {
    const int64_t piece_end = std::min(*next, end);
    pieces.emplace_back(tokens_.begin() + (begin - first_), tokens_.begin() + (piece_end - first_));
    begin = piece_end;
  }
  return pieces;
}

void Session::History::keep(Kept kept, int64_t most) {
  kept_.push_back(std::move(kept));
  const auto extra = std::max<std::ptrdiff_t>(0, std::ssize(kept_) - most);
  kept_.erase(kept_.begin(), kept_.begin() + extra);
}

const Session::History::Kept* Session::History::nearest(int64_t position) const {
  const auto after = std::upper_bound(kept_.begin(), kept_.end(), position, [](int64_t p, const Kept& kept) { return p < kept.position; });
  return after == kept_.begin() ? nullptr : &*std::prev(after);
}

}  // namespace dsv4
