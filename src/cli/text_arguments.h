// Texts on the command line: -p TEXT, -f FILE, -f - and what is piped in; and the ids that a model is fed for them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_line.h"
#include "text/tokenizer.h"

namespace dsv4 {

/// The name with which a file stands for standard input.
constexpr const char* kStandardInput = "-";

/// More than the tokenizer takes at once.
constexpr size_t kMostTextBytes = 256u << 20;

struct TextArguments {
  std::optional<std::string> text;  ///< -p
  std::filesystem::path file;       ///< -f; "-": standard input
  bool no_bos = false;

  bool given() const { return text || !file.empty(); }
};

/// Adds -p, -f and --no-bos.
void add_text_options(Command& command, TextArguments& arguments, const std::string& what);

/// The bytes of a file that the user names, or of standard input. Error when they cannot be read or are too many.
std::string read_text(const std::filesystem::path& file);

/// Standard input where it is no terminal: what a pipe or a file behind `<` holds, which may be nothing. Else nothing.
std::optional<std::string> piped_text();

/// A text file ends with a newline, which a prompt that goes on in the middle of a line does not mean.
std::string without_last_newline(std::string text);

/// The ids of a text. Models are trained on documents that begin with BOS, which the tokenizer does not add by itself; so it is put in front of a text that
/// has none, unless `no_bos`.
std::vector<int64_t> text_tokens(const Tokenizer& tokenizer, std::string_view text, bool no_bos = false);

}  // namespace dsv4
