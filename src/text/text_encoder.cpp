// Added tokens, splits, byte pairs, in this order.
#include "text/text_encoder.h"

#include "text/checked_text.h"

namespace dsv4 {

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
