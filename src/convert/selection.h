// Which weights the graph asks for, and in what form each is stored: the selection rules of the weight formats.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/tensor_table.h"
#include "convert/weight_format.h"
#include "formats/stored_format.h"
#include "openvino/core/shape.hpp"

namespace dsv4 {

/// Rows [row_begin, row_end) of a checkpoint tensor; a tensor of rank 1 is one row.
struct WeightPart {
  std::string tensor;
  int64_t row_begin = 0;
  int64_t row_end = 0;
};

enum class WeightUse {
  kExact,      ///< norms, sinks, biases, ape, bases and scales of hyper-connections: float32, never compressed
  kExpertIds,  ///< hash routing tables
  kEmbedding,  ///< rows picked by token id
  kMatrix,     ///< right-hand side of a matrix product
  kExperts,    ///< the same, a stack of all routed experts of a layer
  kHead,       ///< the last matrix product
};

/// What the graph asks for under one name (graph/weights.h).
struct WeightUnit {
  std::string name;  ///< checkpoint name; that of an expert stack; "X/rows.G" for a row group of wo_a
  WeightUse use = WeightUse::kExact;
  NumberFormat published = NumberFormat::kF32;
  ov::Shape shape;                ///< [n], [out, in] or [E, out, in]
  std::vector<WeightPart> parts;  ///< one after another along the rows of the unit

  int64_t columns() const { return static_cast<int64_t>(shape.back()); }
  int64_t rows() const { return static_cast<int64_t>(ov::shape_size(shape)) / columns(); }
};

/// Every weight of the first config.num_hidden_layers layers, in the order in which the graph meets them.
std::vector<WeightUnit> weight_units(const Config& config, const std::vector<TensorSpec>& table);

/// A form for each unit, by NNCF's rules for its candidates. `error_of(unit)` is the quantisation error that NNCF's data-free criterion looks at
/// (convert/sensitivity.h); asked only where options.ratio < 1. Error when a group size fits no whole number of times into a row and
/// options.fallback says so, and for kMxfp4 when the experts are not published in FP4.
std::vector<StoredFormat> choose_forms(const std::vector<WeightUnit>& units, const CompressionOptions& options,
                                       const std::function<float(const WeightUnit&)>& error_of);

}  // namespace dsv4
