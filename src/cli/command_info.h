// What the commands declare of themselves and of their options: from it come --help, the shells' completions and "did you mean".
#pragma once

#include <deque>
#include <string>
#include <vector>

namespace dsv4 {

struct OptionInfo {
  std::vector<std::string> names;  ///< "-n", "--max-new-tokens"; none: only positional
  std::string positional;          ///< "MODEL"; empty: only by name
  std::string value;               ///< what help calls the value: "N"; empty: a flag
  std::string help, shown_default, group;
  std::vector<std::string> choices;  ///< the words that it takes, where it takes nothing else
  bool required = false;
  bool hidden = false;  ///< taken, but not shown
};

struct CommandInfo {
  std::string name, help;
  std::string page;  ///< of the documentation
  std::deque<OptionInfo> options;
};

}  // namespace dsv4
