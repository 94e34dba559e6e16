// The token ids of a prompt whose markers are told from contents.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/prompt_text.h"
#include "text/tokenizer.h"

namespace dsv4 {

/// From a border of prompt.keys() on: each marker's own id, where the tokenizer has one, HF tokenizers' of the texts between, and those of what was sampled, whose
/// beginning is not before `from` or ends there.
std::vector<int64_t> prompt_tokens(const PromptText& prompt, const Tokenizer& tokenizer, size_t from = 0);

}  // namespace dsv4
