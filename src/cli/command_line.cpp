// Reading the command line with CLI11.
#include "cli/command_line.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <limits>
#include <type_traits>
#include <utility>

#include "cli/help.h"
#include "cli/suggestion.h"
#include "dsv4/error.h"

namespace dsv4 {

Option& Option::required() {
  option_->required();
  info_->required = true;
  return *this;
}

Option& Option::shows_default() {
  option_->capture_default_str();
  info_->shown_default = option_->get_default_str();
  return *this;
}

Option& Option::value(const std::string& name) {
  info_->value = name;
  return *this;
}

Option& Option::choices(std::vector<std::string> words) {
  info_->choices = std::move(words);
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

std::vector<std::string> split_names(const std::string& names) {
  std::vector<std::string> parts(1);
  for (const char c : names) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

template <class T>
const char* value_name() {
  if constexpr (std::is_same_v<T, std::filesystem::path>) return "PATH";
  if constexpr (std::is_integral_v<T>) return "N";
  if constexpr (std::is_floating_point_v<T>) return "X";
  return "TEXT";
}

std::string upper_case(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return text;
}

}  // namespace

Option& Option::number_from(double low) {
  check_number(
      option_, [low](double value) { return std::isfinite(value) && value >= low; }, concat(low, " or more"));
  return *this;
}

Option& Option::number_above(double low) {
  check_number(
      option_, [low](double value) { return std::isfinite(value) && value > low; }, concat("more than ", low));
  return *this;
}

Option& Option::number_within(double low, double high) {
  check_number(
      option_, [low, high](double value) { return value >= low && value <= high; }, concat(low, " to ", high));
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

OptionInfo* Command::add_info(const std::string& names, const std::string& value, const std::string& help) {
  OptionInfo info;
  for (const std::string& name : split_names(names)) {
    if (name.starts_with('-')) {
      info.names.push_back(name);
    } else {
      info.positional = upper_case(name);
    }
  }
  info.value = value;
  info.help = help;
  info.group = group_;
  return &info_->options.emplace_back(std::move(info));
}

template <class T>
Option Command::option(const std::string& names, T& value, const std::string& help) {
  CLI::Option* const option = app_->add_option(names, value, help);
  if constexpr (std::is_same_v<T, std::vector<std::string>>) option->allow_extra_args(false);  // one value each time
  return {option, add_info(names, value_name<T>(), help)};
}

template Option Command::option(const std::string&, std::string&, const std::string&);
template Option Command::option(const std::string&, std::optional<std::string>&, const std::string&);
template Option Command::option(const std::string&, std::filesystem::path&, const std::string&);
template Option Command::option(const std::string&, int&, const std::string&);
template Option Command::option(const std::string&, int64_t&, const std::string&);
template Option Command::option(const std::string&, uint64_t&, const std::string&);
template Option Command::option(const std::string&, float&, const std::string&);
template Option Command::option(const std::string&, double&, const std::string&);
template Option Command::option(const std::string&, std::vector<std::string>&, const std::string&);

void Command::model(std::filesystem::path& value, const std::string& help) {
  option("-m,--model,model", value, help).value("MODEL").required();
}

void Command::flag(const std::string& names, bool& value, const std::string& help) {
  app_->add_flag(names, value, help);
  add_info(names, "", help);
}

Option Command::word(const std::string& name, const std::function<void(const std::string&)>& set, const std::string& shown_default,
                     const std::string& help) {
  OptionInfo* const info = add_info(name, "WORD", help);
  info->shown_default = shown_default;
  return {app_->add_option_function<std::string>(name, set, help), info};
}

void Command::habit(const std::vector<std::string>& names, bool takes_value, const std::function<void(const std::string&)>& met) {
  for (const std::string& name : names) {
    if (takes_value) {
      app_->add_option_function<std::string>(name, [met, name](const std::string&) { met(name); });
    } else {
      app_->add_flag_callback(name, [met, name] { met(name); });
    }
    add_info(name, takes_value ? "TEXT" : "", "")->hidden = true;
  }
}

bool Command::given(const std::string& name) const { return app_->count(name) > 0; }

void Command::runs(const std::function<void()>& action) { app_->callback(action); }

CommandLine::CommandLine(const std::string& description, const std::string& name, std::function<std::string()> version)
    : description_(description), version_(std::move(version)), app_(new CLI::App(description, name)) {
  app_->set_version_flag("-V,--version", std::string());
  app_->require_subcommand(1);
}

CommandLine::~CommandLine() { delete app_; }

Command CommandLine::command(const std::string& name, const std::string& help, const std::string& page) {
  commands_.push_back({name, help, page, {}});
  return {app_->add_subcommand(name, help), &commands_.back()};
}

const CommandInfo& CommandLine::find(const std::string& name) const {
  std::vector<std::string> names;
  for (const CommandInfo& command : commands_) {
    if (command.name == name) return command;
    names.push_back(command.name);
  }
  throw UsageError(concat("no such command: ", name, did_you_mean(name, names, "dsv4 --help")));
}

const CommandInfo* CommandLine::named() const {
  const auto parsed = app_->get_subcommands();
  return parsed.empty() ? nullptr : &find(parsed.front()->get_name());
}

void CommandLine::refuse(const std::string& why) const {
  const CommandInfo* command = named();
  const std::string help = command ? concat("dsv4 ", command->name, " --help") : "dsv4 --help";
  const std::vector<std::string> left = command ? app_->get_subcommands().front()->remaining() : app_->remaining();
  // An unknown option first: what CLI11 misses may have been its value or stands behind it.
  const auto unknown = std::find_if(left.begin(), left.end(), [](const std::string& text) { return text.size() > 1 && text[0] == '-'; });
  if (unknown != left.end()) {
    const std::string name = unknown->substr(0, unknown->find('='));
    std::vector<std::string> known = {"--help"};
    if (!command) known.push_back("--version");
    if (command) {
      for (const OptionInfo& option : command->options) {
        if (!option.hidden) known.insert(known.end(), option.names.begin(), option.names.end());
      }
    }
    throw UsageError(concat("no such option: ", name, did_you_mean(name, known, help)));
  }
  if (!command && !left.empty()) find(left.front());  // throws: else it would have been parsed
  if (!left.empty()) throw UsageError(concat(left.front(), ": more arguments than ", command->name, " takes; see ", help));
  throw UsageError(concat(why, "; see ", help));
}

bool CommandLine::run(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
    return true;
  } catch (const CLI::CallForVersion&) {
    std::cout << version_();
    return false;
  } catch (const CLI::Success&) {  // --help
    const CommandInfo* command = named();
    std::cout << (command ? help_of_command(*command) : help_of_program(*this));
    return false;
  } catch (const UsageError& error) {  // of the command itself
    const CommandInfo* command = named();
    const std::string text = error.what();
    if (command == nullptr || text.ends_with("--help")) throw;
    throw UsageError(concat(text, "; see dsv4 ", command->name, " --help"));
  } catch (const CLI::RequiredError& error) {
    refuse(named() ? error.what() : "give a command");
  } catch (const CLI::ParseError& error) {
    refuse(error.what());
  }
}

}  // namespace dsv4
