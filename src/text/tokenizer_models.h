// Tokenizer and detokenizer as OpenVINO models, made from a checkpoint's tokenizer.json.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "openvino/core/model.hpp"
#include "text/tokenizer_json.h"

namespace dsv4 {

/// What a model folder's openvino_tokenizer.* and openvino_detokenizer.* hold. OpenVINO GenAI, optimum-intel and openvino_tokenizers load them.
struct TokenizerModels {
  std::shared_ptr<ov::Model> tokenizer;    ///< string [B] -> input_ids i64 [B,S], attention_mask i64 [B,S], padded on the left
  std::shared_ptr<ov::Model> detokenizer;  ///< i64 [B,S] -> string_output string [B]
  std::vector<std::string> notices;        ///< lines for the user: what of the tokenizer.json is ignored, ids that the model lacks

  /// Both pairs of files: name and bytes.
  std::map<std::string, std::string> files() const;
};

/// `pad` and `bos`, `eos` below 0: not stated in the model's rt_info (padding is with 0 then). `chat_template` may be empty; `where` names the file in messages.
TokenizerModels make_tokenizer_models(const TokenizerJson& tokenizer, const SpecialIds& ids, const std::string& chat_template,
                                      const std::string& where = "tokenizer.json");

/// The texts of a checkpoint's files; nullptr for those that it does not have.
struct TokenizerTexts {
  const std::string* tokenizer = nullptr;         ///< tokenizer.json
  const std::string* tokenizer_config = nullptr;  ///< tokenizer_config.json
  const std::string* chat_template = nullptr;     ///< chat_template.jinja
};

/// Nothing without a tokenizer.json. Error for a tokenizer that is not supported or has other ids than those of added tokens from `vocab_size` on, and when the
/// library of openvino-tokenizers is missing; `directory` is that of the files in messages.
std::optional<TokenizerModels> make_tokenizer_models(const TokenizerTexts& texts, const std::filesystem::path& directory,
                                                     int64_t vocab_size);

}  // namespace dsv4
