// What the fuzz target of the command line runs: any text must end in a value within its bounds, or in dsv4::Error.
#pragma once

#include "cli/sampling_options.h"
#include "fuzz/targets.h"

namespace dsv4::fuzz {

/// Tells whether the input was accepted.
inline bool logit_bias(std::span<const uint8_t> text) {
  try {
    const LogitBias bias = parse_logit_bias(text_of(text));
    require(bias.token >= 0, "ids are not negative");
    require(bias.bias >= -100.0 && bias.bias <= 100.0, "biases are in range");
    return true;
  } catch (const Error& error) {
    require_one_line(error, "--logit-bias ");
    return false;
  }
}

}  // namespace dsv4::fuzz
