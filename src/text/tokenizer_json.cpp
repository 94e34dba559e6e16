// Reads tokenizer.json and tokenizer_config.json.
#include "text/tokenizer_json.h"

#include <algorithm>
#include <initializer_list>
#include <unordered_map>
#include <unordered_set>

#include "checkpoint/byte_alphabet.h"
#include "checkpoint/json_fields.h"
#include "checkpoint/quote.h"
#include "text/split_pattern.h"

namespace dsv4 {
namespace {

using nlohmann::json;

// DeepSeek's: 6.4 MB, 128,000 entries, 1,283 added tokens. A parsed file takes up to 16 times its size in memory.
constexpr JsonFile kTokenizerFile = {"tokenizer.json", "the tokenizer.json of a byte-level BPE tokenizer", 32u << 20};
constexpr JsonFile kTokenizerConfigFile = {"tokenizer_config.json", "the tokenizer_config.json of a checkpoint", 4u << 20};
constexpr int64_t kMaxIds = 1 << 24;
constexpr size_t kMaxTokenBytes = 256;
constexpr size_t kMaxSplits = 16;
constexpr const char* kRemedy = "; convert with --disable-convert-tokenizer and add tokenizer models by other means";

std::string text_of(const Fields& fields, const std::string& key) { return fields.as_text(key, fields.need(key)); }

/// Every field that is there must be one that is known, or ids could differ from HF tokenizers' without a word.
void only_known(const Fields& fields, const json& object, std::initializer_list<const char*> known) {
  for (const auto& [key, value] : object.items()) {
    const bool found = std::any_of(known.begin(), known.end(), [&key = key](const char* name) { return key == name; });
    if (!found) fields.refuse(excerpt(key), "unknown field", kRemedy);
  }
}

void must_be_null(const Fields& fields, const std::string& key) {
  if (const json* value = fields.find(key)) fields.refuse(key, "found ", shown(*value), ", expected null", kRemedy);
}

/// An object with the field `type`.
const json& typed(const Fields& fields, const std::string& key, const json& value, const std::string& type) {
  const Fields inside = fields.as_object(key, value);
  const std::string found = text_of(inside, "type");
  if (found != type) inside.refuse("type", "found ", quote(found), ", expected \"", type, "\"", kRemedy);
  return value;
}

void check_normalizer(const Fields& top) {
  const json* normalizer = top.find("normalizer");
  if (normalizer == nullptr) return;
  const Fields fields = top.as_object("normalizer", typed(top, "normalizer", *normalizer, "Sequence"));
  const json& steps = fields.as_list("normalizers", fields.need("normalizers"));
  if (!steps.empty()) fields.refuse("normalizers", "found ", shown(steps), ", expected none", kRemedy);
}

void read_split(const Fields& steps, const std::string& key, const json& step, const std::string& where, TokenizerJson& out) {
  const Fields fields = steps.as_object(key, step);
  only_known(fields, step, {"type", "pattern", "behavior", "invert"});
  fields.text_must_be("behavior", "Isolated", "other ways to split are not supported");
  text_of(fields, "behavior");
  fields.flag_must_be("invert", false, "an inverted split is not supported");
  const json& pattern = fields.need("pattern");
  const Fields inside = fields.as_object("pattern", pattern);
  only_known(inside, pattern, {"Regex"});
  const std::string source = text_of(inside, "Regex");
  out.split_patterns.push_back(pcre2_pattern(source, where + ": pre_tokenizer." + key + ".pattern.Regex"));
  out.split_sources.push_back(source);
}

/// Any number of Split steps, then ByteLevel, which only maps bytes to characters.
void read_pre_tokenizer(const Fields& top, const std::string& where, TokenizerJson& out) {
  const json& pre_tokenizer = typed(top, "pre_tokenizer", top.need("pre_tokenizer"), "Sequence");
  const Fields fields = top.as_object("pre_tokenizer", pre_tokenizer);
  only_known(fields, pre_tokenizer, {"type", "pretokenizers"});
  const json& steps = fields.as_list("pretokenizers", fields.need("pretokenizers"));
  if (steps.empty() || steps.size() > kMaxSplits + 1)
    fields.refuse("pretokenizers", "found ", steps.size(), " steps, expected 1..", kMaxSplits + 1);
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string key = "pretokenizers[" + std::to_string(i) + "]";
    if (i + 1 < steps.size()) {
      read_split(fields, key, typed(fields, key, steps[i], "Split"), where, out);
      continue;
    }
    const Fields bytes = fields.as_object(key, typed(fields, key, steps[i], "ByteLevel"));
    only_known(bytes, steps[i], {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    bytes.need("add_prefix_space");
    bytes.flag_must_be("add_prefix_space", false, "a space in front of the text is not supported");
    bytes.need("use_regex");
    bytes.flag_must_be("use_regex", false, "GPT-2's own split is not supported");
  }
}

/// Trainers leave these; transformers sets them anew at every call.
void note_batch_fields(const Fields& top, const std::string& where, TokenizerJson& out) {
  for (const char* field : {"truncation", "padding"}) {
    const json* value = top.find(field);
    if (value == nullptr) continue;
    top.as_object(field, *value);
    out.notices.push_back(concat(where, ": ", field, " is ignored: it concerns batches of training"));
  }
}

/// ByteLevel only moves offsets. A template puts special tokens around a text, which is the caller's part here: `dsv4 run` begins with one BOS.
void read_post_processor(const Fields& outer, const std::string& key, const json& value, const std::string& where, TokenizerJson& out) {
  const Fields fields = outer.as_object(key, value);
  const std::string type = text_of(fields, "type");
  if (type == "ByteLevel") return;
  if (type == "TemplateProcessing") {
    out.notices.push_back(concat(
        where,
        ": post_processor: the special tokens of its template are not put around a text; a prompt begins with one BOS all the same"));
    return;
  }
  if (type != "Sequence") fields.refuse("type", "found ", quote(type), ", expected \"ByteLevel\" or \"TemplateProcessing\"", kRemedy);
  const json& steps = fields.as_list("processors", fields.need("processors"));
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string step = "processors[" + std::to_string(i) + "]";
    const std::string inner = text_of(fields.as_object(step, steps[i]), "type");
    if (inner == "Sequence") fields.refuse(step, "found a Sequence in a Sequence", kRemedy);
    read_post_processor(fields, step, steps[i], where, out);
  }
}

/// The vocabulary, and which entries are plain bytes or results of merges.
class BpeReader {
 public:
  BpeReader(const Fields& top, const json& model, TokenizerJson& out) : fields_(top.as_object("model", model)), out_(out) {
    only_known(fields_, model,
               {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback",
                "ignore_merges", "vocab", "merges"});
    must_be_null(fields_, "dropout");
    must_be_null(fields_, "unk_token");
    fields_.text_must_be("continuing_subword_prefix", "", "word parts with a prefix are not supported");
    fields_.text_must_be("end_of_word_suffix", "", "word ends with a suffix are not supported");
    fields_.flag_must_be("fuse_unk", false, "there is no unknown token");
    fields_.flag_must_be("byte_fallback", false, "the vocabulary is that of a byte-level tokenizer");
    fields_.flag_must_be("ignore_merges", false, "words that skip the merges are not supported");
    read_vocabulary();
    read_merges();
  }

