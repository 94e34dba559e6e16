// Text to token ids straight from a tokenizer.json, with the ids of HF tokenizers and without OpenVINO or its tokenizers library.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/added_tokens.h"
#include "text/byte_pairs.h"
#include "text/splitter.h"
#include "text/text_span.h"
#include "text/tokenizer_json.h"

namespace dsv4 {

/// Does not change; threads may use it at the same time.
class TextEncoder {
 public:
  explicit TextEncoder(const TokenizerJson& tokenizer);

  /// Ids of UTF-8 text, in which the strings of added tokens stand for these tokens. Nothing is added. Error for invalid UTF-8 and for more than kMostTextBytes.
  std::vector<int64_t> encode(std::string_view text) const;
  /// The same of text that a user wrote: the strings of added tokens are text too, so that nothing in it can become a marker of the chat format.
  std::vector<int64_t> encode_plain(std::string_view text) const;
  /// The same where only parts of it were written by users: the string of an added token that touches one of them is text. `written` is in order.
  std::vector<int64_t> encode_written(std::string_view text, std::span<const TextSpan> written) const;

 private:
  void append_plain(std::string_view text, std::vector<int64_t>& ids) const;

  AddedTokens added_;
  Splitter splitter_;
  BytePairs pairs_;
};

}  // namespace dsv4
