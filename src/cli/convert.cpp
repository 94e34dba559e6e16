// dsv4 convert: a checkpoint becomes an OpenVINO model folder.
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include "checkpoint/amounts.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/form.h"
#include "checkpoint/quote.h"
#include "cli/commands.h"
#include "cli/convert_host.h"
#include "cli/messages.h"
#include "cli/progress.h"
#include "convert/convert.h"
#include "convert/default_format.h"
#include "convert/program_from_folder.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

struct ConvertArguments {
  ConvertOptions options;
  std::string program = "portable", activations = "int8", cache = "bf16";
  std::filesystem::path from;
  std::string format, selection = "trained", fallback = "error", backup = "int8_asym";
  std::string experts = "grouped", static_shape;
  bool disable_stateful = false;
  bool disable_tokenizer = false;
  bool dry_run = false;
  std::vector<std::string> ignored;  // options of optimum-cli that change nothing here
};

std::atomic<bool> stop_asked = false;
std::atomic<int> stop_signal = 0;

/// Ctrl-C and `kill` once: the conversion stops at the next piece and records what is finished. Twice: at once.
void ask_to_stop(int signal) {
  stop_signal = signal;
  stop_asked = true;
  std::signal(signal, SIG_DFL);
}

/// So that the parent sees what ended the program.
void die_by(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  std::raise(signal);
}

/// Options that mean nothing for the format that is asked for are refused, as NNCF does. Before the checkpoint is looked at.
void check_options(const Command& command, const ConvertArguments& arguments) {
  const CompressionOptions& c = arguments.options.compression;
  if (!(c.ratio > 0.0 && c.ratio <= 1.0)) throw UsageError(concat("--ratio ", c.ratio, ": expected more than 0 and at most 1"));
  if (c.group_size == 0 || c.group_size < -1)
    throw UsageError(concat("--group-size ", c.group_size, ": expected 1 or more, or -1 for a whole row"));
  if (!command.given("--weight-format")) {  // which would be found only in the checkpoint
    for (const char* option :
         {"--sym", "--group-size", "--ratio", "--all-layers", "--group-size-fallback", "--backup-precision", "--selection"}) {
      if (command.given(option)) throw UsageError(concat(option, ": belongs to a weight format; give --weight-format too"));
    }
    return;
  }
  const auto refuse = [&](const char* option, bool applies, const char* where) {
    if (command.given(option) && !applies)
      throw UsageError(concat(option, ": applies to ", where, ", not to --weight-format ", arguments.format));
  };
  const bool int4 = c.format == WeightFormat::kInt4;
  refuse("--sym", int4 || c.format == WeightFormat::kInt8, "int8 and int4");
  for (const char* option : {"--group-size", "--ratio", "--all-layers", "--group-size-fallback"}) refuse(option, int4, "int4");
  refuse("--backup-precision", int4 || c.format == WeightFormat::kMxfp4, "int4 and mxfp4");
  refuse("--selection", is_compressed(c.format), "int8, int4 and mxfp4");
}

/// Options of the CPU program, and what it cannot be together with.
void check_program(const Command& command, ConvertArguments& arguments) {
  if (arguments.program != "cpu" && arguments.program != "portable")
    throw UsageError(concat("--program ", arguments.program, ": expected portable or cpu"));
  if (arguments.program == "portable") {
    for (const char* option : {"--from", "--activations", "--cache"}) {
      if (command.given(option)) throw UsageError(concat(option, ": belongs to --program cpu; give that too"));
    }
    return;
  }
  if (arguments.disable_stateful) throw UsageError("--disable-stateful: the CPU program keeps state; leave --program cpu out");
  if (!arguments.static_shape.empty()) throw UsageError("--static-shape: the CPU program takes any shape; leave --program cpu out");
  if (arguments.experts != "grouped")
    throw UsageError(concat("--experts ", arguments.experts, ": a form of the portable program; leave --program cpu out"));
  if (arguments.activations != "int8" && arguments.activations != "f32")
    throw UsageError(concat("--activations ", arguments.activations, ": expected int8 or f32"));
  if (arguments.cache != "bf16" && arguments.cache != "f32")
    throw UsageError(concat("--cache ", arguments.cache, ": expected bf16 or f32"));
  arguments.options.cpu_program = ClientProgram{arguments.activations == "f32" ? ActivationRounding::kF32 : ActivationRounding::kInt8,
                                                arguments.cache == "f32" ? CachePrecision::kF32 : CachePrecision::kBF16};
  if (!command.given("--from")) return;
  for (const char* option : {"--model", "--weight-format", "--sym", "--group-size", "--ratio", "--all-layers", "--group-size-fallback",
                             "--backup-precision", "--selection", "--layers", "--disable-convert-tokenizer", "--dry-run"}) {
    if (command.given(option))
      throw UsageError(concat(option, ": --from takes the weights and files of a folder as they are; leave one of them out"));
  }
}

