// What the fuzz target of --prompts runs: any line must end in a request within its bounds, or in dsv4::Error.
#pragma once

#include <cmath>

#include "checkpoint/utf8.h"
#include "cli/prompt_line.h"
#include "fuzz/targets.h"
#include "text/python_json.h"

namespace dsv4::fuzz {

/// Tells whether the input was accepted.
inline bool prompt_line(std::span<const uint8_t> text) {
  Request defaults;
  defaults.max_new_tokens = 7;
  try {
    const PromptLine line = read_prompt_line(text_of(text), defaults, {"END"});
    const SamplerOptions& sampler = line.request.sampler;
    require(line.prompt.has_value() == line.request.prompt.empty(), "one of prompt and tokens");
    require(!line.prompt || !invalid_utf8(*line.prompt), "a prompt is text");
    for (const int64_t id : line.request.prompt) require(id >= 0, "ids are not negative");
    require(line.request.max_new_tokens >= 0, "a number of tokens");
    require(std::isfinite(sampler.temperature) && sampler.temperature >= 0.0, "temperature");
    require(sampler.top_p > 0.0 && sampler.top_p <= 1.0, "top_p");
    require(sampler.min_p >= 0.0 && sampler.min_p <= 1.0, "min_p");
    require(sampler.top_k >= 0, "top_k");
    for (const std::string& stop : line.stop) require(!stop.empty() && !invalid_utf8(stop), "stop strings are text");
    require(line.id.empty() || PyJson::parse(line.id).has_value(), "an id is JSON");
    return true;
  } catch (const Error& error) {
    require_one_line(error, "");
    return false;
  }
}

}  // namespace dsv4::fuzz
