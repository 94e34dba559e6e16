// dsv4 bench: how fast a model folder runs on this machine, beside the machine's own read bandwidth.
#include <cstdio>
#include <memory>

#include "checkpoint/form.h"
#include "checkpoint/json_text.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "dsv4/error.h"
#include "runtime/benchmark.h"
#include "runtime/loaded_model.h"

namespace dsv4 {

namespace {

struct BenchArguments {
  std::filesystem::path model;
  EngineOptions engine;
  BenchmarkOptions benchmark;
  bool json = false;
};

/// value(part) of each.
template <class Value>
nlohmann::ordered_json by_op(const std::vector<OpSeconds>& parts, const Value& value) {
  auto json = nlohmann::ordered_json::object();
  for (const OpSeconds& part : parts) json[part.part] = value(part);
  return json;
}

double seconds_of(const OpSeconds& part) { return part.seconds; }

void print_json(const Engine& engine, const BenchmarkOptions& options, const Benchmark& b) {
  nlohmann::ordered_json json;
  json["program"] = program_name(engine.program());
  json["threads"] = engine.threads();
  json["prompt_tokens"] = options.prompt;
  json["decoded_tokens"] = options.decode;
  json["decode_position"] = options.context > 0 ? options.context : options.prompt;
  json["open_seconds"] = engine.open_seconds();
  json["first_token_seconds"] = b.first_token_seconds;
  json["ttft_seconds"] = b.prefill_seconds;
  json["tpot_seconds"] = b.decode_seconds;
  json["prefill_tokens_per_second"] = static_cast<double>(options.prompt) / b.prefill_seconds;
  json["decode_tokens_per_second"] = 1.0 / b.decode_seconds;
  json["bandwidth_gb_per_second"] = b.read_bandwidth / 1e9;
  json["bandwidth_four_streams_gb_per_second"] = b.far_bandwidth / 1e9;
  if (engine.program() == Program::kCpu) {
    json["bytes_per_token"] = {{"head", b.weight_bytes.head},
                               {"dense", b.weight_bytes.dense},
                               {"experts", b.weight_bytes.experts},
                               {"cache", b.cache_bytes},
                               {"total", b.weight_bytes.total() + b.cache_bytes}};
    json["read_gb_per_second"] = b.bytes_per_second() / 1e9;
    json["share_of_bandwidth"] = b.share_of_bandwidth;
  }
  if (b.disk_share) json["disk_share"] = *b.disk_share;
  json["prefill_seconds_by_op"] = by_op(b.prefill_by_op, seconds_of);
  json["decode_seconds_by_op"] = by_op(b.decode_by_op, seconds_of);
  json["decode_bytes_by_op"] = by_op(b.decode_by_op, [](const OpSeconds& part) { return part.bytes; });
  json["decode_gb_per_second_by_op"] = by_op(b.decode_by_op, [](const OpSeconds& part) { return part.bytes_per_second() / 1e9; });
  std::printf("%s\n", json_text(json).c_str());
}

/// Parts in the order in which they run, and what those that read weights or the cache read.
void print_ops(const char* label, const std::vector<OpSeconds>& parts) {
  double total = 0.0;
  for (const OpSeconds& part : parts) total += part.seconds;
  for (const OpSeconds& part : parts) {
    std::printf("%-18s%-20s%10.3f ms  %3.0f %%", label, part.part.c_str(), 1e3 * part.seconds, 100.0 * part.seconds / total);
    if (part.bytes > 0) std::printf("  %8.1f MB  %5.1f GB/s", static_cast<double>(part.bytes) / 1e6, part.bytes_per_second() / 1e9);
    std::printf("\n");
    label = "";
  }
}

void print_table(const Engine& engine, const BenchmarkOptions& options, const Benchmark& b) {
  std::printf("program           %s, %d threads, opened in %.3f s, first token after %.3f s\n", program_name(engine.program()).c_str(),
              engine.threads(), engine.open_seconds(), b.first_token_seconds);
  std::printf("prefill           %lld tokens in %.3f s (time to first token), %.1f tokens/s\n", static_cast<long long>(options.prompt),
              b.prefill_seconds, static_cast<double>(options.prompt) / b.prefill_seconds);
  std::printf("decode            %.3f ms a token, %.1f tokens/s, from position %lld\n", 1e3 * b.decode_seconds, 1.0 / b.decode_seconds,
              static_cast<long long>(options.context > 0 ? options.context : options.prompt));
  std::printf("read bandwidth    %.1f GB/s with one linear stream a thread, %.1f with four far apart; read between the tokens\n",
              b.read_bandwidth / 1e9, b.far_bandwidth / 1e9);
  if (engine.program() == Program::kCpu) {
    const auto mb = [](int64_t bytes) { return static_cast<double>(bytes) / 1e6; };
    std::printf("bytes a token     %.1f MB: head %.1f, dense %.1f, routed experts %.1f, cache %.1f\n",
                mb(b.weight_bytes.total() + b.cache_bytes), mb(b.weight_bytes.head), mb(b.weight_bytes.dense), mb(b.weight_bytes.experts),
                mb(b.cache_bytes));
    std::printf("read              %.1f GB/s, %.0f %% of what one stream a thread read just before and after\n", b.bytes_per_second() / 1e9,
                100.0 * b.share_of_bandwidth);
  }
  if (b.disk_share) std::printf("from disk         %.1f %% of the weights' bytes\n", 100.0 * *b.disk_share);
  print_ops("prefill by op", b.prefill_by_op);
  print_ops("decode by op", b.decode_by_op);
}

void run_bench(BenchArguments& arguments) {
  if (arguments.benchmark.context > 0 && arguments.engine.program == Program::kPortable) {
    throw UsageError("--context: the portable program cannot start in the middle of a sequence; use --program cpu");
  }
  check_options(arguments.engine);
  check_form(arguments.model, Expected::kModelFolder);
  const Engine engine = open_engine(arguments.model, arguments.engine);
  const Benchmark result = run_benchmark(engine, arguments.benchmark);
  arguments.json ? print_json(engine, arguments.benchmark, result) : print_table(engine, arguments.benchmark, result);
}

}  // namespace

void add_bench_command(CommandLine& line) {
  Command command =
      line.command("bench", "Measure a model folder: time to first token, tokens/s, bytes read a token", "docs/benchmarks.md");
  const auto arguments = std::make_shared<BenchArguments>();
  BenchmarkOptions& benchmark = arguments->benchmark;
  command.model(arguments->model, "Model folder that `dsv4 convert` wrote");
  command.option("-p,--prompt-tokens", benchmark.prompt, "Tokens of the prompt").shows_default().at_least(1);
  command.option("-n,--new-tokens", benchmark.decode, "Tokens to decode").shows_default().at_least(1);
  command.option("--repeats", benchmark.repeats, "How often; medians are reported").shows_default().at_least(1);
  command.option("--chunk", benchmark.chunk, "Tokens of the prompt an inference").shows_default().at_least(1);
  command
      .option("-c,--context", benchmark.context, "CPU program: decode at this position, after a cache of random rows; 0: after the prompt")
      .shows_default()
      .at_least(0);
  add_engine_options(command, arguments->engine);
  command.flag("--json", arguments->json, "Print one JSON object");
  command.runs([arguments] { run_bench(*arguments); });
}

}  // namespace dsv4