void run_from_folder(const ConvertArguments& arguments, ConvertHost* host) {
  check_form(arguments.from, Expected::kModelFolder);
  const ProgramFromFolderReport report = program_from_folder({.folder = arguments.from,
                                                              .output = arguments.options.output,
                                                              .program = *arguments.options.cpu_program,
                                                              .overwrite = arguments.options.overwrite,
                                                              .notice = arguments.options.notice});
  if (host) {
    host->report = {};
    host->report.bin_bytes = report.bin_bytes;
    host->report.xml_bytes = report.xml_bytes;
    return;
  }
  std::printf("%s: openvino_model.xml %s, openvino_model.bin %s, %s\n", path_text(arguments.options.output).c_str(),
              byte_text(report.xml_bytes).c_str(), byte_text(report.bin_bytes).c_str(),
              report.linked ? "the same file as the folder's (a hard link)" : "a symbolic link to the folder's");
}

void print_report(const std::string& what, const ConvertReport& report) {
  std::printf("%s: %llu weights, %s read, openvino_model.bin %s, openvino_model.xml %s\n", what.c_str(),
              static_cast<unsigned long long>(report.weights), byte_text(report.checkpoint_bytes).c_str(),
              byte_text(report.bin_bytes).c_str(), byte_text(report.xml_bytes).c_str());
}

/// A line for each form, then memory and time. Memory: buffers and source pages, and 13 bytes for each of the .xml (docs/benchmarks.md).
void print_plan(const CompressionOptions& compression, const ConvertReport& report) {
  print_report(concat("plan, ", describe(compression)), report);
  std::printf("  %-9s  %-26s  %8s  %14s  %14s\n", "published", "stored", "tensors", "read", "written");
  for (const FormSummary& form : report.forms) {
    std::printf("  %-9s  %-26s  %8llu  %14s  %14s\n", form.published.c_str(), form.stored.c_str(),
                static_cast<unsigned long long>(form.tensors), byte_text(form.bytes_read).c_str(), byte_text(form.bytes_written).c_str());
  }
  std::printf("  memory: about %s, whatever the size of the weights\n", byte_text(100'000'000 + 13 * report.xml_bytes).c_str());
  const double rate = static_cast<double>(report.checkpoint_bytes) / report.seconds;
  std::printf("  time: about %s to read and convert, %s/s of checkpoint (measured on a sample); writing %s is not in it\n",
              clock_text(report.seconds).c_str(), byte_text(static_cast<uint64_t>(rate)).c_str(), byte_text(report.bin_bytes).c_str());
}

/// Seconds, and rates where they are more than the noise of opening files.
void print_times(const ConvertReport& report) {
  std::printf("%.2f s", report.seconds);
  if (report.seconds >= 1.0 && report.checkpoint_bytes >= 100'000'000) {
    const auto rate = [&](uint64_t bytes) { return byte_text(static_cast<uint64_t>(static_cast<double>(bytes) / report.seconds)); };
    std::printf(", %s/s read, %s/s written", rate(report.checkpoint_bytes).c_str(), rate(report.bin_bytes).c_str());
  }
  std::printf("\n");
}

ExpertForm parse_expert_form(const std::string& text) {
  if (text == "grouped") return ExpertForm::kGrouped;
  if (text == "gather") return ExpertForm::kGather;
  throw UsageError(concat("--experts ", text, ": unknown; expected grouped or gather"));
}

