// Merges in the order of HF tokenizers: the lowest rank first, of equal ones the leftmost.
#include "text/byte_pairs.h"

#include <algorithm>
#include <bit>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace dsv4 {

namespace {

/// A part of the piece and its neighbours; -1: none. id -1: it was joined to its left neighbour.
struct Symbol {
  int32_t id, previous, next;
};

/// A merge of the symbol at `at` with the next one, as they were when it was found.
struct Candidate {
  int32_t rank, at, left, right, id;

  /// For the heaps of the standard library, whose top is the largest.
  bool operator<(const Candidate& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
};

}  // namespace

/// Of one call, so that pieces do not allocate.
struct BytePairs::Work {
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
};

BytePairs::BytePairs(const TokenizerJson& tokenizer) {
  std::unordered_set<int64_t> added;
  for (const AddedToken& token : tokenizer.added_tokens) added.insert(token.id);
  std::unordered_map<std::string_view, int32_t> ids;
  for (size_t id = 0; id < tokenizer.vocabulary.size(); ++id) {
    const std::string_view bytes = tokenizer.vocabulary[id];
    if (added.contains(static_cast<int64_t>(id))) continue;
    ids.emplace(bytes, static_cast<int32_t>(id));
    if (bytes.size() == 1) bytes_[static_cast<uint8_t>(bytes[0])] = static_cast<int32_t>(id);
  }
  merges_.resize(std::bit_ceil(2 * tokenizer.merges.size() + 2));
  shift_ = 64 - std::countr_zero(merges_.size());
  std::string joined;
  for (size_t rank = 0; rank < tokenizer.merges.size(); ++rank) {
    const auto& [left, right] = tokenizer.merges[rank];
    joined = left + right;
    const auto a = ids.find(left), b = ids.find(right), both = ids.find(joined);
    if (a == ids.end() || b == ids.end() || both == ids.end()) continue;  // of an added token, which no text that comes here can make
    place(a->second, b->second) = {a->second, b->second, static_cast<int32_t>(rank), both->second};
  }
}

size_t BytePairs::hash(int32_t left, int32_t right) const {
  const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  return static_cast<size_t>((key * 0x9E3779B97F4A7C15u) >> shift_);
}

BytePairs::Merge& BytePairs::place(int32_t left, int32_t right) {
  size_t at = hash(left, right);
  while (merges_[at].left >= 0 && (merges_[at].left != left || merges_[at].right != right)) at = (at + 1) % merges_.size();
  return merges_[at];
}

const BytePairs::Merge* BytePairs::find(int32_t left, int32_t right) const {
  for (size_t at = hash(left, right); merges_[at].left >= 0; at = (at + 1) & (merges_.size() - 1)) {
    if (merges_[at].left == left && merges_[at].right == right) return &merges_[at];
  }
  return nullptr;
}

void BytePairs::encode(const std::vector<std::string_view>& pieces, std::vector<int64_t>& ids) const {
  Work work;
  for (const std::string_view piece : pieces) encode_piece(piece, work, ids);
}

void BytePairs::encode_piece(std::string_view piece, Work& work, std::vector<int64_t>& ids) const {
  const auto n = static_cast<int32_t>(piece.size());
  auto& [symbols, heap] = work;
  symbols.resize(piece.size());
  heap.clear();
  const auto at = [&](int32_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };
  const auto candidate = [&](int32_t i) {
    if (i < 0 || at(i).next < 0) return;
    const int32_t left = at(i).id, right = at(at(i).next).id;
    if (const Merge* merge = find(left, right)) heap.push_back({merge->rank, i, left, right, merge->id});
  };
  for (int32_t i = 0; i < n; ++i) at(i) = {bytes_[static_cast<uint8_t>(piece[static_cast<size_t>(i)])], i - 1, i + 1 < n ? i + 1 : -1};
  for (int32_t i = 0; i + 1 < n; ++i) candidate(i);
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Candidate best = heap.back();
    heap.pop_back();
    Symbol& left = at(best.at);
    if (left.id != best.left || left.next < 0 || at(left.next).id != best.right) continue;  // one side was merged since
    Symbol& right = at(left.next);
    left.id = best.id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) at(left.next).previous = best.at;
    for (const int32_t i : {left.previous, best.at}) {
      const size_t before = heap.size();
      candidate(i);
      if (heap.size() > before) std::push_heap(heap.begin(), heap.end());
    }
  }
  for (int32_t i = n > 0 ? 0 : -1; i >= 0; i = at(i).next) ids.push_back(at(i).id);
}

}  // namespace dsv4
