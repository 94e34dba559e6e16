// Byte-pair encoding: the bytes of a piece, of which the neighbours with the best merge are joined until there are none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/tokenizer_json.h"

namespace dsv4 {

class BytePairs {
 public:
  explicit BytePairs(const TokenizerJson& tokenizer);

  /// Appends the ids of pieces. The time of a piece grows as n log n.
  void encode(const std::vector<std::string_view>& pieces, std::vector<int64_t>& ids) const;

 private:
  struct Merge {
    int32_t left = -1, right = -1;  // -1: an empty place
    int32_t rank = 0;               // the lower, the earlier
    int32_t id = 0;
  };
  struct Work;

  Merge& place(int32_t left, int32_t right);
  const Merge* find(int32_t left, int32_t right) const;
  size_t hash(int32_t left, int32_t right) const;
  void encode_piece(std::string_view piece, Work& work, std::vector<int64_t>& ids) const;

  std::array<int32_t, 256> bytes_{};
  std::vector<Merge> merges_;  // a hash table, at most half of it full; the next place after one that is taken
  int shift_ = 0;
};

}  // namespace dsv4
