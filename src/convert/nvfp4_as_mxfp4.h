// `--weight-format mxfp4` of NVFP4 weights: possible without loss where their scales are powers of two that 32 inputs share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "convert/selection.h"

namespace dsv4 {

/// Error when the weight cannot be MXFP4 whatever its values are: its second scale is no power of two, or 32 does not divide its inputs.
void check_power_of_two_scales(const Checkpoint& checkpoint, const std::string& tensor);

/// Rows [row_begin, row_end) of an NVFP4 tensor: two codes a byte, and an E8M0 scale for 32 inputs. Error that names the tensor for scales that MXFP4
/// does not have.
void nvfp4_as_mxfp4(const Checkpoint& checkpoint, const WeightPart& part, int64_t row_begin, int64_t row_end, std::vector<uint8_t>& codes,
                    std::vector<uint8_t>& scales);

/// The same of a whole tensor, to know at once what else would be known in the middle of a conversion; nothing for other forms.
void check_some_scales(const Checkpoint& checkpoint, const WeightPart& part);

}  // namespace dsv4
