// What `dsv4 bench` measured: for people, as JSON, and as rows of Markdown and CSV.
#pragma once

#include <string>
#include <vector>

#include "dsv4/engine.h"
#include "runtime/benchmark.h"

namespace dsv4 {

/// One combination of prompt, new tokens and threads.
struct Measurement {
  Program program = Program::kCpu;
  int threads = 0;
  double open_seconds = 0.0;
  BenchmarkOptions options;
  Benchmark result;

  int64_t position() const { return options.context > 0 ? options.context : options.prompt; }  ///< of the first decoded token
  double prefill_rate() const { return static_cast<double>(options.prompt) / result.prefill_seconds; }
  double decode_rate() const { return 1.0 / result.decode_seconds; }
  double parallel_rate() const { return static_cast<double>(options.parallel) / result.step_seconds; }  ///< of all sequences
};

/// Lines with every part of it.
std::string bench_text(const Measurement& measurement);

/// One object, or an array of several.
std::string bench_json(const std::vector<Measurement>& measurements);

std::string bench_markdown_head();
std::string bench_markdown_row(const Measurement& measurement);

std::string bench_csv_head();
std::string bench_csv_row(const Measurement& measurement);

}  // namespace dsv4
