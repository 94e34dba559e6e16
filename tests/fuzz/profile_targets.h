// What the fuzz target of expert profiles runs: any bytes must end in frequencies that a cache can take, or in dsv4::Error.
#pragma once

#include <cmath>

#include "fuzz/targets.h"
#include "runtime/expert_profile.h"
#include "runtime/fingerprint.h"

namespace dsv4::fuzz {

inline bool expert_profile_file(const std::string& text) {
  try {
    const ExpertProfile profile = parse_expert_profile(text, "P");
    require(profile.layers > 0 && profile.experts > 0 && profile.frequencies.size() == profile.layers * profile.experts, "sizes agree");
    for (const float frequency : profile.frequencies) require(std::isfinite(frequency) && frequency >= 0.0f, "frequencies are numbers");
    require(expert_profile_text(profile) == text, "a profile is written as it was read");
    return true;
  } catch (const Error& error) {
    require_one_line(error, "P: ");
    return false;
  }
}

/// As a file, and with the right hash behind it, which random bytes do not have.
inline bool expert_profile(std::span<const uint8_t> bytes) {
  const std::string text(text_of(bytes));
  Digest digest;
  digest.add(std::string_view(text));
  const bool as_it_is = expert_profile_file(text);
  return expert_profile_file(text + digest.text()) || as_it_is;
}

}  // namespace dsv4::fuzz
