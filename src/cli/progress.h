// Progress of long work on stderr, after "dsv4: ": a bar on a terminal, a plain line every ten seconds anywhere else.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace dsv4 {

/// "1:05" or "2:07:09".
std::string clock_text(double seconds);

/// One line: what, share done, bytes, GB/s so far and the time that is left, e.g. "synth: 50%, 7.00 GB of 14.00 GB, 610.00 MB/s, 0:11 left".
/// `seconds` is the time since the start, `before` what had been done by then.
std::string progress_line(const std::string& what, uint64_t done, uint64_t total, double seconds, uint64_t before = 0);

/// The same of work that is not counted in bytes: "prompts: 12 done, 85 tokens/s, 1:05 left". `share` of it is done, where that is known.
std::string progress_line(const std::string& what, std::optional<double> share, const std::string& text, double seconds);

class Progress {
 public:
  explicit Progress(const std::string& what);
  /// Ends the bar's line, also when an error ends the work.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Bytes done and in all; may be called for every byte written: prints only when it is time to. From one thread at a time. What the first call says is
  /// done does not count for the rate: an earlier run did it.
  void update(uint64_t done, uint64_t total);
  /// The same of work that is not counted in bytes.
  void update(std::optional<double> share, const std::string& text);

  /// Clears the bar; what comes next starts on a fresh line.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  /// Seconds since the start where it is time to print.
  std::optional<double> due();
  void print(std::string line, std::optional<double> share);

  std::string what_;
  bool terminal_;
  Clock::time_point start_;
  Clock::time_point printed_;
  std::optional<uint64_t> before_;
  size_t width_ = 0;  ///< of the line on the terminal now
};

}  // namespace dsv4
