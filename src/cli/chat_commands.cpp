// Commands of a chat.
#include "cli/chat_commands.h"

#include <filesystem>
#include <iostream>
#include <span>
#include <string_view>

#include "checkpoint/quote.h"
#include "checkpoint/small_file.h"
#include "cli/number_text.h"
#include "dsv4/error.h"
#include "runtime/new_file.h"
#include "text/chat_json.h"
#include "text/saved_chat.h"

namespace dsv4 {

namespace {

namespace fs = std::filesystem;

constexpr SmallFileKind kSavedChat = {"saved conversation", "a conversation that /save wrote", kMostChatBytes};

void say(const std::string& line) { std::cout << line << '\n' << std::flush; }

void help() {
  say("/system TEXT   the system prompt; alone: shows it; \"\": none\n"
      "/think         answers begin with reasoning; /nothink: without\n"
      "/effort E      of reasoning: low, high, max\n"
      "/undo          takes the last message and its answer back\n"
      "/reset         begins anew, with the same system prompt\n"
      "/save FILE     writes the conversation; /load FILE: goes on with one\n"
      "/stats         tokens and times of the last answer\n"
      "/quit          ends, as Ctrl-D does\n"
      "Ctrl-C stops an answer. A line that ends with \\ goes on in the next; so do lines between \"\"\".");
}

std::string rate(int64_t tokens, double seconds) {
  return seconds > 0.0 ? concat(", ", three_digits(static_cast<double>(tokens) / seconds), " tokens/s") : "";
}

void stats(const Talk& talk) {
  const ChatSession& session = talk.session();
  if (const std::optional<ChatAnswer>& last = talk.last()) {
    const Generated& out = last->generated;
    const int64_t fed = last->prompt_tokens - last->reused;
    say(concat("prompt    ", last->prompt_tokens, " tokens: ", last->reused, " held from before, ", fed, " new in ",
               three_digits(out.prefill_seconds), " s", rate(fed, out.prefill_seconds),
               last->fed_again > 0 ? concat("; ", last->fed_again, " fed again to go back") : ""));
    say(concat("answer    ", out.tokens.size(), " tokens", rate(out.decoded, out.decode_seconds)));
  }
  say(concat("context   ", session.position(), " of ", session.context(), " tokens"));
  const SamplerOptions& sampler = talk.request().sampler;
  say(concat("sampling  temperature ", sampler.temperature, ", top-p ", sampler.top_p, ", top-k ", sampler.top_k,
             sampler.temperature > 0.0 ? concat(", seed ", sampler.seed) : ""));
  say(concat("thinking  ", talk.chat().thinking ? "on" : "off", ", effort ", effort_name(talk.chat().effort)));
}

/// An older conversation is replaced by the new one in one step; a file that is none is left alone.
void save(const std::string& name, const Talk& talk) {
  if (name.empty()) fail("/save: expected the name of a file");
  if (talk.turns() == 0) fail("/save: there is nothing to save yet");
  const fs::path file(name);
  std::error_code error;
  if (fs::exists(file, error)) {
    try {
      read_saved_chat(read_named_file(file, kSavedChat), path_text(file));
    } catch (const Error&) {
      fail("/save ", path_text(file), ": there is a file of this name that is no saved conversation; take another name");
    }
  }
  const std::string text = saved_chat_text(talk.chat());
  NewFile out(file);
  out.write(std::as_bytes(std::span(text)));
  out.finish();
  say(concat(talk.turns(), " turns written to ", path_text(file)));
}

void load(const std::string& name, Talk& talk) {
  if (name.empty()) fail("/load: expected the name of a file");
  const fs::path file(name);
  talk.load(read_saved_chat(read_named_file(file, kSavedChat), path_text(file)));
  say(concat(talk.turns(), " turns of ", path_text(file)));
}

void set_effort(const std::string& word, Talk& talk) {
  const std::optional<ReasoningEffort> effort = effort_named(word);
  if (!effort) fail("/effort ", excerpt(word), ": expected low, high or max");
  talk.set_effort(*effort);
  say(concat("effort ", word, talk.chat().thinking ? "" : ", in use when /think is on"));
}

std::string trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == text.npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

}  // namespace

bool is_chat_command(const std::string& line) { return line.starts_with('/'); }

bool run_chat_command(const std::string& line, Talk& talk) {
  const size_t space = line.find_first_of(" \t\n");
  const std::string name = line.substr(0, space);
  const std::string rest = space == line.npos ? "" : trimmed(std::string_view(line).substr(space + 1));
  if (name == "/help") {
    help();
  } else if (name == "/system") {
    if (rest.empty()) {
      say(talk.system().empty() ? "no system prompt" : escaped_lines(talk.system()));
    } else {
      talk.set_system(rest == "\"\"" ? "" : rest);
    }
  } else if (name == "/think" || name == "/nothink") {
    talk.set_thinking(name == "/think");
    say(name == "/think" ? concat("thinking on, effort ", effort_name(talk.chat().effort)) : "thinking off");
  } else if (name == "/effort") {
    set_effort(rest, talk);
  } else if (name == "/save") {
    save(rest, talk);
  } else if (name == "/load") {
    load(rest, talk);
  } else if (name == "/stats") {
    stats(talk);
  } else if (name == "/reset") {
    talk.reset();
    say("a new conversation");
  } else if (name == "/undo") {
    if (!talk.undo()) fail("/undo: there is nothing to take back");
    say(concat("the last message is taken back; ", talk.turns(), " turns are left"));
  } else if (name == "/quit" || name == "/exit") {
    return false;
  } else {
    fail(excerpt(name), ": no such command; /help lists them. A message that begins with / needs a blank in front");
  }
  return true;
}

}  // namespace dsv4
