// dsv4 tokenize and dsv4 detokenize: text to ids and back, with the tokenizer of a model folder, for scripts.
#include <unistd.h>

#include <iostream>
#include <memory>

#include "checkpoint/config.h"
#include "checkpoint/form.h"
#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "cli/commands.h"
#include "cli/text_arguments.h"
#include "cli/token_arguments.h"
#include "dsv4/error.h"
#include "dsv4/session.h"
#include "runtime/check_tokens.h"

namespace dsv4 {

namespace {

constexpr const char* kPage = "docs/text.md";

struct TokenizeArguments {
  std::filesystem::path model;
  TextArguments text;
  bool json = false;
};

/// As it is: unlike a prompt's, the last newline of a file is part of the text, so that detokenize gives the same bytes.
std::string given_text(const TextArguments& arguments) {
  if (arguments.text && !arguments.file.empty()) throw UsageError("give the text with one of -p and -f");
  if (arguments.text) return *arguments.text;
  if (!arguments.file.empty()) return read_text(arguments.file);
  if (std::optional<std::string> piped = piped_text()) return *piped;
  throw UsageError("give the text with one of -p and -f, or pipe it in");
}

void run_tokenize(const TokenizeArguments& arguments) {
  check_form(arguments.model, Expected::kModelFolder);
  const std::string text = given_text(arguments.text);
  const std::vector<int64_t> tokens = text_tokens(Tokenizer(arguments.model), text, arguments.text.no_bos);
  if (arguments.json) {
    nlohmann::ordered_json json;
    json["tokens"] = tokens;
    std::cout << json_text(json) << '\n';
    return;
  }
  const char* separator = "";
  for (const int64_t id : tokens) {
    std::cout << separator << id;
    separator = ",";
  }
  std::cout << '\n';
}

struct DetokenizeArguments {
  std::filesystem::path model, tokens_file;
  std::string tokens;
  bool special = false;
};

std::vector<int64_t> given_tokens(const DetokenizeArguments& arguments) {
  if (!arguments.tokens.empty() && !arguments.tokens_file.empty()) throw UsageError("give the ids with one of --tokens and --tokens-file");
  if (!arguments.tokens.empty()) return tokens_of_option(arguments.tokens, "--tokens");
  if (!arguments.tokens_file.empty()) return read_tokens_file(arguments.tokens_file);
  if (const std::optional<std::string> piped = piped_text()) return tokens_of_text(*piped, "standard input");
  throw UsageError("give the ids with one of --tokens and --tokens-file, or pipe them in");
}

/// The bytes of the tokens and nothing else, not even a line end; on a terminal without control characters, which could do there what they want.
void run_detokenize(const DetokenizeArguments& arguments) {
  check_form(arguments.model, Expected::kModelFolder);
  const std::vector<int64_t> tokens = given_tokens(arguments);
  check_tokens(tokens, read_config(arguments.model).vocab_size, path_text(arguments.model));
  const Tokenizer tokenizer(arguments.model);
  std::string text;
  for (const int64_t id : tokens) text += tokenizer.bytes(id, !arguments.special);
  std::cout << (::isatty(STDOUT_FILENO) != 0 ? escaped_lines(text) : text);
}

}  // namespace

void add_tokenize_command(CommandLine& line) {
  Command command = line.command("tokenize", "Token ids of a text, with the tokenizer of a model folder", kPage);
  const auto arguments = std::make_shared<TokenizeArguments>();
  command.model(arguments->model, "Model folder that `dsv4 convert` wrote");
  add_text_options(command, arguments->text, "Text");
  command.flag("--json", arguments->json, "Print one JSON object: {\"tokens\": [...]}");
  command.runs([arguments] { run_tokenize(*arguments); });
}

void add_detokenize_command(CommandLine& line) {
  Command command = line.command("detokenize", "Text of token ids, byte for byte, with the tokenizer of a model folder", kPage);
  const auto arguments = std::make_shared<DetokenizeArguments>();
  command.model(arguments->model, "Model folder that `dsv4 convert` wrote");
  command.option("--tokens", arguments->tokens, "Token ids: 1,2,3").value("IDS");
  command
      .option("--tokens-file", arguments->tokens_file,
              "Token ids in a file: separated by commas or white space, or JSON; -: from standard input")
      .value("FILE");
  command.flag("--special", arguments->special, "Special tokens as their names too; left out otherwise");
  command.runs([arguments] { run_detokenize(*arguments); });
}

}  // namespace dsv4
