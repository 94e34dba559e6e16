// Completion of commands and options in shells.
#pragma once

#include <string>

#include "cli/command_line.h"

namespace dsv4 {

/// Scripts that complete what `line` declares, to be sourced.
std::string bash_completion(const CommandLine& line);
std::string zsh_completion(const CommandLine& line);
std::string fish_completion(const CommandLine& line);

/// Adds `dsv4 completion bash|zsh|fish`.
void add_completion_command(CommandLine& line);

}  // namespace dsv4