  const std::unordered_map<std::string, int64_t>& ids() const { return ids_; }

  /// Behind the added tokens: an entry that no merge makes and that is no byte would be found by OpenVINO Tokenizers and not by HF tokenizers.
  void check_reachable(const std::unordered_set<int64_t>& added) const {
    for (const auto& [token, id] : ids_) {
      const std::string& bytes = out_.vocabulary[static_cast<size_t>(id)];
      if (added.contains(id) || bytes.size() == 1 || merged_.contains(bytes)) continue;
      fields_.refuse("vocab", quote(token), " is neither a byte nor the result of a merge nor an added token", kRemedy);
    }
  }

  bool makes(const std::string& bytes) const { return bytes.size() == 1 || merged_.contains(bytes); }

 private:
  void read_vocabulary() {
    const json& vocab = fields_.need("vocab");
    fields_.as_object("vocab", vocab);
    const auto count = static_cast<int64_t>(vocab.size());
    if (count > kMaxIds) fields_.refuse("vocab", count, " entries, expected at most ", kMaxIds);
    out_.vocabulary.resize(vocab.size());
    std::vector<bool> seen(vocab.size(), false);
    for (const auto& [token, value] : vocab.items()) {
      const int64_t id = fields_.as_integer("vocab: " + excerpt(token), value, 0, count - 1);
      if (seen[static_cast<size_t>(id)])
        fields_.refuse("vocab", "id ", id, " twice, second time for ", quote(token), ", expected every id from 0 once");
      if (token.empty() || token.size() > 2 * kMaxTokenBytes) {
        fields_.refuse("vocab", "a token of ", token.size(), " bytes, expected 1..", 2 * kMaxTokenBytes);
      }
      seen[static_cast<size_t>(id)] = true;
      ids_.emplace(token, id);
      // Others must turn out to be added tokens, which are text as it is.
      out_.vocabulary[static_cast<size_t>(id)] = bytes_of_token(token).value_or("");
    }
    for (int byte = 0; byte < 256; ++byte) {
      const std::string token = byte_token(static_cast<uint8_t>(byte));
      if (!ids_.contains(token)) fields_.refuse("vocab", "no entry ", quote(token), " for byte ", byte, ", expected all 256", kRemedy);
    }
  }

