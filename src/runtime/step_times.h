// What steps of the scheduler take, and how much of a prompt there is time for beside the texts that wait for their next token.
#pragma once

#include <cstdint>
#include <deque>

#include "dsv4/scheduler.h"

namespace dsv4 {

class StepTimes {
 public:
  void add(const StepReport& step, double seconds);

  /// Tokens of prompts that take no longer than `steps` steps of `decoding` texts alone, at least 1; 0: the next step has to be one of the texts alone, because
  /// nobody knows what that takes now.
  int64_t prompt_tokens(int64_t decoding, int64_t steps) const;

 private:
  std::deque<double> alone_;             // seconds of the last steps without prompts
  int64_t decoding_ = 0;                 // texts in each of these
  int64_t since_ = 0;                    // steps with texts and prompts after them
  double seconds_a_prompt_token_ = 0.0;  // 0: none was fed yet
};

}  // namespace dsv4
