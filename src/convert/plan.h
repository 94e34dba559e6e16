// Which constants openvino_model.bin holds, in what type, where, and from which checkpoint tensors: the contract between graph, writer and reader.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "openvino/core/shape.hpp"
#include "openvino/core/type/element_type.hpp"

namespace dsv4 {

enum class WeightFormat {
  kFp32,  ///< every float constant float32
  kFp16,  ///< matrices float16; what is published in float32, and norms, stay float32
};

/// "fp32" or "fp16"; UsageError that says what this version has for anything else.
WeightFormat parse_weight_format(const std::string& text);
std::string weight_format_name(WeightFormat format);

/// One constant of the .bin.
struct PlannedConstant {
  std::string name;  ///< checkpoint name, or that of an expert stack (graph/weights.h)
  ov::element::Type type;
  ov::Shape shape;
  uint64_t offset = 0;  ///< in the .bin; a multiple of 64, of 4096 for expert stacks
  uint64_t bytes = 0;
  std::vector<std::string> parts;  ///< checkpoint tensors, one after another along the first axes of the constant
};

struct StoragePlan {
  std::vector<PlannedConstant> constants;  ///< in the order of the file
  uint64_t bytes = 0;                      ///< end of the last constant

  const PlannedConstant& at(const std::string& name) const;

 private:
  friend StoragePlan plan_storage(const Config&, const std::vector<TensorSpec>&, WeightFormat);
  std::map<std::string, size_t> index_;
};

/// Lays out every tensor of the table that belongs to the first config.num_hidden_layers layers, in table order; routed experts of a layer as two stacks.
StoragePlan plan_storage(const Config& config, const std::vector<TensorSpec>& table, WeightFormat format);

}  // namespace dsv4
