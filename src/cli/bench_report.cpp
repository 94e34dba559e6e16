// Printing of measurements: for people, as JSON, as rows of Markdown and CSV.
#include "cli/bench_report.h"

#include <cstdio>

#include "checkpoint/amounts.h"
#include "checkpoint/json_text.h"
#include "cli/engine_options.h"
#include "cli/expert_lines.h"
#include "cli/number_text.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

using Json = nlohmann::ordered_json;

/// value(part) of each.
template <class Value>
Json by_op(const std::vector<OpSeconds>& parts, const Value& value) {
  auto json = Json::object();
  for (const OpSeconds& part : parts) json[part.part] = value(part);
  return json;
}

double seconds_of(const OpSeconds& part) { return part.seconds; }

Json to_json(const Measurement& m) {
  const auto& [program, threads, open_seconds, options, b] = m;
  Json json;
  json["program"] = program_name(program);
  json["threads"] = threads;
  json["prompt_tokens"] = options.prompt;
  json["decoded_tokens"] = options.decode;
  json["decode_position"] = m.position();
  json["open_seconds"] = open_seconds;
  json["first_token_seconds"] = b.first_token_seconds;
  json["ttft_seconds"] = b.prefill_seconds;
  json["ttft_seconds_deviation"] = b.prefill_deviation;
  json["tpot_seconds"] = b.decode_seconds;
  json["tpot_seconds_deviation"] = b.decode_deviation;
  json["sampler_seconds"] = b.sampler_seconds;
  json["prefill_tokens_per_second"] = m.prefill_rate();
  json["decode_tokens_per_second"] = m.decode_rate();
  if (options.parallel > 1) {
    json["parallel"] = {{"sequences", options.parallel}, {"step_seconds", b.step_seconds}, {"tokens_per_second", m.parallel_rate()}};
  }
  json["bandwidth_gb_per_second"] = b.read_bandwidth / 1e9;
  json["bandwidth_four_streams_gb_per_second"] = b.far_bandwidth / 1e9;
  if (program == Program::kCpu) {
    json["bytes_per_token"] = {{"head", b.weight_bytes.head},
                               {"dense", b.weight_bytes.dense},
                               {"experts", b.weight_bytes.experts},
                               {"cache", b.cache_bytes},
                               {"total", b.weight_bytes.total() + b.cache_bytes}};
    json["read_gb_per_second"] = b.bytes_per_second() / 1e9;
    json["share_of_bandwidth"] = b.share_of_bandwidth;
  }
  if (b.disk_share) json["disk_share"] = *b.disk_share;
  if (b.experts) {
    json["experts"] = experts_json(*b.experts);
    json["experts"]["drive_gb_per_second"] = b.drive_bandwidth / 1e9;
  }
  json["prefill_seconds_by_op"] = by_op(b.prefill_by_op, seconds_of);
  json["decode_seconds_by_op"] = by_op(b.decode_by_op, seconds_of);
  json["decode_bytes_by_op"] = by_op(b.decode_by_op, [](const OpSeconds& part) { return part.bytes; });
  json["decode_gb_per_second_by_op"] = by_op(b.decode_by_op, [](const OpSeconds& part) { return part.bytes_per_second() / 1e9; });
  return json;
}

std::string format(const char* pattern, auto... values) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

std::string byte_text_of(int64_t bytes) { return byte_text(static_cast<uint64_t>(bytes)); }

/// Parts in the order in which they run, and what those that read weights or the cache read.
std::string ops_text(const char* label, const std::vector<OpSeconds>& parts) {
  double total = 0.0;
  for (const OpSeconds& part : parts) total += part.seconds;
  std::string text;
  for (const OpSeconds& part : parts) {
    text += format("%-18s%-20s%10.3f ms  %3.0f %%", label, part.part.c_str(), 1e3 * part.seconds, 100.0 * part.seconds / total);
    if (part.bytes > 0) text += format("  %10s  %5.1f GB/s", byte_text_of(part.bytes).c_str(), part.bytes_per_second() / 1e9);
    text += "\n";
    label = "";
  }
  return text;
}

/// "57.4 ± 0.3": what the deviation of the seconds is in tokens a second.
std::string rate_text(double rate, double seconds, double deviation) { return format("%.1f ± %.1f", rate, rate * deviation / seconds); }

}  // namespace

