// A trie, entered where a byte can begin a token.
#include "text/added_tokens.h"

#include <algorithm>

namespace dsv4 {

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens) : nodes_(1) {
  for (const AddedToken& token : tokens) {
    may_begin_[static_cast<uint8_t>(token.content[0])] = true;
    uint32_t at = 0;
    for (const char byte : token.content) {
      const Node* known = step(nodes_[at], byte);
      if (known != nullptr) {
        at = static_cast<uint32_t>(known - nodes_.data());
        continue;
      }
      const auto made = static_cast<uint32_t>(nodes_.size());
      nodes_[at].next.emplace_back(byte, made);
      nodes_.emplace_back();
      at = made;
    }
    nodes_[at].id = token.id;
  }
}

const AddedTokens::Node* AddedTokens::step(const Node& node, char byte) const {
  const auto found = std::find_if(node.next.begin(), node.next.end(), [byte](const auto& edge) { return edge.first == byte; });
  return found == node.next.end() ? nullptr : &nodes_[found->second];
}

AddedTokens::Found AddedTokens::find(std::string_view text, size_t begin) const {
  for (; begin < text.size(); ++begin) {
    if (!may_begin_[static_cast<uint8_t>(text[begin])]) continue;
    Found longest = {begin, 0, -1};
    const Node* node = &nodes_.front();
    for (size_t end = begin; end < text.size() && (node = step(*node, text[end])) != nullptr; ++end) {
      if (node->id >= 0) longest = {begin, end + 1 - begin, node->id};
    }
    if (longest.id >= 0) return longest;
  }
  return {text.size(), 0, -1};
}

}  // namespace dsv4
