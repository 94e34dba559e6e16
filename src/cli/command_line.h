// The command line as the commands declare it. CLI11 does the work and is compiled in command_line.cpp alone: it takes ten seconds a file.
#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/command_info.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace dsv4 {

/// One option of a command: what its value may be and how --help shows it.
class Option {
 public:
  Option(CLI::Option* option, OptionInfo* info) : option_(option), info_(info) {}

  Option& required();
  /// --help says the value that the variable has now, as the default.
  Option& shows_default();
  /// What --help calls the value: "FILE".
  Option& value(const std::string& name);
  /// The words that it takes, for --help and the shells' completions; who reads the value checks it.
  Option& choices(std::vector<std::string> words);
  /// An integer from `low` to 2^31-1.
  Option& at_least(int low);
  Option& within(int low, int high);
  /// A finite number from `low` on.
  Option& number_from(double low);
  /// A finite number above `low`.
  Option& number_above(double low);
  Option& number_within(double low, double high);
  /// A number above 0, at most 1.
  Option& share();
  /// An integer of 64 bits without a sign: CLI11 2.1 takes "-1" and numbers beyond 64 bits as others than those that were written.
  Option& unsigned_64();

 private:
  CLI::Option* option_;
  OptionInfo* info_;
};

/// A command; copies are the same command. Variables have to live until it has run.
class Command {
 public:
  Command(CLI::App* app, CommandInfo* info) : app_(app), info_(info) {}

  /// What is declared from here on stands below this title in --help.
  void group(const std::string& title) { group_ = title; }

  /// "-n,--name,positional". T: std::string, std::optional<std::string>, std::filesystem::path, int, int64_t, uint64_t, float, double, and std::vector<std::string> for an option
  /// that may be repeated.
  template <class T>
  Option option(const std::string& names, T& value, const std::string& help);
  /// The model folder, by position or as -m.
  void model(std::filesystem::path& value, const std::string& help);
  void flag(const std::string& names, bool& value, const std::string& help);
  /// A word that `set` takes or refuses with UsageError.
  Option word(const std::string& name, const std::function<void(const std::string&)>& set, const std::string& shown_default,
              const std::string& help);
  /// Options of other programs that a person may give out of habit, with or without a value: `met` is called with the name of each that is there, and may
  /// refuse it. They are not shown.
  void habit(const std::vector<std::string>& names, bool takes_value, const std::function<void(const std::string&)>& met);

  /// Whether the option is on the command line.
  bool given(const std::string& name) const;
  /// What the command does once its options are read.
  void runs(const std::function<void()>& action);

 private:
  OptionInfo* add_info(const std::string& names, const std::string& value, const std::string& help);

  CLI::App* app_;
  CommandInfo* info_;
  std::string group_;
};

/// The program's commands.
class CommandLine {
 public:
  /// `version` makes what --version prints.
  CommandLine(const std::string& description, const std::string& name, std::function<std::string()> version);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  /// `page`: of the documentation, which --help names.
  Command command(const std::string& name, const std::string& help, const std::string& page);

  const std::string& description() const { return description_; }
  const std::deque<CommandInfo>& commands() const { return commands_; }
  /// UsageError with the nearest name when there is none of this name.
  const CommandInfo& find(const std::string& name) const;

  /// Reads the arguments and runs their command, whose exceptions pass through. False when they asked for help or the version, which is then printed;
  /// UsageError for what cannot be read.
  bool run(int argc, char** argv);

 private:
  /// The parsed command; nullptr when none was named.
  const CommandInfo* named() const;
  [[noreturn]] void refuse(const std::string& why) const;

  std::string description_;
  std::function<std::string()> version_;
  std::deque<CommandInfo> commands_;
  CLI::App* app_;
};

}  // namespace dsv4
