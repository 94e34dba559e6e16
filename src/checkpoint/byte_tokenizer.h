// A tokenizer for synthetic checkpoints: byte-level BPE in the form of DeepSeek's, with a vocabulary of any size from 256 bytes and the special tokens up.
#pragma once

#include <optional>
#include <string>

#include "checkpoint/config.h"

namespace dsv4 {

struct TokenizerFiles {
  std::string tokenizer_json;
  std::string tokenizer_config_json;
};

/// BOS and EOS have the config's ids, the chat markers the last ids where there is room, the bytes and then pairs, triples, ... of letters the others: every
/// id below vocab_size is a token. Nothing when the vocabulary is too small for the bytes, BOS and EOS.
std::optional<TokenizerFiles> byte_tokenizer(const Config& config);

}  // namespace dsv4
