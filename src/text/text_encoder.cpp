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

std::vector<int64_t> TextEncoder::encode(std::string_view text) const { return encode_written(text, {}); }

std::vector<int64_t> TextEncoder::encode_written(std::string_view text, std::span<const TextSpan> written) const {
  check_text(text);
  std::vector<int64_t> ids;
  size_t begin = 0;  // of the text before the next token
  for (size_t at = 0; at < text.size();) {
    const AddedTokens::Found found = added_.find(text, at);
    const size_t end = found.begin + found.length;
    while (!written.empty() && written.front().end <= found.begin) written = written.subspan(1);
    if (found.id >= 0 && !written.empty() && written.front().begin < end) {
      at = found.begin + 1;
      continue;
    }
    append_plain(text.substr(begin, found.begin - begin), ids);
    if (found.id >= 0) ids.push_back(found.id);
    begin = at = end;
  }
  if (begin < text.size()) append_plain(text.substr(begin), ids);
  return ids;
}

}  // namespace dsv4
