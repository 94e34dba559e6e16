// A folder's tokenizer.json, read whole: its encoder, and the bytes of each id.
#include "text/tokenizer.h"

#include <algorithm>

#include "checkpoint/content_hash.h"
#include "checkpoint/listed_files.h"
#include "checkpoint/quote.h"
#include "checkpoint/small_file.h"
#include "checkpoint/utf8.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;

constexpr SmallFileKind kTokenizerKind = {"tokenizer.json", "the tokenizer.json of a byte-level BPE tokenizer", 32u << 20};
constexpr SmallFileKind kConfigKind = {"tokenizer_config.json", "the tokenizer_config.json of a model folder", 16u << 20};

/// The bytes of a file, which have to be those that the folder's list states: another tokenizer gives ids that the model takes for other words.
std::optional<std::string> read_listed(const fs::path& path, const SmallFileKind& kind, const std::vector<ListedFile>& list) {
  std::optional<std::string> bytes = read_small_file_if_there(path, kind);
  const ListedFile* listed = bytes ? find_listed(list, path.filename().string()) : nullptr;
  if (listed == nullptr) return bytes;
  std::optional<std::string> fault = fault_of_size(*listed, bytes->size());
  if (!fault) fault = fault_of_hash(*listed, content_hash(*bytes));
  if (fault) {
    fail(path_text(path), ": ", *fault, " (", kFileListName,
         "); copy the folder again or convert the checkpoint again, or take its entry out of the list if you replaced it yourself");
  }
  return bytes;
}

}  // namespace

Tokenizer::Tokenizer(const fs::path& folder) : Tokenizer(read(folder)) {}

Tokenizer::Tokenizer(const TokenizerJson& json, int64_t bos)
    : encoder_(json), bytes_(json.decoded_bytes()), added_(json.added_tokens), special_(bytes_.size(), false), bos_(bos) {
  for (const AddedToken& token : added_) {
    if (token.special) special_[static_cast<size_t>(token.id)] = true;
  }
}

Tokenizer Tokenizer::read(const fs::path& folder) {
  const std::vector<ListedFile> list = read_file_list(folder).value_or(std::vector<ListedFile>());
  const fs::path path = folder / "tokenizer.json", config_path = folder / "tokenizer_config.json";
  const std::optional<std::string> text = read_listed(path, kTokenizerKind, list);
  if (!text) {
    fail(path_text(path),
         ": not found; text needs a tokenizer: convert a checkpoint that has a tokenizer.json, or give token ids with --tokens");
  }
  const TokenizerJson json = parse_tokenizer_json(*text, path_text(path));
  const std::optional<std::string> config = read_listed(config_path, kConfigKind, list);
  return Tokenizer(json, config ? special_ids(*config, path_text(config_path), json).bos : -1);
}

std::string_view Tokenizer::bytes(int64_t id, bool skip_special) const {
  if (id < 0 || id >= size() || (skip_special && special_[static_cast<size_t>(id)])) return {};
  return bytes_[static_cast<size_t>(id)];
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool skip_special) const {
  std::string all;
  for (const int64_t id : ids) all += bytes(id, skip_special);
  return replace_invalid_utf8(all);
}

std::optional<int64_t> Tokenizer::added(std::string_view content) const {
  const auto found = std::find_if(added_.begin(), added_.end(), [&](const AddedToken& token) { return token.content == content; });
  return found == added_.end() ? std::nullopt : std::optional(found->id);
}

std::string TextStream::push(int64_t id) {
  std::string text;
  characters_.push(tokenizer_.bytes(id, skip_special_), text);
  return text;
}

std::string TextStream::finish() {
  std::string text;
  characters_.finish(text);
  return text;
}

}  // namespace dsv4
