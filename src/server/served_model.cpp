// The files of a model folder that matter to an API.
#include "server/served_model.h"

#include <algorithm>

#include "checkpoint/generation_defaults.h"
#include "server/api_error.h"
#include "text/chat_tokens.h"

namespace dsv4 {

ServedModel::ServedModel(const std::filesystem::path& folder, const Engine& engine, std::string name, ChatRelease release)
    : engine_(engine), name_(std::move(name)), release_(release), tokenizer_(folder) {
  const GenerationDefaults defaults = read_generation_defaults(folder);
  sampler_.temperature = defaults.temperature.value_or(1.0);  // what transformers does where there is no file
  sampler_.top_p = defaults.top_p.value_or(sampler_.top_p);
  sampler_.top_k = defaults.top_k.value_or(sampler_.top_k);
  sampler_.min_p = defaults.min_p.value_or(sampler_.min_p);
  sampler_.repetition_penalty = defaults.repetition_penalty.value_or(sampler_.repetition_penalty);
  for (int64_t id = 0; id < tokenizer_.size(); ++id) longest_ = std::max(longest_, tokenizer_.bytes(id, false).size());
  for (const std::string_view marker : chat_tokens::kOfEveryChat) {
    if (!tokenizer_.added(marker)) chats_ = false;
  }
  user_ = tokenizer_.added(chat_tokens::kUser).value_or(-1);
}

void ServedModel::check_chat() const {
  if (!chats_) throw ApiError(400, "this model's tokenizer has no tokens of DeepSeek-V4's chat format; use /v1/completions");
}

std::vector<int64_t> ServedModel::text_prompt(std::string_view text) const {
  std::vector<int64_t> ids = tokenizer_.encode(text);
  const bool begins = !ids.empty() && ids.front() == tokenizer_.bos();
  if (!begins && tokenizer_.bos() >= 0) ids.insert(ids.begin(), tokenizer_.bos());
  return ids;
}

}  // namespace dsv4
