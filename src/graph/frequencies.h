// RoPE frequencies of a layer, the same for every program.
#pragma once

#include <vector>

#include "checkpoint/config.h"

namespace dsv4 {

/// f_j of spec 2.4 for j = 0..rd/2-1: plain for layers without a compressor, YaRN (when the config has it) on compress_rope_theta for the others.
std::vector<double> rope_frequencies(const Config& config, bool compressed);

}  // namespace dsv4
