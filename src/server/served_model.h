// What the server knows of its model: the engine, the words of its tokens, the form of its chats, and what its publisher recommends.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "dsv4/engine.h"
#include "server/openai_request.h"
#include "text/chat_encoder.h"
#include "text/tokenizer.h"

namespace dsv4 {

/// Does not change; threads may use it at the same time.
class ServedModel {
 public:
  /// Error for a folder without a tokenizer.json. `release`: whose chat format it is.
  ServedModel(const std::filesystem::path& folder, const Engine& engine, std::string name, ChatRelease release);

  const Engine& engine() const { return engine_; }
  const std::string& name() const { return name_; }
  ChatRelease release() const { return release_; }
  /// Of its generation_config.json; greedy where that says do_sample: false.
  const SamplerOptions& sampler() const { return sampler_; }
  /// ApiError where its tokenizer has no tokens of the chat format.
  void check_chat() const;

  const Tokenizer& tokenizer() const { return tokenizer_; }
  /// Ids of a text that a model goes on with: with a beginning-of-sequence token in front where it has none.
  std::vector<int64_t> text_prompt(std::string_view text) const;
  /// What an id adds to the bytes of a text.
  std::string_view bytes(int64_t id, bool with_special) const { return tokenizer_.bytes(id, !with_special); }
  std::string text(std::span<const int64_t> ids) const { return tokenizer_.decode(ids, false); }
  int64_t vocab_size() const { return engine_.vocab_size(); }
  /// The marker in front of what users write; -1: there is none.
  int64_t user_token() const { return user_; }
  /// No token has more bytes.
  size_t longest_token() const { return longest_; }

 private:
  Engine engine_;
  std::string name_;
  ChatRelease release_;
  Tokenizer tokenizer_;
  SamplerOptions sampler_;
  int64_t user_ = -1;
  bool chats_ = true;
  size_t longest_ = 1;
};

}  // namespace dsv4