  void read_merges() {
    const json& merges = fields_.as_list("merges", fields_.need("merges"));
    out_.merges.reserve(merges.size());
    for (size_t i = 0; i < merges.size(); ++i) {
      const std::string key = "merges[" + std::to_string(i) + "]";
      const auto [left, right] = read_merge(key, merges[i]);
      const std::string* const sides[] = {&left, &right};
      std::string bytes[2];
      for (int side = 0; side < 2; ++side) {
        const std::optional<std::string> found = bytes_of_token(*sides[side]);
        if (!found || !ids_.contains(*sides[side])) fields_.refuse(key, quote(*sides[side]), " is not in the vocabulary");
        bytes[side] = *found;
      }
      if (!ids_.contains(left + right)) fields_.refuse(key, "the result ", quote(left + right), " is not in the vocabulary");
      merged_.insert(bytes[0] + bytes[1]);
      out_.merges.emplace_back(std::move(bytes[0]), std::move(bytes[1]));
    }
  }

  /// "a b" or ["a", "b"].
  std::pair<std::string, std::string> read_merge(const std::string& key, const json& merge) const {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      return {merge[0].get<std::string>(), merge[1].get<std::string>()};
    }
    if (merge.is_string()) {
      const auto text = merge.get<std::string>();
      const size_t space = text.find(' ');
      if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos)
        return {text.substr(0, space), text.substr(space + 1)};
    }
    fields_.refuse(key, "found ", shown(merge), ", expected two tokens");
  }

  Fields fields_;
  TokenizerJson& out_;
  std::unordered_map<std::string, int64_t> ids_;
  std::unordered_set<std::string> merged_;
};

