// dsv4 synth: writes a synthetic checkpoint in DeepSeek's published format.
#include <CLI/CLI.hpp>

#include <iostream>
#include <memory>
#include <string>

#include "checkpoint/synthesize.h"
#include "cli/commands.h"
#include "cli/option_checks.h"
#include "cli/progress.h"

namespace dsv4 {
namespace {

void run_synth(SynthesizeOptions& options) {
  Progress progress("synth");
  options.progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
  options.notice = [](const std::string& line) { std::cerr << "dsv4: " << line << '\n'; };
  synthesize(options);
  progress.finish();
}

}  // namespace

void add_synth_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("synth", "Write a synthetic checkpoint: random weights in DeepSeek's published format");
  const auto options = std::make_shared<SynthesizeOptions>();
  command->add_option("preset", options->preset_or_config, "toy, v4-flash, v4-pro or the path of a config.json")->required();
  command->add_option("output", options->output, "Checkpoint directory to create")->required();
  command->add_option("--layers", options->layers, "Only the first N layers, without the MTP block")->check(CLI::Range(1, 1024));
  command->add_option("--seed", options->seed, "The same seed gives the same bytes on every machine")
      ->capture_default_str()
      ->check(unsigned_64());
  command->callback([options] { run_synth(*options); });
}

}  // namespace dsv4
