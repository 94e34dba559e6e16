// Prometheus' text format, by hand: it is a line a value.
#include "server/metrics.h"

#include <sstream>

namespace dsv4 {

namespace {

void head(std::ostringstream& out, const char* name, const char* type, const char* help) {
  out << "# HELP dsv4_" << name << ' ' << help << "\n# TYPE dsv4_" << name << ' ' << type << '\n';
}

template <class Value>
void line(std::ostringstream& out, const char* name, const char* type, const char* help, Value value) {
  head(out, name, type, help);
  out << "dsv4_" << name << ' ' << value << '\n';
}

}  // namespace

void Metrics::count_request(const std::string& path, int status) {
  const std::lock_guard lock(mutex_);
  ++requests_[{path, status}];
}

void Metrics::add_seconds(double prompt, double generation) {
  const std::lock_guard lock(mutex_);
  prompt_seconds_ += prompt;
  generation_seconds_ += generation;
}

std::string Metrics::text(const Now& now) const {
  const std::lock_guard lock(mutex_);
  std::ostringstream out;
  out.precision(15);
  head(out, "requests_total", "counter", "Requests that were answered.");
  for (const auto& [key, count] : requests_)
    out << "dsv4_requests_total{path=\"" << key.first << "\",status=\"" << key.second << "\"} " << count << '\n';
  line(out, "prompt_tokens_total", "counter", "Tokens of prompts, those from the cache too.", prompt_tokens.load());
  line(out, "cached_tokens_total", "counter", "Tokens of prompts that were there from an earlier request.", cached_tokens.load());
  line(out, "generated_tokens_total", "counter", "Tokens of answers.", generated_tokens.load());
  line(out, "prompt_seconds_total", "counter", "Seconds in which prompts were computed.", prompt_seconds_);
  line(out, "generation_seconds_total", "counter", "Seconds in which answers were generated.", generation_seconds_);
  line(out, "requests_cancelled_total", "counter", "Texts that ended because their client had gone.", cancelled.load());
  line(out, "requests_waiting", "gauge", "Texts that wait for their turn.", now.waiting);
  line(out, "requests_processing", "gauge", "Texts that are being computed.", now.processing);
  line(out, "checkpoints", "gauge", "States that are kept of earlier requests.", now.checkpoints);
  line(out, "checkpoint_bytes", "gauge", "Bytes of these, each counted alone.", now.checkpoint_bytes);
  return out.str();
}

}  // namespace dsv4