/// "B,S".
StaticShape parse_static_shape(const std::string& text) {
  StaticShape shape;
  const char* const end = text.data() + text.size();
  const auto [comma, batch_error] = std::from_chars(text.data(), end, shape.batch);
  if (batch_error == std::errc() && comma != end && *comma == ',') {
    const auto [last, length_error] = std::from_chars(comma + 1, end, shape.length);
    if (length_error == std::errc() && last == end && shape.batch > 0 && shape.length > 0) return shape;
  }
  throw UsageError(concat("--static-shape ", text, ": expected rows and tokens of a row, as in 1,128"));
}

/// The format that fits the checkpoint, where none is asked for.
void choose_format(ConvertArguments& arguments) {
  ConvertOptions& options = arguments.options;
  const DefaultFormat chosen = default_format(Checkpoint::open(options.checkpoint), options.layers);
  options.compression.format = chosen.format;
  arguments.format = weight_format_name(chosen.format);
  if (!chosen.why.empty()) options.notice(chosen.why);
}

void run_convert(const Command& command, ConvertArguments& arguments, ConvertHost* host) {
  ConvertOptions& options = arguments.options;
  options.notice = [host](const std::string& line) { host ? host->notice(line) : print_notice(line); };
  if (!arguments.ignored.empty()) {
    options.notice(concat(joined(arguments.ignored), ": options of optimum-cli that change nothing here; ignored"));
  }
  if (command.given("--weight-format")) options.compression.format = parse_weight_format(arguments.format);
  options.compression.selection = parse_selection(arguments.selection);
  options.compression.fallback = parse_group_size_fallback(arguments.fallback);
  options.compression.backup = parse_backup_precision(arguments.backup);
  check_options(command, arguments);
  check_program(command, arguments);
  if (command.given("--from")) return run_from_folder(arguments, host);
  if (!command.given("--model")) throw UsageError("convert: give the checkpoint with -m, or a converted folder with --program cpu --from");
  options.stateful = !arguments.disable_stateful;
  options.experts = parse_expert_form(arguments.experts);
  if (!arguments.static_shape.empty()) {
    options.static_shape = parse_static_shape(arguments.static_shape);
    if (options.stateful) throw UsageError("--static-shape: only the prefill-only form can be static; add --disable-stateful");
  }
  options.tokenizer = !arguments.disable_tokenizer;
  check_form(options.checkpoint, Expected::kCheckpoint);
  if (!command.given("--weight-format")) choose_format(arguments);  // after all that can be told without the checkpoint
  if (host) {
    options.stop = host->stop;
    options.progress = host->progress;
    host->report = arguments.dry_run ? plan_conversion(options) : convert(options);
    return;
  }
  if (arguments.dry_run) {
    print_plan(options.compression, plan_conversion(options));
    return;
  }
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, ask_to_stop);
  options.stop = &stop_asked;
  std::optional<Progress> checking, converting;  // from their first bytes on, for the sake of the rate
  options.check_progress = [&](uint64_t done, uint64_t total) {
    if (!checking) checking.emplace("check what is finished");
    checking->update(done, total);
  };
  options.progress = [&](uint64_t done, uint64_t total) {
    checking.reset();
    if (!converting) converting.emplace("convert");
    converting->update(done, total);
  };
  ConvertReport report;
  try {
    report = convert(options);
  } catch (const Interrupted& interrupted) {
    checking.reset();
    converting.reset();
    print_notice(interrupted.what());
    die_by(stop_signal);
  }
  converting.reset();
  print_report(path_text(options.output), report);
  print_times(report);
}

/// What scripts for `optimum-cli export openvino` pass.
void add_habits(Command& command, const std::shared_ptr<ConvertArguments>& arguments) {
  const auto ignore = [arguments](const std::string& name) { arguments->ignored.push_back(name); };
  command.habit({"--task", "--library", "--framework", "--cache_dir"}, true, ignore);
  command.habit({"--trust-remote-code"}, false, ignore);
  const auto refuse = [](const std::string& name) {
    throw UsageError(concat(
        name,
        ": is for compression with sample data, and dsv4 compresses by the weights alone, as optimum-cli does without it; leave it out"));
  };
  command.habit(
      {"--dataset", "--num-samples", "--sensitivity-metric", "--quant-mode", "--quantization-statistics-path", "--smooth-quant-alpha"},
      true, refuse);
  command.habit({"--awq", "--gptq", "--scale-estimation", "--lora-correction"}, false, refuse);
}

}  // namespace

