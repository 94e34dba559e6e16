// The options with which commands open a model folder.
#pragma once

#include <filesystem>

#include "cli/command_line.h"
#include "dsv4/engine.h"

namespace dsv4 {

/// More than any machine has.
constexpr int kMostThreads = 4096;

/// Who adds -t.
enum class Threads {
  kOption,        ///< it is one of these options
  kOfTheCommand,  ///< the command, which takes more than one number
};

/// Adds, as a group of their own, --program, --activations, --weights, --expert-cache, --expert-profile, --cache, --quantize-cache, --device and --threads; their defaults are what `options` holds then, and it has to live as
/// long as `command`.
void add_engine_options(Command& command, EngineOptions& options, Threads threads = Threads::kOption);

/// Opens a folder; what there is to say goes to standard error, unless `quiet`.
Engine open_engine(const std::filesystem::path& folder, EngineOptions options, bool quiet = false);

/// "cpu" or "portable".
std::string program_name(Program program);

}  // namespace dsv4
