// Texts and ids for `dsv4 verify`.
#include "cli/verify_tokens.h"

#include "checkpoint/quote.h"
#include "cli/text_arguments.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

// Plain prose of common words, which every model of English knows. A longer input begins it again.
constexpr std::string_view kText =
    "In the beginning the river was small. It came down from the hills in the spring, when the snow was gone, and the people of the valley "
    "went out to see how high the water stood. The old men said that it had been higher in the days of their fathers, and that the land "
    "had "
    "been good for seven years after. In the evening the children sat by the fire and asked how far the river went, and whether anyone had "
    "ever followed it to the sea. One of them answered that his mother's brother had gone that way with two others, that they had walked "
    "for "
    "forty days, and that only one of them came back. He told of a great city with walls of white stone, of ships as long as a street, and "
    "of "
    "a people who counted everything and forgot nothing. Then it grew dark, the wind turned to the north, and they went home to sleep.\n";

/// Ids that visit the whole vocabulary: a full-period step through it, the same for every run.
std::vector<int64_t> spread_tokens(int64_t count, int64_t vocab_size) {
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back((i * 7919 + 17) % vocab_size);
  return tokens;
}

}  // namespace

VerifyInput tokens_of_text_file(const std::filesystem::path& file, const std::filesystem::path& folder, int64_t length) {
  std::vector<int64_t> tokens = text_tokens(Tokenizer(folder), read_text(file));
  if (tokens.empty()) fail(path_text(file), ": has no text to compare on");
  if (length > 0 && std::ssize(tokens) > length) tokens.resize(static_cast<size_t>(length));
  return {std::move(tokens), "the text of " + (file == kStandardInput ? "standard input" : path_text(file.filename()))};
}

VerifyInput default_tokens(const std::filesystem::path& folder, int64_t length, int64_t vocab_size) {
  std::error_code error;
  // The first is there where the second was not refused: the files of a tokenizer are carried on in any case.
  if (!std::filesystem::exists(folder / "openvino_tokenizer.xml", error) || !std::filesystem::exists(folder / "tokenizer.json", error)) {
    return {spread_tokens(length, vocab_size), "ids spread over the vocabulary"};
  }
  const Tokenizer tokenizer(folder);
  std::vector<int64_t> tokens = text_tokens(tokenizer, kText);
  const std::vector<int64_t> again = tokenizer.encode(kText);
  while (std::ssize(tokens) < length) tokens.insert(tokens.end(), again.begin(), again.end());
  tokens.resize(static_cast<size_t>(length));
  return {std::move(tokens), "a short English text"};
}

}  // namespace dsv4
