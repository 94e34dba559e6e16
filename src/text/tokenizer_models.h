// Tokenizer and detokenizer as OpenVINO models, made from a checkpoint's tokenizer.json.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "openvino/core/model.hpp"
#include "text/tokenizer_json.h"

namespace dsv4 {

/// What a model folder's openvino_tokenizer.* and openvino_detokenizer.* hold. OpenVINO GenAI, optimum-intel and openvino_tokenizers load them.
struct TokenizerModels {
  std::shared_ptr<ov::Model> tokenizer;    ///< string [B] -> input_ids i64 [B,S], attention_mask i64 [B,S], padded on the left
  std::shared_ptr<ov::Model> detokenizer;  ///< i64 [B,S] -> string_output string [B]

  /// Writes both pairs of files.
  void write(const std::filesystem::path& folder) const;
};

/// `pad` and `bos`, `eos` below 0: not stated in the model's rt_info (padding is with 0 then). `chat_template` may be empty.
TokenizerModels make_tokenizer_models(const TokenizerJson& tokenizer, const SpecialIds& ids, const std::string& chat_template);

/// From the files of a checkpoint: tokenizer.json, tokenizer_config.json, chat_template.jinja. Nothing when it has no tokenizer.json. Error for a
/// tokenizer that is not supported or has ids from `vocab_size` on, and when the library of openvino-tokenizers is missing.
std::optional<TokenizerModels> make_tokenizer_models(const std::filesystem::path& checkpoint, int64_t vocab_size);

}  // namespace dsv4
