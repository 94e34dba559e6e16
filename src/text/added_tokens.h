// Finding added tokens in a text: the leftmost, and of those that begin there the longest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer_json.h"

namespace dsv4 {

class AddedTokens {
 public:
  explicit AddedTokens(const std::vector<AddedToken>& tokens);

  struct Found {
    size_t begin = 0, length = 0;
    int64_t id = -1;  ///< -1: there is none
  };

  /// The first from `begin` on.
  Found find(std::string_view text, size_t begin) const;

 private:
  struct Node {
    std::vector<std::pair<char, uint32_t>> next;  // by byte
    int64_t id = -1;                              // of the token that ends here
  };

  const Node* step(const Node& node, char byte) const;

  std::vector<Node> nodes_;            // a trie of bytes; the first is its root
  std::array<bool, 256> may_begin_{};  // whether a token begins with this byte
};

}  // namespace dsv4