std::string bench_text(const Measurement& m) {
  const Benchmark& b = m.result;
  std::string text = concat("program           ", program_name(m.program), ", ", m.threads, " threads, opened in ",
                            three_digits(m.open_seconds), " s, first token after ", three_digits(b.first_token_seconds), " s\n");
  text += concat("prefill           ", m.options.prompt, " tokens in ", three_digits(b.prefill_seconds), " s ± ",
                 three_digits(b.prefill_deviation), " (time to first token), ", three_digits(m.prefill_rate()), " tokens/s\n");
  text += concat("decode            ", three_digits(1e3 * b.decode_seconds), " ms a token ± ", three_digits(1e3 * b.decode_deviation), ", ",
                 three_digits(m.decode_rate()), " tokens/s, ", m.options.decode, " tokens from position ", m.position(), "\n");
  if (m.options.parallel > 1) {
    text += concat("parallel          ", three_digits(1e3 * b.step_seconds), " ms a step of ", m.options.parallel, " sequences, ",
                   three_digits(m.parallel_rate()), " tokens/s, ", three_digits(m.parallel_rate() / m.decode_rate()), " times one\n");
  }
  text += concat("sampler           ", three_digits(1e3 * b.sampler_seconds), " ms a token at temperature 1 and top-p 0.95, beside that\n");
  text += format("read bandwidth    %.1f GB/s with one linear stream a thread, %.1f with four far apart; read between the tokens\n",
                 b.read_bandwidth / 1e9, b.far_bandwidth / 1e9);
  if (m.program == Program::kCpu) {
    text += concat("bytes a token     ", byte_text_of(b.weight_bytes.total() + b.cache_bytes), ": head ", byte_text_of(b.weight_bytes.head),
                   ", dense ", byte_text_of(b.weight_bytes.dense), ", routed experts ", byte_text_of(b.weight_bytes.experts), ", cache ",
                   byte_text_of(b.cache_bytes), "\n");
    text += format("read              %.1f GB/s, %.0f %% of what one stream a thread read just before and after\n",
                   b.bytes_per_second() / 1e9, 100.0 * b.share_of_bandwidth);
  }
  if (b.experts) {
    text += concat("experts           ", experts_text(*b.experts), "\n");
    text += format("drive             %.2f GB/s at its best (1 MiB, 32 at a time, %s); %.0f %% of the routed experts fit into memory\n",
                   b.drive_bandwidth / 1e9, b.experts->report.direct ? "direct" : "buffered", 100.0 * b.experts->report.resident_share);
  }
  if (b.disk_share) text += format("from disk         %.1f %% of the weights' bytes\n", 100.0 * *b.disk_share);
  return text + ops_text("prefill by op", b.prefill_by_op) + ops_text("decode by op", b.decode_by_op);
}

std::string bench_json(const std::vector<Measurement>& measurements) {
  if (measurements.size() == 1) return json_text(to_json(measurements.front())) + "\n";
  Json all = Json::array();
  for (const Measurement& measurement : measurements) all.push_back(to_json(measurement));
  return json_text(all) + "\n";
}

std::string bench_markdown_head() {
  return "| program | threads | prompt | prefill, tokens/s | new tokens | decode, tokens/s | bytes a token | read, GB/s | of the bandwidth "
         "|\n"
         "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
}

std::string bench_markdown_row(const Measurement& m) {
  const Benchmark& b = m.result;
  const bool cpu = m.program == Program::kCpu;
  return concat("| ", program_name(m.program), " | ", m.threads, " | ", m.options.prompt, " | ",
                rate_text(m.prefill_rate(), b.prefill_seconds, b.prefill_deviation), " | ", m.options.decode, " | ",
                rate_text(m.decode_rate(), b.decode_seconds, b.decode_deviation), " | ",
                cpu ? byte_text_of(b.weight_bytes.total() + b.cache_bytes) : "-", " | ",
                cpu ? format("%.1f", b.bytes_per_second() / 1e9) : "-", " | ", cpu ? format("%.0f %%", 100.0 * b.share_of_bandwidth) : "-",
                " |\n");
}

std::string bench_csv_head() {
  return "program,threads,prompt_tokens,decoded_tokens,decode_position,open_seconds,first_token_seconds,ttft_seconds,ttft_seconds_"
         "deviation,tpot_seconds,"
         "tpot_seconds_deviation,prefill_tokens_per_second,decode_tokens_per_second,bandwidth_gb_per_second,bytes_per_token,read_gb_per_"
         "second,"
         "share_of_bandwidth\n";
}

std::string bench_csv_row(const Measurement& m) {
  const Benchmark& b = m.result;
  std::string row = concat(program_name(m.program), ',', m.threads, ',', m.options.prompt, ',', m.options.decode, ',', m.position());
  for (const double value : {m.open_seconds, b.first_token_seconds, b.prefill_seconds, b.prefill_deviation, b.decode_seconds,
                             b.decode_deviation, m.prefill_rate(), m.decode_rate(), b.read_bandwidth / 1e9}) {
    row += format(",%.9g", value);
  }
  if (m.program != Program::kCpu) return row + ",,,\n";
  const int64_t bytes = b.weight_bytes.total() + b.cache_bytes;
  return row + concat(',', bytes) + format(",%.9g,%.9g\n", b.bytes_per_second() / 1e9, b.share_of_bandwidth);
}

}  // namespace dsv4
