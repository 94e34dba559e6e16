// Text to token ids and back, with the tokenizer.json of a model folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/text_encoder.h"
#include "text/whole_characters.h"

namespace dsv4 {

/// Does not change; threads may use it at the same time.
class Tokenizer {
 public:
  /// Reads tokenizer.json of a model folder, and the beginning-of-sequence token's name in its tokenizer_config.json, if there is one. Error when the first is
  /// missing, when they are not as the folder's dsv4_files.json lists them, and as parse_tokenizer_json() throws it.
  explicit Tokenizer(const std::filesystem::path& folder);

  /// Ids of UTF-8 text, in which the strings of added tokens stand for these tokens. Nothing is added: see bos(). Error for invalid UTF-8.
  std::vector<int64_t> encode(std::string_view text) const { return encoder_.encode(text); }
  /// The same of text that a user wrote: the strings of added tokens are text too.
  std::vector<int64_t> encode_plain(std::string_view text) const { return encoder_.encode_plain(text); }

  /// Text of ids. Bytes that are no UTF-8 become U+FFFD; ids that the vocabulary lacks give nothing. Special tokens (BOS, EOS, padding and other
  /// markers, not <think>) give text only if `skip_special` is false.
  std::string decode(std::span<const int64_t> ids, bool skip_special = true) const;

  /// What one id adds to the bytes of a text.
  std::string_view bytes(int64_t id, bool skip_special = true) const;

  /// The id of an added token; nothing where the tokenizer has none of this text.
  std::optional<int64_t> added(std::string_view content) const;

  int64_t bos() const { return bos_; }                                  ///< beginning of sequence; -1: the folder states none
  int64_t size() const { return static_cast<int64_t>(bytes_.size()); }  ///< one above the largest id

 private:
  Tokenizer(const TokenizerJson& json, int64_t bos);
  static Tokenizer read(const std::filesystem::path& folder);

  TextEncoder encoder_;
  std::vector<std::string> bytes_;  // of each id
  std::vector<AddedToken> added_;   // ordered by id
  std::vector<bool> special_;
  int64_t bos_ = -1;
};

/// Decodes ids as they come: only whole characters are given out, and all that is given out together is Tokenizer::decode of all ids.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer, bool skip_special = true) : tokenizer_(tokenizer), skip_special_(skip_special) {}

  /// Text that is certain now; may be empty.
  std::string push(int64_t id);
  /// What was held back, as U+FFFD. The stream is as new then.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  WholeCharacters characters_;
};

}  // namespace dsv4
