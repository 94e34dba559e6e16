// What `dsv4 verify` compares a model on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace dsv4 {

struct VerifyInput {
  std::vector<int64_t> tokens;
  std::string source;  ///< for people: "a short English text"
};

/// Ids of a text that the model folder's tokenizer makes: at most `length` of them, or all if that is 0.
VerifyInput tokens_of_text_file(const std::filesystem::path& file, const std::filesystem::path& folder, int64_t length);

/// `length` ids of a short English text where the folder has a tokenizer, else ids that visit the whole vocabulary, which a trained model has never seen together.
VerifyInput default_tokens(const std::filesystem::path& folder, int64_t length, int64_t vocab_size);

}  // namespace dsv4
