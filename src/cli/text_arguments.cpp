// Texts on the command line.
#include "cli/text_arguments.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "checkpoint/small_file.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

std::string read_standard_input() {
  std::string text;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (count == 0) return text;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("standard input cannot be read: ", std::strerror(errno));
    text.append(buffer, static_cast<size_t>(count));
    if (text.size() > kMostTextBytes) fail("standard input: more than ", kMostTextBytes, " bytes; give less text");
  }
}

}  // namespace

void add_text_options(Command& command, TextArguments& arguments, const std::string& what) {
  command.option("-p,--prompt", arguments.text, concat(what, ", UTF-8")).value("TEXT");
  command.option("-f,--file", arguments.file, "The same from a file; -: from standard input").value("FILE");
  command.flag("--no-bos", arguments.no_bos, "No beginning-of-sequence token in front of a text that has none");
}

std::string read_text(const std::filesystem::path& file) {
  if (file == kStandardInput) return read_standard_input();
  return read_named_file(file, {"text file", "a text file", kMostTextBytes});
}

std::optional<std::string> piped_text() {
  if (::isatty(STDIN_FILENO) != 0) return std::nullopt;
  return read_standard_input();
}

std::string without_last_newline(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

std::vector<int64_t> text_tokens(const Tokenizer& tokenizer, std::string_view text, bool no_bos) {
  std::vector<int64_t> tokens = tokenizer.encode(text);
  const bool begins = !tokens.empty() && tokens.front() == tokenizer.bos();
  if (!no_bos && !begins && tokenizer.bos() >= 0) tokens.insert(tokens.begin(), tokenizer.bos());
  return tokens;
}

}  // namespace dsv4