void add_convert_command(CommandLine& line, ConvertHost* host) {
  Command command = line.command("convert", "Convert a checkpoint to an OpenVINO model folder", "docs/conversion.md");
  const auto arguments = std::make_shared<ConvertArguments>();
  command.option("-m,--model", arguments->options.checkpoint, "Checkpoint directory, as published").value("CHECKPOINT");
  command.option("output", arguments->options.output, "Model folder to create").required();
  CompressionOptions& compression = arguments->options.compression;
  command.group("Weights");
  command
      .option("--weight-format", arguments->format,
              "mxfp4: the experts' published FP4, the rest INT8; published: every released bit. Without it: mxfp4 where the experts are in "
              "FP4 and the model has more "
              "than 10^9 "
              "parameters, int8 for others of that size, fp32 for smaller ones")
      .choices(weight_format_names());
  command.flag("--sym", compression.symmetric, "INT8, INT4: symmetric, without zero points");
  command.option("--group-size", compression.group_size, "INT4: inputs that share a scale; -1: a whole row").shows_default();
  command.option("--ratio", compression.ratio, "INT4: share of the weights that becomes INT4, the least sensitive ones").shows_default();
  command.flag("--all-layers", compression.all_layers, "INT4: embedding and head too");
  command
      .option("--group-size-fallback", arguments->fallback,
              "INT4, rows that the group size does not divide: refused (error), left as they are (ignore) or in smaller groups (adjust)")
      .shows_default()
      .choices({"error", "ignore", "adjust"});
  command.option("--backup-precision", arguments->backup, "What becomes of what INT4 and MXFP4 leave out")
      .shows_default()
      .choices({"none", "int8_sym", "int8_asym"});
  command
      .option("--selection", arguments->selection,
              "Which matrices are compressed: trained (those published in FP8 and FP4, embedding and head) or nncf (all that NNCF takes)")
      .shows_default()
      .choices({"trained", "nncf"});
  command.group("Form of the model");
  command
      .option("--program", arguments->program,
              "portable: a graph of OpenVINO's own operations, for every client; cpu: dsv4's CPU program, many times as fast, for clients "
              "that load "
              "libdsv4_ops.so")
      .shows_default()
      .choices({"portable", "cpu"});
  command
      .option("--from", arguments->from,
              "--program cpu: take weights and files of this converted folder instead of a checkpoint; its .bin is linked, not copied")
      .value("FOLDER");
  command.option("--activations", arguments->activations, "--program cpu: as of run").shows_default().choices({"int8", "f32"});
  command.option("--cache", arguments->cache, "--program cpu: as of run").shows_default().choices({"bf16", "f32"});
  command.option("--layers", arguments->options.layers, "Convert the first N layers only").at_least(1);
  command.flag("--disable-stateful", arguments->disable_stateful, "Prefill-only form: one input, input_ids, and no state");
  command
      .option("--experts", arguments->experts,
              "grouped: GroupedMatMul, OpenVINO 2026.3 or later; gather: earlier releases and other devices (GPU and NPU are untested)")
      .shows_default()
      .choices({"grouped", "gather"});
  command
      .option("--static-shape", arguments->static_shape,
              "The prefill-only form for B rows of S tokens and nothing else, without dynamic dimensions")
      .value("B,S");
  command.flag("--disable-convert-tokenizer", arguments->disable_tokenizer,
               "Copy the checkpoint's tokenizer files, but make no openvino_tokenizer and openvino_detokenizer models of them");
  command.group("What is done");
  command.flag("--dry-run", arguments->dry_run, "Check the checkpoint and print the plan: forms, bytes, memory, time; write nothing");
  command.flag("--overwrite", arguments->options.overwrite,
               "Replace the model folder OUTPUT when the new one is complete; only a folder that dsv4 made, with nothing else in it");
  add_habits(command, arguments);
  command.runs([command, arguments, host] { run_convert(command, *arguments, host); });
}

}  // namespace dsv4
