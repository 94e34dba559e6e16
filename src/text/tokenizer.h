// Text to token ids and back, with the tokenizer models of a folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "openvino/runtime/infer_request.hpp"
#include "text/whole_characters.h"

namespace ov {
class Model;
}

namespace dsv4 {

class Tokenizer {
 public:
  /// Loads openvino_tokenizer.xml and openvino_detokenizer.xml of a model folder. Error when they are missing, not as the folder's dsv4_files.json lists them
  /// (damaged models corrupt memory in the library that runs them), or not those of a byte-level tokenizer.
  explicit Tokenizer(const std::filesystem::path& folder);

  /// Ids of UTF-8 text, in which the strings of added tokens stand for these tokens. Nothing is added: see bos(). Error for invalid UTF-8. Threads may
  /// call it at the same time; they take turns.
  std::vector<int64_t> encode(std::string_view text) const;

  /// Text of ids. Bytes that are no UTF-8 become U+FFFD; ids that the vocabulary lacks give nothing. Special tokens (BOS, EOS, padding and other
  /// markers, not <think>) give text only if `skip_special` is false.
  std::string decode(std::span<const int64_t> ids, bool skip_special = true) const;

  /// What one id adds to the bytes of a text.
  std::string_view bytes(int64_t id, bool skip_special = true) const;

  int64_t bos() const { return bos_; }                                   ///< beginning of sequence; -1: the folder states none
  int64_t size() const { return static_cast<int64_t>(begins_.size()); }  ///< one above the largest id

 private:
  void read_vocabulary(const ov::Model& model, const std::string& where);

  std::string where_;  // the tokenizer model, in messages
  mutable std::mutex mutex_;
  mutable ov::InferRequest request_;
  std::vector<int32_t> begins_, ends_;  // of each id in chars_
  std::string chars_;
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
