// --help as text: two columns, the right one wrapped.
#include "cli/help.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <vector>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr size_t kWidth = 100, kLeft = 32;
constexpr const char* kArguments = "Arguments";
constexpr const char* kOptions = "Options";

/// `text` from column kLeft on, after `left`, which gets a line of its own where it is long.
std::string two_columns(const std::string& left, const std::string& text) {
  std::string out = "  " + left;
  size_t column = out.size();
  if (column + 2 > kLeft) {
    out += '\n';
    column = 0;
  }
  size_t begin = 0;
  bool first = true;
  while (begin < text.size()) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (first || column + 1 + word.size() > kWidth) {
      if (!first) {
        out += '\n';
        column = 0;
      }
      out += std::string(kLeft - column, ' ') + word;
      column = kLeft + word.size();
    } else {
      out += ' ' + word;
      column += 1 + word.size();
    }
    first = false;
    begin = end + 1;
  }
  return out + '\n';
}

std::string joined_by(const std::vector<std::string>& words, const char* separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

std::string names_of(const OptionInfo& option) {
  const std::string text = joined_by(option.names, ", ");
  if (!option.choices.empty()) return text + " " + joined_by(option.choices, "|");
  return option.value.empty() ? text : text + " " + option.value;
}

std::string explanation(const OptionInfo& option) {
  std::string text = option.help;
  if (!option.positional.empty() && !option.choices.empty()) text += concat(" [", joined_by(option.choices, ", "), "]");
  if (!option.shown_default.empty()) text += " (default " + option.shown_default + ")";
  if (!option.positional.empty() && !option.names.empty()) text += "; also " + names_of(option);
  return text;
}

/// "MODEL", "-m PATH", "[COMMAND]".
std::string usage_of(const OptionInfo& option) {
  const std::string text = !option.positional.empty() ? option.positional : option.names.front() + " " + option.value;
  return option.required ? text : "[" + text + "]";
}

}  // namespace

std::string help_of_program(const CommandLine& line) {
  std::string text = line.description() + "\n\nusage: dsv4 COMMAND ...\n\nCommands:\n";
  for (const CommandInfo& command : line.commands()) text += two_columns(command.name, command.help);
  text += "\nOptions:\n" + two_columns("-h, --help", "This text; dsv4 COMMAND --help and dsv4 help COMMAND have the options of a command") +
          two_columns("-V, --version", "Versions of dsv4 and of what it runs with, for bug reports");
  return text + "\nMore: README.md\n";
}

std::string help_of_command(const CommandInfo& command) {
  std::string usage = "usage: dsv4 " + command.name;
  bool options = false;
  std::vector<std::string> groups;
  for (const OptionInfo& option : command.options) {
    if (option.hidden) continue;
    if (!option.positional.empty() || option.required) {
      usage += " " + usage_of(option);
      continue;
    }
    options = true;
    const std::string& group = option.group.empty() ? kOptions : option.group;
    if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
  }
  std::string text = command.help + "\n\n" + usage + (options ? " [options]\n" : "\n");
  std::string arguments;
  for (const OptionInfo& option : command.options) {
    if (option.hidden || (option.positional.empty() && !option.required)) continue;
    arguments += two_columns(option.positional.empty() ? names_of(option) : option.positional, explanation(option));
  }
  if (!arguments.empty()) text += concat("\n", kArguments, ":\n", arguments);
  for (const std::string& group : groups) {
    text += "\n" + group + ":\n";
    for (const OptionInfo& option : command.options) {
      const bool here = !option.hidden && !option.required && option.positional.empty();
      if (here && (option.group.empty() ? kOptions : option.group) == group) text += two_columns(names_of(option), explanation(option));
    }
  }
  return command.page.empty() ? text : text + "\nMore: " + command.page + "\n";
}

void add_help_command(CommandLine& line) {
  Command command = line.command("help", "Show the options of a command", "README.md");
  const auto name = std::make_shared<std::string>();
  command.option("command", *name, "Which; without it, all commands are listed");
  command.runs([&line, name] { std::cout << (name->empty() ? help_of_program(line) : help_of_command(line.find(*name))); });
}

}  // namespace dsv4
