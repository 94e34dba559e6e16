// What --help prints.
#pragma once

#include <string>

#include "cli/command_line.h"

namespace dsv4 {

/// The commands, and how to learn more.
std::string help_of_program(const CommandLine& line);

/// Usage, the options in their groups with their defaults, the page of the documentation.
std::string help_of_command(const CommandInfo& command);

/// Adds `dsv4 help [COMMAND]`.
void add_help_command(CommandLine& line);

}  // namespace dsv4
