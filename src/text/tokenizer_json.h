// tokenizer.json of a byte-level BPE tokenizer, checked: what DeepSeek's tokenizers use, everything else refused by name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dsv4 {

struct AddedToken {
  int64_t id = 0;
  std::string content;      ///< UTF-8, matched in the text before it is split
  bool special = false;     ///< left out of decoded text unless asked for
  bool normalized = false;  ///< HF tokenizers looks for these in what the others leave; the parser refuses tokens for which that matters
};

struct TokenizerJson {
  std::vector<std::string> vocabulary;                      ///< of the BPE model: the bytes of ids 0, 1, ...; of an added token its content
  std::vector<std::pair<std::string, std::string>> merges;  ///< bytes, best first; both sides and their concatenation are in the vocabulary
  std::vector<AddedToken> added_tokens;                     ///< ordered by id
  std::vector<std::string> split_patterns;                  ///< PCRE2 with Unicode 17, each applied to the pieces of the one before
  std::vector<std::string> split_sources;                   ///< the same as the file has them
  std::vector<std::string> notices;                         ///< fields that do not concern generation and are ignored

  int64_t size() const;                                          ///< one above the largest id
  const AddedToken* find_added(std::string_view content) const;  ///< nullptr when there is none
  /// The bytes that decoding gives for each id. HF tokenizers maps an added token's characters to bytes too where all of them are in the alphabet.
  std::vector<std::string> decoded_bytes() const;
};

/// Parses and checks the text. `where` names the file in messages. Error that names the field for anything that would change ids and is not
/// expressed by TokenizerJson: normalizers, other models and pre-tokenizers, tokens stripped of white space. Truncation and padding, which belong to batches of
/// training, and templates of special tokens around a text, which callers put there, are notices.
TokenizerJson parse_tokenizer_json(std::string_view text, const std::string& where);

/// Ids that tokenizer_config.json names by token; -1 where it does not, or where the vocabulary lacks the token.
struct SpecialIds {
  int64_t bos = -1;
  int64_t eos = -1;
  int64_t pad = -1;
};

/// `text` is that of tokenizer_config.json.
SpecialIds special_ids(std::string_view text, const std::string& where, const TokenizerJson& tokenizer);

/// The chat template in the text of a tokenizer_config.json: a string, or the entry "default" of a list; empty when there is none.
std::string chat_template(std::string_view text, const std::string& where);

}  // namespace dsv4
