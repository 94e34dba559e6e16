// The files of a model folder that matter to an API.
#include "server/served_model.h"

#include <algorithm>

#include "checkpoint/json_fields.h"
#include "checkpoint/quote.h"
#include "checkpoint/small_file.h"
#include "checkpoint/utf8.h"
#include "server/api_error.h"
#include "text/chat_tokens.h"

namespace dsv4 {

namespace {

constexpr SmallFileKind kTokenizer = {"tokenizer", "the tokenizer.json of a model folder", 512u << 20};
constexpr SmallFileKind kTokenizerConfig = {"tokenizer config", "the tokenizer_config.json of a model folder", 16u << 20};
constexpr SmallFileKind kGenerationConfig = {"generation config", "the generation_config.json of a model folder", 16u << 20};

TokenizerJson read_tokenizer(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "tokenizer.json";
  const std::optional<std::string> text = read_small_file_if_there(file, kTokenizer);
  if (!text)
    fail(path_text(file), ": not found; a server needs the tokenizer of its model: convert a checkpoint that has a tokenizer.json");
  return parse_tokenizer_json(*text, path_text(file));
}

}  // namespace

SamplerOptions recommended_sampler(std::string_view text, const std::string& where) {
  const nlohmann::json json = parse_json_object(text, where, kGenerationConfig);
  const Fields fields(json, where);
  SamplerOptions out;
  const nlohmann::json* sample = fields.find("do_sample");
  const bool greedy = sample != nullptr && sample->is_boolean() && !sample->get<bool>();
  out.temperature = greedy ? 0.0 : fields.number_or("temperature", 0, 1000, 1.0);
  out.top_p = fields.number_or("top_p", 1e-9, 1, 1.0);
  out.top_k = fields.integer_or("top_k", 0, 1 << 30, 0);
  out.min_p = fields.number_or("min_p", 0, 1, 0.0);
  out.repetition_penalty = fields.number_or("repetition_penalty", 0.001, 1000, 1.0);
  return out;
}

ServedModel::ServedModel(const std::filesystem::path& folder, const Engine& engine, std::string name)
    : ServedModel(folder, engine, std::move(name), read_tokenizer(folder)) {}

ServedModel::ServedModel(const std::filesystem::path& folder, const Engine& engine, std::string name, const TokenizerJson& tokenizer)
    : engine_(engine), name_(std::move(name)), encoder_(tokenizer), bytes_(tokenizer.decoded_bytes()), special_(bytes_.size()) {
  sampler_.temperature = 1.0;  // what transformers does where there is no file
  const std::filesystem::path generation = folder / "generation_config.json", config = folder / "tokenizer_config.json";
  if (const auto text = read_small_file_if_there(generation, kGenerationConfig))
    sampler_ = recommended_sampler(*text, path_text(generation));
  if (const auto text = read_small_file_if_there(config, kTokenizerConfig)) bos_ = special_ids(*text, path_text(config), tokenizer).bos;
  for (const AddedToken& token : tokenizer.added_tokens) {
    if (token.special && token.id < std::ssize(special_)) special_[static_cast<size_t>(token.id)] = true;
  }
  for (const std::string& bytes : bytes_) longest_ = std::max(longest_, bytes.size());
  using namespace chat_tokens;
  for (const std::string_view marker : {kBegin, kEnd, kUser, kAssistant, kThink, kThinkEnd}) {
    if (tokenizer.find_added(marker) == nullptr) chats_ = false;
  }
  if (chats_) user_ = tokenizer.find_added(kUser)->id;
}

void ServedModel::check_chat() const {
  if (!chats_) throw ApiError(400, "this model's tokenizer has no tokens of DeepSeek-V4's chat format; use /v1/completions");
}

std::vector<int64_t> ServedModel::chat_prompt(const RenderedChat& chat) const {
  std::vector<int64_t> ids;
  size_t begin = 0;
  const auto add_text = [&](size_t end) {
    std::vector<TextSpan> written;
    for (const TextSpan& span : chat.written) {
      if (span.begin >= begin && span.end <= end) written.push_back({span.begin - begin, span.end - begin});
    }
    const std::vector<int64_t> part = encoder_.encode_written(std::string_view(chat.text).substr(begin, end - begin), written);
    ids.insert(ids.end(), part.begin(), part.end());
  };
  for (const RenderedChat::Sampled& sampled : chat.sampled) {
    add_text(sampled.span.begin);
    ids.insert(ids.end(), sampled.answer->ids.begin(), sampled.answer->ids.end());
    begin = sampled.span.end;
  }
  add_text(chat.text.size());
  return ids;
}

std::vector<int64_t> ServedModel::text_prompt(std::string_view text) const {
  std::vector<int64_t> ids = encoder_.encode(text);
  const bool begins = !ids.empty() && ids.front() == bos_;
  if (!begins && bos_ >= 0) ids.insert(ids.begin(), bos_);
  return ids;
}

std::string_view ServedModel::bytes(int64_t id, bool with_special) const {
  if (id < 0 || id >= std::ssize(bytes_)) return {};
  const auto index = static_cast<size_t>(id);
  return special_[index] && !with_special ? std::string_view() : std::string_view(bytes_[index]);
}

std::string ServedModel::text(std::span<const int64_t> ids) const {
  std::string out;
  for (const int64_t id : ids) out += bytes(id, true);
  return replace_invalid_utf8(out);
}

}  // namespace dsv4
