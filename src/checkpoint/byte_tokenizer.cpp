// Lays out the ids of a synthetic vocabulary and writes it as tokenizer.json.
#include "checkpoint/byte_tokenizer.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "checkpoint/byte_alphabet.h"
#include "checkpoint/json_text.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

using nlohmann::ordered_json;

constexpr const char* kBos = "<｜begin▁of▁sentence｜>";
constexpr const char* kEos = "<｜end▁of▁sentence｜>";
constexpr const char* kChatMarkers[] = {"<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "｜DSML｜"};
constexpr std::string_view kLetters = " etaoinshrdlcumwfgypbvkjxqz";  // by their frequency in English
constexpr size_t kBytes = 256;

// DeepSeek's three splits (V3 and V4 have the same).
constexpr const char* kDigits = R"(\p{N}{1,3})";
constexpr const char* kCjk = "[一-龥぀-ゟ゠-ヿ]+";
constexpr const char* kWords =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|"
    "\\s+(?!\\S)|\\s+";

std::string quoted(const std::string& text) { return json_text(ordered_json(text)); }

struct Entry {
  std::string token;
  bool added = false;
  bool special = false;
};

class Layout {
 public:
  explicit Layout(const Config& config) : entries_(static_cast<size_t>(config.vocab_size)) {
    place(config.bos_token_id, kBos);
    for (size_t i = 0; i < config.eos_token_ids.size(); ++i) {
      place(config.eos_token_ids[i], i == 0 ? std::string(kEos) : concat("<｜end▁of▁sentence▁", i + 1, "｜>"));
    }
    free_ = static_cast<size_t>(std::count_if(entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.token.empty(); }));
  }

  bool fits() const { return free_ >= kBytes; }

  void fill() {
    if (free_ >= kBytes + std::size(kChatMarkers)) place_chat_markers();
    for (size_t byte = 0; byte < kBytes; ++byte) add(byte_token(static_cast<uint8_t>(byte)));
    add_merges();
  }

  std::string vocab_size() const {
    std::string text;
    for (size_t id = 0; id < entries_.size(); ++id) text += concat(id == 0 ? "" : ",\n", "      ", quoted(entries_[id].token), ": ", id);
    return text;
  }

  const std::string& merges() const { return merges_; }

  std::string added_tokens() const {
    std::string text;
    for (size_t id = 0; id < entries_.size(); ++id) {
      const Entry& entry = entries_[id];
      if (!entry.added) continue;
      text += concat(text.empty() ? "" : ",\n", "    {\"id\": ", id, ", \"content\": ", quoted(entry.token),
                     ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": ", entry.special ? "false" : "true",
                     ", \"special\": ", entry.special ? "true" : "false", "}");
    }
    return text;
  }

  const std::string& token(int64_t id) const { return entries_[static_cast<size_t>(id)].token; }

 private:
  void place(int64_t id, const std::string& token) {
    if (id < 0 || static_cast<size_t>(id) >= entries_.size() || !entries_[static_cast<size_t>(id)].token.empty()) return;
    entries_[static_cast<size_t>(id)] = {token, true, true};
  }

  void place_chat_markers() {
    size_t id = entries_.size();
    for (size_t left = std::size(kChatMarkers); left > 0;) {
      if (entries_[--id].token.empty()) entries_[id] = {kChatMarkers[--left], true, false};
    }
  }

  /// At the next free id; false when there is none.
  bool add(const std::string& token) {
    while (next_ < entries_.size() && !entries_[next_].token.empty()) ++next_;
    if (next_ == entries_.size()) return false;
    entries_[next_].token = token;
    return true;
  }

  /// Pairs of letters, then triples, and so on until the ids are used up; likelier ones first.
  void add_merges() {
    std::vector<std::string> letters;
    for (const char c : kLetters) letters.push_back(byte_token(static_cast<uint8_t>(c)));
    std::vector<std::string> words = letters;
    while (true) {
      std::vector<std::string> longer;
      for (size_t sum = 0; sum < words.size() + letters.size() - 1; ++sum) {
        for (size_t letter = 0; letter < letters.size() && letter <= sum; ++letter) {
          if (sum - letter >= words.size()) continue;
          const std::string& word = words[sum - letter];
          if (!add(word + letters[letter])) return;
          longer.push_back(word + letters[letter]);
          merges_ += concat(merges_.empty() ? "" : ",\n", "      [", quoted(word), ", ", quoted(letters[letter]), "]");
        }
      }
      words = std::move(longer);
    }
  }

  std::vector<Entry> entries_;
  size_t free_ = 0;
  size_t next_ = 0;
  std::string merges_;
};

std::string pre_tokenizer() {
  ordered_json steps = ordered_json::array();
  for (const char* pattern : {kDigits, kCjk, kWords}) {
    steps.push_back({{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
  }
  steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}});
  return json_text(ordered_json({{"type", "Sequence"}, {"pretokenizers", steps}}));
}

ordered_json token_object(const std::string& content) {
  return {{"__type", "AddedToken"}, {"content", content}, {"lstrip", false},
          {"normalized", true},     {"rstrip", false},    {"single_word", false}};
}

bool is_id(const Config& config, int64_t id) { return id >= 0 && id < config.vocab_size; }

std::string tokenizer_config(const Config& config, const Layout& layout) {
  ordered_json document = {{"add_bos_token", false}, {"add_eos_token", false}};
  if (is_id(config, config.bos_token_id)) document["bos_token"] = token_object(layout.token(config.bos_token_id));
  document["clean_up_tokenization_spaces"] = false;
  const bool ends = !config.eos_token_ids.empty() && is_id(config, config.eos_token_ids[0]);
  if (ends) document["eos_token"] = token_object(layout.token(config.eos_token_ids[0]));
  document["model_max_length"] = config.max_position_embeddings;
  if (ends) document["pad_token"] = document["eos_token"];
  document["unk_token"] = nullptr;
  document["tokenizer_class"] = "PreTrainedTokenizerFast";
  return json_file_text(document);
}

}  // namespace

std::optional<TokenizerFiles> byte_tokenizer(const Config& config) {
  Layout layout(config);
  if (!layout.fits()) return std::nullopt;
  layout.fill();
  // The large lists as text: an ordered_json of this many keys is searched from its start for each of them.
  const std::string byte_level = R"({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true})";
  std::string json = concat("{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": [\n",
                            layout.added_tokens(), "\n  ],\n  \"normalizer\": null,\n  \"pre_tokenizer\": ", pre_tokenizer(),
                            ",\n  \"post_processor\": ", byte_level, ",\n  \"decoder\": ", byte_level,
                            ",\n  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n",
                            "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n",
                            "    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n    \"vocab\": {\n", layout.vocab_size(),
                            "\n    },\n    \"merges\": [\n", layout.merges(), "\n    ]\n  }\n}\n");
  return TokenizerFiles{std::move(json), tokenizer_config(config, layout)};
}

}  // namespace dsv4
