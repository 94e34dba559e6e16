// The command line as the commands declare it. CLI11 does the work and is compiled in command_line.cpp alone: it takes ten seconds a file.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace dsv4 {

/// One option of a command: what its value may be and how --help shows it.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option& required();
  /// --help says the value that the variable has now, as the default.
  Option& shows_default();
  /// An integer from `low` to 2^31-1.
  Option& at_least(int low);
  Option& within(int low, int high);
  /// A finite number from `low` on.
  Option& number_from(double low);
  /// A number above 0, at most 1.
  Option& share();
  /// An integer of 64 bits without a sign: CLI11 2.1 takes "-1" and numbers beyond 64 bits as others than those that were written.
  Option& unsigned_64();

 private:
  CLI::Option* option_;
};

/// A command; copies are the same command. Variables have to live until it has run.
class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}

  /// T: std::string, std::optional<std::string>, std::filesystem::path, int, int64_t, uint64_t, float, double.
  template <class T>
  Option option(const std::string& names, T& value, const std::string& help);
  void flag(const std::string& names, bool& value, const std::string& help);
  /// A word that `set` takes or refuses with UsageError.
  void word(const std::string& name, const std::function<void(const std::string&)>& set, const std::string& shown_default,
            const std::string& help);

  /// Whether the option is on the command line.
  bool given(const std::string& name) const;
  /// What the command does once its options are read.
  void runs(const std::function<void()>& action);

 private:
  CLI::App* app_;
};

/// The program's commands.
class CommandLine {
 public:
  CommandLine(const std::string& description, const std::string& name, const std::string& version);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  Command command(const std::string& name, const std::string& help);

  /// Reads the arguments and runs their command, whose exceptions pass through. False when they asked for help or the version, which is then printed;
  /// UsageError for what cannot be read.
  bool run(int argc, char** argv);

 private:
  CLI::App* app_;
};

}  // namespace dsv4
