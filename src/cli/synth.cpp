// dsv4 synth: writes a synthetic checkpoint in DeepSeek's published format.
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include "checkpoint/amounts.h"
#include "checkpoint/quote.h"
#include "checkpoint/synthesize.h"
#include "cli/commands.h"
#include "cli/messages.h"
#include "cli/progress.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

/// What was written, and what a person does with it.
void print_next(const SynthesizeOptions& options) {
  uint64_t bytes = 0, files = 0;
  for (const std::filesystem::directory_entry& entry : std::filesystem::directory_iterator(options.output)) {
    if (entry.path().extension() != ".safetensors") continue;
    bytes += entry.file_size();
    ++files;
  }
  const std::string output = path_text(options.output);
  std::cout << output << ": a checkpoint with random weights, " << byte_text(bytes) << " of tensors in " << files
            << (files == 1 ? " file" : " files") << (options.sparse ? ", weights left as holes" : "") << "\nnext: dsv4 convert -m "
            << output << ' ' << output << "-int8 --weight-format int8\n";
}

void run_synth(SynthesizeOptions& options) {
  Progress progress("synth");
  options.progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
  options.notice = [](const std::string& line) { print_notice(line); };
  synthesize(options);
  progress.finish();
  print_next(options);
}

}  // namespace

void add_synth_command(CommandLine& line) {
  Command command =
      line.command("synth", "Write a synthetic checkpoint: random weights in DeepSeek's published format", "docs/checkpoints.md");
  const auto options = std::make_shared<SynthesizeOptions>();
  command.option("preset", options->preset_or_config, "One of these, or the path of a config.json")
      .required()
      .value("PRESET")
      .choices(preset_names());
  command.option("output", options->output, "Checkpoint directory to create").required();
  command.option("--layers", options->layers, "Only the first N layers, without the draft").within(1, 1024);
  command.option("--seed", options->seed, "The same seed gives the same bytes on every machine").shows_default().unsigned_64();
  command.flag(
      "--sparse", options->sparse,
      "Leave weights and the scales of experts as holes: zeros of the real size that take no room, to rehearse memory, files and times");
  command.runs([options] { run_synth(*options); });
}

}  // namespace dsv4
