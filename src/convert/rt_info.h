// Facts about a model inside its IR, under the names that optimum-intel and NNCF use.
#pragma once

#include <string>

#include "checkpoint/config.h"
#include "convert/convert.h"
#include "convert/weight_format.h"
#include "openvino/core/model.hpp"

namespace dsv4 {

/// Writes to the model's rt_info: the OpenVINO version; dsv4/version and dsv4/weight_format (describe(options)); dsv4/config, the fields that the model was
/// made from (checkpoint/model_fields.h); optimum/transformers_version, the version that config.json names, if any; and for compressed weights
/// nncf/weight_compression/*, by which optimum-intel refuses to compress a second time, and runtime_options/DYNAMIC_QUANTIZATION_GROUP_SIZE = 0: the CPU plugin
/// then keeps activations in float unless a user asks otherwise.
void add_rt_info(ov::Model& model, const Config& config, const CompressionOptions& options, const std::string& transformers_version);

/// dsv4/program = cpu, and what it was written with: dsv4/activations, dsv4/cache.
void add_program_info(ov::Model& model, const ClientProgram& program);

}  // namespace dsv4
