// dsv4 chat: a conversation with a model folder, at a terminal or one prompt a line.
#include <unistd.h>

#include <iostream>
#include <memory>
#include <optional>
#include <random>

#include "chat/talk.h"
#include "checkpoint/form.h"
#include "checkpoint/generation_defaults.h"
#include "checkpoint/quote.h"
#include "cli/chat_commands.h"
#include "cli/chat_reader.h"
#include "cli/chat_screen.h"
#include "cli/chat_signals.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/messages.h"
#include "cli/sampling_options.h"
#include "convert/inspect_folder.h"
#include "dsv4/error.h"
#include "runtime/engine_options.h"
#include "runtime/expert_report.h"
#include "text/chat_tokens.h"

namespace dsv4 {

namespace {

namespace fs = std::filesystem;

struct ChatArguments {
  fs::path model;
  std::string system;
  bool thinking = false;
  ReasoningEffort effort = ReasoningEffort::kLow;
  EngineOptions engine;
  SamplingArguments sampling;
  int64_t max_new_tokens = 0;
};

/// A folder of a model that was trained for the chat format.
Tokenizer chat_tokenizer(const fs::path& folder) {
  std::error_code error;
  const char* instead = "; `dsv4 run` continues texts and token ids without a chat format";
  if (!fs::exists(folder / "tokenizer.json", error)) fail(path_text(folder), ": has no tokenizer.json, which a chat needs", instead);
  Tokenizer tokenizer(folder);
  for (const std::string_view marker : chat_tokens::kOfEveryChat) {
    if (!tokenizer.added(marker)) fail(path_text(folder / "tokenizer.json"), ": has no token ", marker, " of the chat format", instead);
  }
  return tokenizer;
}

/// What the folder's makers recommend, where the command line says nothing. A seed of its own for every chat, or each would be the same.
void use_defaults(const ChatArguments& arguments, const Command& command, Request& request) {
  const GenerationDefaults defaults = read_generation_defaults(arguments.model);
  SamplerOptions& sampler = request.sampler;
  if (!command.given("--temperature")) sampler.temperature = defaults.temperature.value_or(1.0);
  if (!command.given("--top-p")) sampler.top_p = defaults.top_p.value_or(1.0);
  if (!command.given("--top-k")) sampler.top_k = defaults.top_k.value_or(0);
  if (!command.given("--seed")) sampler.seed = std::random_device()();
}

/// Prints an answer as it comes. False when there was none, for which a line says why.
bool answer(Talk& talk, const std::string& text, ChatScreen& screen, const std::function<bool()>& stopped) {
  try {
    const ChatAnswer& done = talk.ask(
        text, [&](const CompletionDelta& delta) { screen.show(delta); }, stopped);
    screen.finish();
    if (done.generated.context_full) print_notice("the answer ended because the context is full; /undo, /reset, or a larger --context");
    return true;
  } catch (const Cancelled&) {
    screen.finish();
    print_notice("stopped; the message is not part of the conversation");
  } catch (const Error& error) {
    screen.finish();
    print_error(error.what());
  } catch (const std::bad_alloc&) {
    screen.finish();
    print_error("out of memory; the conversation is as it was before this message");
  }
  return false;
}

/// One prompt a line, each with the conversation so far; answers and nothing else on standard output. A line is text whatever it begins with: who pipes texts of
/// others must not have commands in them.
void chat_through_pipe(Talk& talk) {
  ChatScreen screen(false);
  size_t failed = 0, number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (line.find_first_not_of(" \t") == line.npos) continue;
    if (!answer(talk, line, screen, [] { return false; })) ++failed;
  }
  if (failed > 0) fail(failed, " of the prompts had no answer; standard input had ", number, " lines");
}

void chat_at_terminal(Talk& talk) {
  note_chat_signals();
  ChatReader reader;
  ChatScreen screen(true);
  print_notice("/help lists commands; Ctrl-C stops an answer, Ctrl-D ends the chat");
  bool asked_to_end = false;
  while (ending_signal() == 0) {
    const ChatReader::Input input = reader.read(concat(talk.session().position(), "/", talk.session().context(), " > "));
    if (input.kind == ChatReader::Kind::kEnd) break;
    if (input.kind == ChatReader::Kind::kInterrupt) {
      if (asked_to_end && !input.typed) break;
      asked_to_end = !input.typed;
      if (asked_to_end) print_notice("Ctrl-C again, or Ctrl-D, ends the chat");
      continue;
    }
    asked_to_end = false;
    if (input.text.find_first_not_of(" \t\n") == input.text.npos) continue;
    if (!is_chat_command(input.text)) {
      answer(talk, input.text, screen, [] { return interrupted(); });
      continue;
    }
    try {
      if (!run_chat_command(input.text, talk)) break;
    } catch (const Error& error) {
      print_error(error.what());
    }
  }
}

void run_chat(ChatArguments& arguments, const Command& command) {
  check_options(arguments.engine);
  TalkOptions options;
  apply(arguments.sampling, options.request);
  options.request.max_new_tokens = arguments.max_new_tokens;
  options.stops = arguments.sampling.stop;
  check_form(arguments.model, Expected::kModelFolder);
  const Tokenizer tokenizer = chat_tokenizer(arguments.model);
  options.release = stated_release(arguments.model);
  use_defaults(arguments, command, options.request);
  const bool terminal = ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0;
  {
    const Engine engine = open_engine(arguments.model, arguments.engine);
    if (engine.static_length() > 0) {
      fail(path_text(arguments.model), ": takes ", engine.static_length(),
           " tokens at a time (--static-shape); a chat needs a folder without that");
    }
    Talk talk(engine, tokenizer, std::move(options));
    talk.set_system(arguments.system);
    talk.set_thinking(arguments.thinking);
    talk.set_effort(arguments.effort);
    if (terminal) {
      chat_at_terminal(talk);
    } else {
      chat_through_pipe(talk);
    }
    save_expert_profile(engine);
  }
  if (const int signal = ending_signal()) end_by_signal(signal);
}

}  // namespace

void add_chat_command(CommandLine& line) {
  Command command =
      line.command("chat", "Chat with a model folder; without a terminal, one prompt a line from standard input", "docs/chat.md");
  const auto arguments = std::make_shared<ChatArguments>();
  command.model(arguments->model, "Model folder that `dsv4 convert` wrote");
  command.group("Conversation");
  command.option("--system", arguments->system, "System prompt").value("TEXT");
  command
      .word(
          "--think",
          [arguments](const std::string& word) {
            if (word != "on" && word != "off") throw UsageError(concat("--think ", word, ": expected on or off"));
            arguments->thinking = word == "on";
          },
          "off", "Answers begin with reasoning")
      .choices({"on", "off"});
  command
      .word(
          "--effort",
          [arguments](const std::string& word) {
            const std::optional<ReasoningEffort> effort = effort_named(word);
            if (!effort) throw UsageError(concat("--effort ", word, ": expected low, high or max"));
            arguments->effort = *effort;
          },
          "low", "Of the reasoning")
      .choices({"low", "high", "max"});
  command.group("Generation");
  command.option("-n,--max-new-tokens", arguments->max_new_tokens, "Most tokens of an answer; 0: as many as the context holds")
      .shows_default()
      .at_least(0);
  command.option("-c,--context", arguments->engine.context, "Most tokens of the conversation; 0: what the model was made for")
      .shows_default()
      .at_least(0);
  add_sampling_options(command, arguments->sampling, SamplingDefaults::kOfTheFolder);
  add_engine_options(command, arguments->engine);
  command.runs([arguments, command] { run_chat(*arguments, command); });
}

}  // namespace dsv4
