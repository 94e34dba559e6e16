// Progress on stderr, so that stdout stays data.
#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "checkpoint/amounts.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

constexpr std::chrono::milliseconds kBarInterval{100};
constexpr std::chrono::seconds kLineInterval{10};
constexpr int kBarCells = 24;

double share_of(uint64_t done, uint64_t total) {
  return total == 0 ? 1.0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
}

std::string bar(double share) {
  const auto filled = static_cast<size_t>(std::clamp(share, 0.0, 1.0) * kBarCells);
  return concat("[", std::string(filled, '='), std::string(kBarCells - filled, ' '), "] ");
}

}  // namespace

std::string clock_text(double seconds) {
  const auto all = std::llround(seconds);
  char text[48];
  if (all >= 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", all / 3600, all / 60 % 60, all % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld", all / 60, all % 60);
  }
  return text;
}

std::string progress_line(const std::string& what, uint64_t done, uint64_t total, double seconds, uint64_t before) {
  const double rate = seconds > 0.0 ? static_cast<double>(done - before) / seconds : 0.0;
  std::string line = concat(what, ": ", static_cast<int>(share_of(done, total) * 100.0), "%, ", byte_text(done), " of ", byte_text(total),
                            ", ", byte_text(static_cast<uint64_t>(rate)), "/s");
  if (rate > 0.0 && done < total) line += ", " + clock_text(static_cast<double>(total - done) / rate) + " left";
  return line;
}

std::string progress_line(const std::string& what, std::optional<double> share, const std::string& text, double seconds) {
  std::string line = concat(what, ": ", text);
  if (share && *share > 0.0 && *share < 1.0) line += ", " + clock_text(seconds * (1.0 - *share) / *share) + " left";
  return line;
}

Progress::Progress(const std::string& what)
    : what_(concat("dsv4: ", what)), terminal_(isatty(STDERR_FILENO) != 0), start_(Clock::now()), printed_(start_) {}

Progress::~Progress() { finish(); }

std::optional<double> Progress::due() {
  const Clock::time_point now = Clock::now();
  const bool due = terminal_ ? now - printed_ >= kBarInterval : now - printed_ >= kLineInterval;
  if (!due) return std::nullopt;
  printed_ = now;
  return std::chrono::duration<double>(now - start_).count();
}

void Progress::print(std::string line, std::optional<double> share) {
  if (!terminal_) {
    std::fprintf(stderr, "%s\n", line.c_str());
    return;
  }
  if (share) line.insert(what_.size() + 2, bar(*share));
  const size_t visible = line.size();
  if (visible < width_) line.append(width_ - visible, ' ');  // wipes the rest of a longer line
  width_ = visible;
  std::fprintf(stderr, "\r%s", line.c_str());
  std::fflush(stderr);
}

void Progress::update(uint64_t done, uint64_t total) {
  if (!before_) before_ = done;
  if (const std::optional<double> seconds = due()) print(progress_line(what_, done, total, *seconds, *before_), share_of(done, total));
}

void Progress::update(std::optional<double> share, const std::string& text) {
  const std::optional<double> seconds = due();
  if (!seconds) return;
  print(progress_line(what_, share, text, *seconds), share);
}

void Progress::finish() {
  if (width_ == 0) return;
  std::fprintf(stderr, "\r%s\r", std::string(width_, ' ').c_str());
  std::fflush(stderr);
  width_ = 0;
}

}  // namespace dsv4
