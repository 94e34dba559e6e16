// A median against outliers, and a new measurement from time to time.
#include "runtime/step_times.h"

#include <algorithm>
#include <vector>

namespace dsv4 {

namespace {

constexpr size_t kMeasured = 9;
/// Texts grow, and other programs come and go. One step in so many costs some 3 % of a prompt's time.
constexpr int64_t kMostSteps = 32;

double median(const std::deque<double>& values) {
  std::vector<double> sorted(values.begin(), values.end());
  const auto middle = sorted.begin() + std::ssize(sorted) / 2;
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

}  // namespace

void StepTimes::add(const StepReport& step, double seconds) {
  if (step.prompt_tokens == 0) {
    if (step.decoded != decoding_) alone_.clear();
    decoding_ = step.decoded;
    since_ = 0;
    alone_.push_back(seconds);
    if (alone_.size() > kMeasured) alone_.pop_front();
    return;
  }
  double of_prompts = seconds;
  if (step.decoded > 0) {
    ++since_;
    if (!alone_.empty()) of_prompts -= median(alone_);
  }
  const double each = std::max(of_prompts, 0.0) / static_cast<double>(step.prompt_tokens);
  seconds_a_prompt_token_ = seconds_a_prompt_token_ > 0.0 ? (seconds_a_prompt_token_ + each) / 2.0 : each;
}

int64_t StepTimes::prompt_tokens(int64_t decoding, int64_t steps) const {
  // With fewer texts a step is shorter, so a longer one's time would be too much. With more it is too little, which harms nobody.
  if (alone_.empty() || decoding < decoding_ || since_ >= kMostSteps) return 0;
  const double time = static_cast<double>(steps) * median(alone_);
  if (!(seconds_a_prompt_token_ > 0.0)) return 1;
  constexpr double kMost = 1e9;
  return static_cast<int64_t>(std::clamp(time / seconds_a_prompt_token_, 1.0, kMost));
}

}  // namespace dsv4
