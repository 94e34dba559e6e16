// Whole characters.
#include "text/whole_characters.h"

#include <cstdint>
#include <cstring>

#include "checkpoint/utf8.h"

namespace dsv4 {

namespace {

bool is_ascii(std::string_view text) {
  uint64_t high = 0;
  size_t i = 0;
  for (; i + sizeof high <= text.size(); i += sizeof high) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, sizeof word);
    high |= word;
  }
  for (; i < text.size(); ++i) high |= static_cast<unsigned char>(text[i]);
  return (high & 0x8080808080808080u) == 0;
}

void append_valid(std::string& out, std::string_view bytes) {
  if (invalid_utf8(bytes)) {
    out += replace_invalid_utf8(bytes);
  } else {
    out += bytes;
  }
}

}  // namespace

void WholeCharacters::push(std::string_view bytes, std::string& out) {
  if (held_.empty() && is_ascii(bytes)) {
    out += bytes;
    return;
  }
  std::string joined;
  if (!held_.empty()) {
    joined = held_ + std::string(bytes);
    bytes = joined;
  }
  const size_t unfinished = unfinished_utf8(bytes);
  append_valid(out, bytes.substr(0, bytes.size() - unfinished));
  held_ = std::string(bytes.substr(bytes.size() - unfinished));
}

void WholeCharacters::finish(std::string& out) {
  append_valid(out, held_);
  held_.clear();
}

}  // namespace dsv4