AddedToken read_added_token(const Fields& top, const std::string& key, const json& value) {
  const Fields fields = top.as_object(key, value);
  only_known(fields, value, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
  fields.flag_must_be("single_word", false, "tokens that are whole words only are not supported");
  fields.flag_must_be("lstrip", false, "tokens that take white space with them are not supported");
  fields.flag_must_be("rstrip", false, "tokens that take white space with them are not supported");
  AddedToken token;
  token.id = fields.integer("id", 0, kMaxIds - 1);
  token.content = text_of(fields, "content");
  if (token.content.empty() || token.content.size() > kMaxTokenBytes) {
    fields.refuse("content", token.content.size(), " bytes, expected 1..", kMaxTokenBytes);
  }
  for (const auto& [name, flag] : {std::pair{"special", &token.special}, std::pair{"normalized", &token.normalized}}) {
    const json& stated = fields.need(name);
    if (!stated.is_boolean()) fields.refuse(name, "found ", shown(stated), ", expected true or false");
    *flag = stated.get<bool>();
  }
  return token;
}

/// Whether one of `strings`, which are sorted, begins with `text` or is a beginning of it.
bool prefix_of_each_other(const std::vector<std::string_view>& strings, std::string_view text) {
  const auto next = std::lower_bound(strings.begin(), strings.end(), text);
  if (next != strings.end() && next->starts_with(text)) return true;
  for (size_t length = 1; length < text.size(); ++length) {
    if (std::binary_search(strings.begin(), strings.end(), text.substr(0, length))) return true;
  }
  return false;
}

/// HF tokenizers takes the tokens that are not normalized out of the text first, then the normalized ones. One search for the leftmost and longest of
/// all finds the same unless one of the former can begin where one of the latter is.
void check_overlaps(const Fields& top, const std::vector<AddedToken>& tokens) {
  std::vector<std::string_view> first;
  for (const AddedToken& token : tokens) {
    if (!token.normalized) first.push_back(token.content);
  }
  std::sort(first.begin(), first.end());
  for (const AddedToken& token : tokens) {
    for (size_t begin = 0; token.normalized && begin < token.content.size(); ++begin) {
      if (prefix_of_each_other(first, std::string_view(token.content).substr(begin))) {
        top.refuse("added_tokens", quote(token.content), " is normalized and can overlap one that is not", kRemedy);
      }
    }
  }
}

void read_added_tokens(const Fields& top, const BpeReader& model, TokenizerJson& out) {
  const json* list = top.find("added_tokens");
  std::unordered_set<std::string> contents;
  std::unordered_set<int64_t> in_vocabulary;
  int64_t next = static_cast<int64_t>(out.vocabulary.size());
  const size_t count = list == nullptr ? 0 : top.as_list("added_tokens", *list).size();
  for (size_t i = 0; i < count; ++i) {
    const std::string key = "added_tokens[" + std::to_string(i) + "]";
    AddedToken token = read_added_token(top, key, (*list)[i]);
    if (!contents.insert(token.content).second) top.refuse(key, quote(token.content), " is there twice");
    // HF tokenizers ignores the stated id: a token of the vocabulary keeps its own, the others are numbered behind it.
    const auto entry = model.ids().find(token.content);
    const int64_t expected = entry != model.ids().end() ? entry->second : next++;
    if (token.id != expected)
      top.refuse(key + ".id", "found ", token.id, ", expected ", expected, ", which HF tokenizers gives ", quote(token.content));
    if (entry != model.ids().end()) {
      if (model.makes(out.vocabulary[static_cast<size_t>(token.id)])) {
        top.refuse(key, quote(token.content), " is an ordinary token of the vocabulary too", kRemedy);
      }
      in_vocabulary.insert(token.id);
      out.vocabulary[static_cast<size_t>(token.id)] = token.content;
    } else if (model.makes(token.content)) {
      top.refuse(key, quote(token.content), " is text that the vocabulary has an ordinary token for", kRemedy);
    }
    out.added_tokens.push_back(std::move(token));
  }
  if (next > kMaxIds) top.refuse("added_tokens", next, " ids, expected at most ", kMaxIds);
  std::sort(out.added_tokens.begin(), out.added_tokens.end(), [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  model.check_reachable(in_vocabulary);
  check_overlaps(top, out.added_tokens);
}

/// A token in tokenizer_config.json: its text, or an object that holds it.
int64_t id_of(const Fields& fields, const std::string& key, const TokenizerJson& tokenizer) {
  const json* value = fields.find(key);
  if (value == nullptr) return -1;
  const std::string content = value->is_object() ? text_of(fields.as_object(key, *value), "content") : fields.as_text(key, *value);
  const AddedToken* token = tokenizer.find_added(content);
  return token == nullptr ? -1 : token->id;
}

}  // namespace

int64_t TokenizerJson::size() const {
  const auto behind = static_cast<int64_t>(vocabulary.size());
  return added_tokens.empty() ? behind : std::max(behind, added_tokens.back().id + 1);
}

const AddedToken* TokenizerJson::find_added(std::string_view content) const {
  const auto found =
      std::find_if(added_tokens.begin(), added_tokens.end(), [&](const AddedToken& token) { return token.content == content; });
  return found == added_tokens.end() ? nullptr : &*found;
}

std::vector<std::string> TokenizerJson::decoded_bytes() const {
  std::vector<std::string> out = vocabulary;
  out.resize(static_cast<size_t>(size()));
  for (const AddedToken& token : added_tokens) out[static_cast<size_t>(token.id)] = bytes_of_token(token.content).value_or(token.content);
  return out;
}

TokenizerJson parse_tokenizer_json(std::string_view text, const std::string& where) {
  const json document = parse_json_object(text, where, kTokenizerFile);
  const Fields top(document, where);
  only_known(top, document,
             {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model"});
  check_normalizer(top);
  typed(top, "decoder", top.need("decoder"), "ByteLevel");
  const json& model = typed(top, "model", top.need("model"), "BPE");

  TokenizerJson out;
  note_batch_fields(top, where, out);
  if (const json* post_processor = top.find("post_processor")) read_post_processor(top, "post_processor", *post_processor, where, out);
  read_pre_tokenizer(top, where, out);
  const BpeReader bpe(top, model, out);
  read_added_tokens(top, bpe, out);
  return out;
}

SpecialIds special_ids(std::string_view text, const std::string& where, const TokenizerJson& tokenizer) {
  const json document = parse_json_object(text, where, kTokenizerConfigFile);
  const Fields fields(document, where);
  return {id_of(fields, "bos_token", tokenizer), id_of(fields, "eos_token", tokenizer), id_of(fields, "pad_token", tokenizer)};
}

std::string chat_template(std::string_view text, const std::string& where) {
  const json document = parse_json_object(text, where, kTokenizerConfigFile);
  const Fields fields(document, where);
  const json* value = fields.find("chat_template");
  if (value == nullptr) return "";
  if (!value->is_array()) return fields.as_text("chat_template", *value);
  for (size_t i = 0; i < value->size(); ++i) {
    const Fields entry = fields.as_object("chat_template[" + std::to_string(i) + "]", (*value)[i]);
    if (text_of(entry, "name") == "default") return text_of(entry, "template");
  }
  return "";
}

}  // namespace dsv4
