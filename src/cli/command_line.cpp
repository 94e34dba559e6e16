// Reading the command line with CLI11.
#include "cli/command_line.h"

#include <CLI/CLI.hpp>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

const char* const kSeeHelp = "; see dsv4 --help";

}  // namespace

Option& Option::required() {
  option_->required();
  return *this;
}

Option& Option::shows_default() {
  option_->capture_default_str();
  return *this;
}

Option& Option::at_least(int low) {
  return within(low, std::numeric_limits<int>::max());
}  // CLI11's PositiveNumber prints the largest double

Option& Option::within(int low, int high) {
  option_->check(CLI::Range(low, high));
  return *this;
}

namespace {

/// Checks a number with `allowed`; false for text that is none, which CLI11 then refuses itself.
template <class F>
void check_number(CLI::Option* option, const F& allowed, const std::string& expected) {
  option->check(
      [allowed, expected](const std::string& text) -> std::string {
        double value = 0.0;
        return !CLI::detail::lexical_cast(text, value) || allowed(value) ? "" : text + ": expected " + expected;
      },
      "");
}

}  // namespace

Option& Option::number_from(double low) {
  check_number(
      option_, [low](double value) { return std::isfinite(value) && value >= low; }, concat(low, " or more"));
  return *this;
}

Option& Option::share() {
  check_number(
      option_, [](double value) { return value > 0.0 && value <= 1.0; }, "more than 0 and at most 1");
  return *this;
}

Option& Option::unsigned_64() {
  option_->check(
      [](const std::string& text) -> std::string {
        uint64_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        return error == std::errc() && end == text.data() + text.size() ? "" : text + " is not an integer of 64 bits without a sign";
      },
      "");
  return *this;
}

template <class T>
Option Command::option(const std::string& names, T& value, const std::string& help) {
  return Option(app_->add_option(names, value, help));
}

template Option Command::option(const std::string&, std::string&, const std::string&);
template Option Command::option(const std::string&, std::optional<std::string>&, const std::string&);
template Option Command::option(const std::string&, std::filesystem::path&, const std::string&);
template Option Command::option(const std::string&, int&, const std::string&);
template Option Command::option(const std::string&, int64_t&, const std::string&);
template Option Command::option(const std::string&, uint64_t&, const std::string&);
template Option Command::option(const std::string&, float&, const std::string&);
template Option Command::option(const std::string&, double&, const std::string&);

void Command::flag(const std::string& names, bool& value, const std::string& help) { app_->add_flag(names, value, help); }

void Command::word(const std::string& name, const std::function<void(const std::string&)>& set, const std::string& shown_default,
                   const std::string& help) {
  app_->add_option_function<std::string>(name, set, help)->default_str(shown_default)->type_name("TEXT");
}

bool Command::given(const std::string& name) const { return app_->count(name) > 0; }

void Command::runs(const std::function<void()>& action) { app_->callback(action); }

CommandLine::CommandLine(const std::string& description, const std::string& name, const std::string& version)
    : app_(new CLI::App(description, name)) {
  app_->set_version_flag("--version", version);
  app_->require_subcommand(1);
}

CommandLine::~CommandLine() { delete app_; }

Command CommandLine::command(const std::string& name, const std::string& help) { return Command(app_->add_subcommand(name, help)); }

bool CommandLine::run(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
    return true;
  } catch (const CLI::Success& asked) {  // --help, --help-all, --version
    app_->exit(asked);
    return false;
  } catch (const CLI::RequiredError& error) {
    // CLI11 reports a mistyped subcommand as one that is missing.
    if (app_->get_subcommands().empty() && !app_->remaining().empty()) {
      throw UsageError("no such subcommand or option: " + app_->remaining().front() + kSeeHelp);
    }
    throw UsageError(error.what() + std::string(kSeeHelp));
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what() + std::string(kSeeHelp));
  }
}

}  // namespace dsv4
