// Added tokens, splits, byte pairs, in this order.
#include "text/text_encoder.h"

#include <optional>

#include "checkpoint/utf8.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

void check_text(std::string_view text) {
  if (text.size() > TextEncoder::kMostBytes) fail("text: ", text.size(), " bytes, expected at most ", TextEncoder::kMostBytes);
  if (const std::optional<size_t> at = invalid_utf8(text)) {
    fail("text: byte ", *at, " is not UTF-8; expected UTF-8, convert it (iconv -t UTF-8)");
  }
}

}  // namespace

TextEncoder::TextEncoder(const TokenizerJson& tokenizer)
    : added_(tokenizer.added_tokens), splitter_(tokenizer.split_sources), pairs_(tokenizer) {}

void TextEncoder::append_plain(std::string_view text, std::vector<int64_t>& ids) const { pairs_.encode(splitter_.split(text), ids); }

std::vector<int64_t> TextEncoder::encode_plain(std::string_view text) const {
  check_text(text);
  std::vector<int64_t> ids;
  append_plain(text, ids);
  return ids;
}

std::vector<int64_t> TextEncoder::encode(std::string_view text) const {
  check_text(text);
  std::vector<int64_t> ids;
  for (size_t begin = 0; begin < text.size();) {
    const AddedTokens::Found found = added_.find(text, begin);
    append_plain(text.substr(begin, found.begin - begin), ids);
    if (found.id >= 0) ids.push_back(found.id);
    begin = found.begin + found.length;
  }
  return ids;
}

}  // namespace dsv4
