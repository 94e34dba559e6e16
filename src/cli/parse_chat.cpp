// dsv4 parse-chat: the message that a model's answer is, for scripts: reasoning, content and calls of tools.
#include <algorithm>
#include <iostream>
#include <memory>

#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "checkpoint/small_file.h"
#include "cli/commands.h"
#include "cli/text_arguments.h"
#include "dsv4/error.h"
#include "text/completion_message.h"

namespace dsv4 {

namespace {

constexpr size_t kMostToolsBytes = 64u << 20;

struct ParseChatArguments {
  std::string thinking_mode = "thinking", finish_reason = "stop";
  std::filesystem::path tools;
  int piece = 0;
};

/// True for the first of two words.
bool first_of(const std::string& word, const char* option, const char* first, const char* second) {
  if (word != first && word != second) throw UsageError(concat(option, " ", word, ": expected one of ", first, ", ", second));
  return word == first;
}

void print_deltas(const std::vector<CompletionDelta>& deltas) {
  for (const CompletionDelta& delta : deltas) std::cout << json_text(delta_json(delta)) << '\n';
}

void run_parse_chat(const ParseChatArguments& arguments) {
  CompletionOptions options;
  options.thinking = first_of(arguments.thinking_mode, "--thinking-mode", "thinking", "chat");
  const bool length = first_of(arguments.finish_reason, "--finish-reason", "length", "stop");
  if (!arguments.tools.empty()) {
    const std::string where = path_text(arguments.tools);
    options.tools =
        CompletionTools::parse(read_named_file(arguments.tools, {"tools file", "a JSON list of tools", kMostToolsBytes}), where);
  }
  const std::optional<std::string> text = piped_text();
  if (!text) throw UsageError("pipe the model's answer in: dsv4 parse-chat < answer.txt");
  CompletionParser parser(std::move(options));
  if (arguments.piece == 0) {
    CompletionMessage message;
    for (const CompletionDelta& delta : parser.push(*text)) message.add(delta);
    for (const CompletionDelta& delta : parser.finish(length)) message.add(delta);
    std::cout << json_text(message_json(message)) << '\n';
    return;
  }
  std::cout << json_text({{"role", "assistant"}, {"content", ""}}) << '\n';
  for (size_t at = 0; at < text->size(); at += static_cast<size_t>(arguments.piece)) {
    print_deltas(parser.push(std::string_view(*text).substr(at, static_cast<size_t>(arguments.piece))));
  }
  print_deltas(parser.finish(length));
}

}  // namespace

void add_parse_chat_command(CommandLine& line) {
  Command command = line.command("parse-chat", "The message of a model's answer (standard input) as JSON: content, reasoning, tool calls",
                                 "docs/completions.md");
  const auto arguments = std::make_shared<ParseChatArguments>();
  command.option("--thinking-mode", arguments->thinking_mode, "What the prompt ended with: <think> or </think>")
      .value("MODE")
      .choices({"thinking", "chat"})
      .shows_default();
  command.option("--tools", arguments->tools, "JSON list of the request's tools; without it tool calls are text").value("FILE");
  command.option("--finish-reason", arguments->finish_reason, "Why the answer ended: by itself, or cut by the limit of tokens")
      .value("REASON")
      .choices({"stop", "length"})
      .shows_default();
  command.option("--deltas", arguments->piece, "Take N bytes at a time and print each delta on a line").at_least(1);
  command.runs([arguments] { run_parse_chat(*arguments); });
}

}  // namespace dsv4
