// The options with which commands choose tokens and end a text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_line.h"
#include "dsv4/request.h"

namespace dsv4 {

struct SamplingArguments {
  SamplerOptions sampler;
  std::vector<std::string> logit_bias;  ///< as given: ID:VALUE
  std::vector<std::string> stop;
  std::vector<std::string> stop_tokens;  ///< as given
  int64_t logprobs = -1;                 ///< -1: none
};

/// What holds where an option is not given.
enum class SamplingDefaults {
  kGreedy,  ///< SamplerOptions'
  kOfTheFolder,  ///< the folder's generation_config.json says temperature, top-p and top-k, and every run has a seed of its own: the command sees to both
};

/// Adds, as two groups of their own, the options of how tokens are chosen and of where a text ends; `arguments` has to live as long as `command`.
void add_sampling_options(Command& command, SamplingArguments& arguments, SamplingDefaults defaults = SamplingDefaults::kGreedy);

/// "ID:VALUE"; UsageError for anything else, and for what is out of range.
LogitBias parse_logit_bias(std::string_view text);

/// What the options say of a request, but for the stop strings, which need its text. UsageError for values that are none.
void apply(const SamplingArguments& arguments, Request& request);

}  // namespace dsv4
