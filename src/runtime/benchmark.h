// How fast a loaded model is, and how far from what the memory allows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dsv4/engine.h"
#include "runtime/expert_report.h"

namespace dsv4 {

struct BenchmarkOptions {
  int64_t prompt = 512;  ///< tokens
  int64_t decode = 32;   ///< tokens after it
  int64_t context = 0;   ///< decode at this position instead, after a cache of random rows; CPU program
  int64_t chunk = 0;     ///< tokens an inference of the prompt; 0: Engine::prompt_chunk()
  int64_t repeats = 3;
  int64_t parallel = 1;  ///< above 1: sequences that decode in one step, measured beside one sequence in every repeat
};

/// A part of the CPU program's ops, as src/ops/support/op_times.h divides them.
struct OpSeconds {
  std::string part;
  double seconds = 0.0;
  int64_t bytes = 0;  ///< of weights and cache that a decoded token reads in it; 0 of a prompt

  double bytes_per_second() const { return bytes > 0 && seconds > 0.0 ? static_cast<double>(bytes) / seconds : 0.0; }
};

/// Medians over the repeats. How fast memory is read is measured between groups of decoded tokens, before the first and after the last one too: a token is
/// a group of its own where it reads half a gigabyte or more, and small models are not driven out of the caches at every token.
struct Benchmark {
  double first_token_seconds = 0.0;  ///< opening the folder, and the first inference, of one token
  double prefill_seconds = 0.0;      ///< of the prompt: time to first token of an open model
  double decode_seconds = 0.0;       ///< a token; median over all tokens of all repeats
  double step_seconds = 0.0;       ///< of a token for each of `parallel` sequences; median over all steps of all repeats; 0 where that is 1
  double prefill_deviation = 0.0;  ///< standard deviation, in seconds, over the repeats
  double decode_deviation = 0.0;   ///< the same, over all tokens of all repeats
  double sampler_seconds = 0.0;    ///< a choice at temperature 1 and top-p 0.95; not in decode_seconds
  ActiveBytes weight_bytes;        ///< a token, in the middle of the decoded ones; zeros for the portable program
  int64_t cache_bytes = 0;         ///< a token, in the middle of the decoded ones
  double read_bandwidth = 0.0;  ///< bytes a second that the machine reads with as many threads, a linear stream each; median of the passes
  double far_bandwidth = 0.0;   ///< the same with four streams a thread that lie far apart
  /// Of read_bandwidth, what decoding reads: of each group of tokens against the passes just before and after it; median over the groups. So it need not be
  /// bytes_per_second() / read_bandwidth, where the machine's speed changes. 0 for the portable program.
  double share_of_bandwidth = 0.0;
  std::optional<ExpertUse> experts;  ///< of all decoded tokens, where experts come from the drive
  double drive_bandwidth = 0.0;      ///< bytes a second, the drive's best (drive_bandwidth()); 0 where none do
  std::optional<double> disk_share;  ///< of the weights' bytes while decoding: how many came from storage
  std::vector<OpSeconds> prefill_by_op,
      decode_by_op;  ///< mean seconds of the prompt, of a decoded token, what is between the ops last; of the CPU program

  double bytes_per_second() const { return static_cast<double>(weight_bytes.total() + cache_bytes) / decode_seconds; }
};

/// Prompts and decoded tokens are pseudo-random ids. Error for sizes that do not fit the engine.
Benchmark run_benchmark(const Engine& engine, const BenchmarkOptions& options);

}  // namespace dsv4
