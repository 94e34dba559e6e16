// dsv4 completion: a script for a shell, made from what the commands declare.
#include "cli/completion.h"

#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

using Words = std::vector<std::string>;

std::string spaced(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

/// In single quotes, as all three shells read them.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

Words command_names(const CommandLine& line) {
  Words names;
  for (const CommandInfo& command : line.commands()) names.push_back(command.name);
  return names;
}

Words option_names(const CommandInfo& command) {
  Words names;
  for (const OptionInfo& option : command.options) {
    if (!option.hidden) names.insert(names.end(), option.names.begin(), option.names.end());
  }
  names.emplace_back("--help");
  return names;
}

/// What may stand behind the command itself, where that is one of a few words.
const Words& first_words(const CommandInfo& command) {
  static const Words kNone;
  for (const OptionInfo& option : command.options) {
    if (!option.positional.empty()) return option.choices;
  }
  return kNone;
}

/// Patterns of a shell's `case` over "COMMAND PREVIOUS", with the words that may follow: make(patterns, words) for each.
template <class Make>
std::string choice_cases(const CommandLine& line, const Make& make) {
  std::string text;
  for (const CommandInfo& command : line.commands()) {
    for (const OptionInfo& option : command.options) {
      if (option.choices.empty()) continue;
      std::string patterns;
      for (const std::string& name : option.names) patterns += (patterns.empty() ? "\"" : "|\"") + command.name + " " + name + "\"";
      if (!patterns.empty()) text += make(patterns, option.choices);
    }
  }
  return text;
}

/// The same for the commands whose first argument is one of a few words.
template <class Make>
std::string first_word_cases(const CommandLine& line, const Make& make) {
  std::string text;
  for (const CommandInfo& command : line.commands()) {
    if (!first_words(command).empty()) text += make(command.name, first_words(command));
  }
  return text;
}

}  // namespace

std::string bash_completion(const CommandLine& line) {
  const auto choices = [](const std::string& patterns, const Words& words) {
    return concat("    ", patterns, ") COMPREPLY=($(compgen -W '", spaced(words), "' -- \"$current\")); return ;;\n");
  };
  std::string text = "# Completion of dsv4 for bash: source <(dsv4 completion bash)\n_dsv4() {\n";
  text += "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} options=\n  COMPREPLY=()\n";
  text += concat("  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W '", spaced(command_names(line)),
                 " --help --version' -- \"$current\"))\n    return\n  fi\n");
  text += "  case \"${COMP_WORDS[1]} $previous\" in\n" + choice_cases(line, choices) + "  esac\n  case \"${COMP_WORDS[1]}\" in\n";
  for (const CommandInfo& command : line.commands()) {
    text += concat("    ", command.name, ") options='", spaced(option_names(command)), "' ;;\n");
  }
  text += "  esac\n  case \"$current\" in\n    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$current\")); return ;;\n  esac\n";
  text += "  [ \"$COMP_CWORD\" -eq 2 ] || return\n  case \"${COMP_WORDS[1]}\" in\n" + first_word_cases(line, choices) + "  esac\n}\n";
  return text + "complete -o default -F _dsv4 dsv4\n";  // default: names of files, where there is nothing else
}

std::string zsh_completion(const CommandLine& line) {
  const auto choices = [](const std::string& patterns, const Words& words) {
    return concat("    (", patterns, ") compadd -- ", spaced(words), "; return ;;\n");
  };
  std::string text = "#compdef dsv4\n# Completion of dsv4 for zsh: source <(dsv4 completion zsh), or a file _dsv4 in a folder of $fpath\n";
  text += "_dsv4() {\n  local -a commands options\n  commands=(";
  for (const CommandInfo& command : line.commands()) text += "\n    " + quoted(command.name + ":" + command.help);
  text += "\n  )\n  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n";
  text += "  case \"$words[2] $words[CURRENT-1]\" in\n" + choice_cases(line, choices) + "  esac\n  case $words[2] in\n";
  for (const CommandInfo& command : line.commands()) {
    text += concat("    (", command.name, ") options=(");
    for (const OptionInfo& option : command.options) {
      if (option.hidden) continue;
      for (const std::string& name : option.names) text += "\n      " + quoted(name + ":" + option.help);
    }
    text += "\n      '--help:Show the options') ;;\n";
  }
  text += "  esac\n  if [[ $words[CURRENT] == -* ]]; then\n    _describe -o option options\n    return\n  fi\n";
  text += "  if (( CURRENT == 3 )); then\n  case $words[2] in\n" + first_word_cases(line, choices) + "  esac\n  fi\n  _files\n}\n";
  return text + "if [[ $funcstack[1] == _dsv4 ]]; then\n  _dsv4 \"$@\"\nelse\n  compdef _dsv4 dsv4\nfi\n";
}

std::string fish_completion(const CommandLine& line) {
  std::string text = "# Completion of dsv4 for fish: dsv4 completion fish | source\n";
  for (const CommandInfo& command : line.commands()) {
    text += concat("complete -c dsv4 -n __fish_use_subcommand -f -a ", command.name, " -d ", quoted(command.help), "\n");
    const std::string here = concat("complete -c dsv4 -n '__fish_seen_subcommand_from ", command.name, "'");
    if (!first_words(command).empty()) text += concat(here, " -f -a ", quoted(spaced(first_words(command))), "\n");
    for (const OptionInfo& option : command.options) {
      if (option.hidden || option.names.empty()) continue;
      std::string names;
      for (const std::string& name : option.names) names += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      const std::string value = !option.choices.empty() ? " -x -a " + quoted(spaced(option.choices)) : option.value.empty() ? "" : " -r";
      text += concat(here, names, value, " -d ", quoted(option.help), "\n");
    }
  }
  return text;
}

void add_completion_command(CommandLine& line) {
  Command command =
      line.command("completion", "Print a script that completes dsv4's commands and options in a shell", "docs/command-line.md");
  const auto shell = std::make_shared<std::string>();
  command.option("shell", *shell, "The shell: source <(dsv4 completion bash)").required().choices({"bash", "zsh", "fish"});
  command.runs([&line, shell] {
    if (*shell == "bash") {
      std::cout << bash_completion(line);
    } else if (*shell == "zsh") {
      std::cout << zsh_completion(line);
    } else if (*shell == "fish") {
      std::cout << fish_completion(line);
    } else {
      throw UsageError(concat("completion ", *shell, ": expected one of bash, zsh, fish"));
    }
  });
}

}  // namespace dsv4
