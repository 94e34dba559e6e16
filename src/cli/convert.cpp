// dsv4 convert: a checkpoint becomes an OpenVINO model folder.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <iostream>
#include <memory>

#include "cli/commands.h"
#include "cli/option_checks.h"
#include "cli/progress.h"
#include "convert/convert.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

struct ConvertArguments {
  ConvertOptions options;
  std::string format = "fp32";
  bool disable_stateful = false;
  bool disable_tokenizer = false;
  bool dry_run = false;
};

void print_report(const char* what, const ConvertReport& report) {
  std::printf("%s: %llu constants, %.1f MB read, openvino_model.bin %.1f MB, openvino_model.xml %.1f MB\n", what,
              static_cast<unsigned long long>(report.constants), static_cast<double>(report.checkpoint_bytes) / 1e6,
              static_cast<double>(report.bin_bytes) / 1e6, static_cast<double>(report.xml_bytes) / 1e6);
}

void run_convert(ConvertArguments& arguments) {
  ConvertOptions& options = arguments.options;
  options.format = parse_weight_format(arguments.format);
  options.stateful = !arguments.disable_stateful;
  options.notice = [](const std::string& line) { std::cerr << "dsv4: " << line << '\n'; };
  if (arguments.dry_run) {
    print_report("plan", plan_conversion(options));
    return;
  }
  Progress progress("convert");
  options.progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
  const ConvertReport report = convert(options);
  progress.finish();
  print_report(options.output.string().c_str(), report);
  std::printf("%.2f s, %.2f GB/s written\n", report.seconds, static_cast<double>(report.bin_bytes) / 1e9 / report.seconds);
}

}  // namespace

void add_convert_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("convert", "Convert a checkpoint to an OpenVINO model folder");
  const auto arguments = std::make_shared<ConvertArguments>();
  command->add_option("-m,--model", arguments->options.checkpoint, "Checkpoint directory, as published")->required();
  command->add_option("output", arguments->options.output, "Model folder to create")->required();
  command->add_option("--weight-format", arguments->format, "fp32 or fp16 (int8, int4 and mxfp4 are not in this version)")
      ->capture_default_str();
  command->add_option("--layers", arguments->options.layers, "Convert the first N layers only")->check(at_least(1));
  command->add_flag("--disable-stateful", arguments->disable_stateful, "Prefill-only form: one input, input_ids, and no state");
  command->add_flag("--disable-convert-tokenizer", arguments->disable_tokenizer,
                    "Accepted for habit: tokenizer models are not written in this version, the checkpoint's tokenizer files are copied");
  command->add_flag("--dry-run", arguments->dry_run, "Check the checkpoint and print sizes; write nothing");
  command->callback([arguments] { run_convert(*arguments); });
}

}  // namespace dsv4
