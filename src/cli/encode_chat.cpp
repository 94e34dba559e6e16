// dsv4 encode-chat: the prompt of a conversation in DeepSeek's chat format, for scripts.
#include <unistd.h>

#include <iostream>
#include <memory>

#include "checkpoint/quote.h"
#include "checkpoint/small_file.h"
#include "cli/commands.h"
#include "cli/messages.h"
#include "cli/text_arguments.h"
#include "dsv4/error.h"
#include "text/chat_encoder.h"
#include "text/chat_json.h"

namespace dsv4 {

namespace {

struct EncodeChatArguments {
  std::filesystem::path file;
  ChatRelease release = ChatRelease::kOriginal;
};

void set_release(ChatRelease& release, const std::string& word) {
  const std::optional<ChatRelease> named = release_named(word);
  if (!named) throw UsageError(concat("--release ", word, ": expected original or 0731"));
  release = *named;
}

/// The bytes of the prompt and nothing else, not even a line end; on a terminal without control characters, as detokenize prints.
void run_encode_chat(const EncodeChatArguments& arguments) {
  const bool piped = arguments.file == kStandardInput;
  const std::string text = piped ? read_text(arguments.file) : read_named_file(arguments.file, {"chat", "a chat JSON", kMostChatBytes});
  const ChatJson json = read_chat_json(text, piped ? "standard input" : path_text(arguments.file));
  const std::string prompt = encode_chat(json.chat, arguments.release);
  if (!json.unknown.empty()) print_notice(concat("these fields mean nothing here and are left out: ", joined(json.unknown)));
  std::cout << (::isatty(STDOUT_FILENO) != 0 ? escaped_lines(prompt) : prompt);
}

}  // namespace

void add_encode_chat_command(CommandLine& line) {
  Command command = line.command("encode-chat", "Prompt of a conversation, byte for byte as DeepSeek's encoder makes it", "docs/chat.md");
  const auto arguments = std::make_shared<EncodeChatArguments>();
  command.option("file", arguments->file, "Chat JSON: {\"messages\": [...], \"thinking_mode\": \"chat\"}; -: from standard input")
      .value("FILE")
      .required();
  command
      .word(
          "--release", [arguments](const std::string& word) { set_release(arguments->release, word); }, "original",
          "Whose wording of reasoning_effort")
      .choices({"original", "0731"});
  command.runs([arguments] { run_encode_chat(*arguments); });
}

}  // namespace dsv4
