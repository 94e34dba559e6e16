// dsv4 bench: how fast a model folder runs on this machine, beside the machine's own read bandwidth.
#include <algorithm>
#include <charconv>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "checkpoint/form.h"
#include "cli/bench_report.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "dsv4/error.h"
#include "runtime/benchmark.h"
#include "runtime/engine_options.h"
#include "runtime/expert_report.h"

namespace dsv4 {

namespace {

enum class Form { kText, kMarkdown, kCsv, kJson };

struct BenchArguments {
  std::filesystem::path model;
  EngineOptions engine;
  BenchmarkOptions benchmark;
  std::string prompts = "512", decodes = "32", threads = "0", form = "text";
  bool json = false;
};

/// "128,512": every combination of such lists is measured.
std::vector<int64_t> counts_of(const std::string& text, const char* option, int64_t low, int64_t high) {
  std::vector<int64_t> counts;
  for (const char *at = text.data(), *const end = at + text.size(); at <= end;) {
    int64_t count = 0;
    const auto [stop, error] = std::from_chars(at, end, count);
    if (error != std::errc() || (stop != end && *stop != ',') || count < low || count > high) {
      throw UsageError(concat(option, " ", text, ": expected an integer of ", low, " to ", high, ", or several with commas between them"));
    }
    counts.push_back(count);
    at = stop + 1;
  }
  return counts;
}

Form form_of(const BenchArguments& arguments) {
  const std::string form = arguments.json ? "json" : arguments.form;
  if (form == "text") return Form::kText;
  if (form == "md") return Form::kMarkdown;
  if (form == "csv") return Form::kCsv;
  if (form == "json") return Form::kJson;
  throw UsageError(concat("-o ", form, ": expected one of text, md, csv, json"));
}

/// Prints measurements as they come; JSON in the end.
class Report {
 public:
  explicit Report(Form form) : form_(form) {
    if (form_ == Form::kMarkdown) std::cout << bench_markdown_head();
    if (form_ == Form::kCsv) std::cout << bench_csv_head();
  }

  void add(const Measurement& measurement) {
    if (form_ == Form::kText) std::cout << (all_.empty() ? "" : "\n") << bench_text(measurement);
    if (form_ == Form::kMarkdown) std::cout << bench_markdown_row(measurement);
    if (form_ == Form::kCsv) std::cout << bench_csv_row(measurement);
    std::cout << std::flush;
    all_.push_back(measurement);
  }

  void finish() const {
    if (form_ == Form::kJson) std::cout << bench_json(all_);
  }

 private:
  Form form_;
  std::vector<Measurement> all_;
};

void run_bench(BenchArguments& arguments) {
  constexpr int64_t kMost = std::numeric_limits<int>::max();
  const std::vector<int64_t> prompts = counts_of(arguments.prompts, "-p", 1, kMost), decodes = counts_of(arguments.decodes, "-n", 1, kMost);
  const std::vector<int64_t> threads = counts_of(arguments.threads, "-t", 0, kMostThreads);
  const Form form = form_of(arguments);
  if (arguments.benchmark.context > 0 && arguments.engine.program == Program::kPortable) {
    throw UsageError("--context: the portable program cannot start in the middle of a sequence; use --program cpu");
  }
  check_options(arguments.engine);
  check_form(arguments.model, Expected::kModelFolder);
  if (arguments.engine.weights == WeightMemory::kStream) {  // what a longer sequence would take is left to the cache of experts
    arguments.engine.context = std::max(*std::max_element(prompts.begin(), prompts.end()), arguments.benchmark.context) +
                               *std::max_element(decodes.begin(), decodes.end());
  }
  std::optional<Report> report;  // from the first measurement on: what is refused leaves standard output empty
  for (const int64_t count : threads) {
    arguments.engine.threads = static_cast<int>(count);
    const Engine engine = open_engine(arguments.model, arguments.engine);
    for (const int64_t prompt : prompts) {
      for (const int64_t decode : decodes) {
        BenchmarkOptions options = arguments.benchmark;
        options.prompt = prompt;
        options.decode = decode;
        const Benchmark result = run_benchmark(engine, options);
        if (!report) report.emplace(form);
        report->add({engine.program(), engine.threads(), engine.open_seconds(), options, result});
      }
    }
    save_expert_profile(engine);
  }
  report->finish();
}

}  // namespace

void add_bench_command(CommandLine& line) {
  Command command =
      line.command("bench", "Measure a model folder: time to first token, tokens/s, bytes read a token", "docs/benchmarks.md");
  const auto arguments = std::make_shared<BenchArguments>();
  BenchmarkOptions& benchmark = arguments->benchmark;
  command.model(arguments->model, "Model folder that `dsv4 convert` wrote");
  command.group("What is measured; of several numbers with commas between them, every combination");
  command.option("-p,--prompt-tokens", arguments->prompts, "Tokens of the prompt").value("N,...").shows_default();
  command.option("-n,--new-tokens", arguments->decodes, "Tokens to decode").value("N,...").shows_default();
  command
      .option("-t,--threads", arguments->threads,
              "Inference threads, on the CPU no more than there are processors; 0: the device's default")
      .value("N,...")
      .shows_default();
  command.option("-r,--repeats", benchmark.repeats, "How often; medians are reported").shows_default().at_least(1);
  command.option("--chunk", benchmark.chunk, "Tokens of the prompt an inference; 0: 512, and 2048 where experts come from the drive")
      .shows_default()
      .at_least(0);
  command.option("--parallel", benchmark.parallel, "Sequences that decode at once, beside one alone; in text and JSON")
      .shows_default()
      .at_least(1);
  command
      .option("-c,--context", benchmark.context, "CPU program: decode at this position, after a cache of random rows; 0: after the prompt")
      .shows_default()
      .at_least(0);
  command.group("Output");
  command
      .option("-o,--output", arguments->form,
              "text: every part of it; md, csv: a row for each combination; json: an object, or an array of several")
      .shows_default()
      .choices({"text", "md", "csv", "json"});
  command.flag("--json", arguments->json, "-o json");
  add_engine_options(command, arguments->engine, Threads::kOfTheCommand);
  command.runs([arguments] { run_bench(*arguments); });
}

}  // namespace dsv4
