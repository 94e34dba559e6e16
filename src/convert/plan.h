// Which constants openvino_model.bin holds, in what type and where: the contract between graph, writer and reader.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "convert/selection.h"
#include "openvino/core/type/element_type.hpp"

namespace dsv4 {

/// A constant of the .bin.
struct PlannedConstant {
  ov::element::Type type;
  ov::Shape
      shape;  ///< grouped weights: [..., groups, group size], their scales and zero points [..., groups, 1]; FP8 [..., blocks, rows, groups, size]
              ///< and [..., blocks, 1, groups, 1]
  uint64_t offset = 0;  ///< in the .bin; a multiple of 64, of 4096 for the values of expert stacks
  uint64_t bytes = 0;
};

/// A weight as it is stored: its values and, compressed, what they are decompressed with.
struct PlannedWeight {
  WeightUnit unit;
  StoredFormat form;
  PlannedConstant values;
  PlannedConstant scales;       ///< of formats with scales; else no bytes
  PlannedConstant zero_points;  ///< of asymmetric integers, in the type of the values; else no bytes

  /// Inputs that share a scale: the columns for a scale a row.
  int64_t group() const;
  uint64_t bytes() const { return values.bytes + scales.bytes + zero_points.bytes; }
};

struct StoragePlan {
  std::vector<PlannedWeight> weights;  ///< in the order of the file: small ones first, then the expert stacks layer by layer
  uint64_t bytes = 0;                  ///< end of the last constant

  const PlannedWeight& at(const std::string& name) const;

 private:
  friend StoragePlan plan_storage(std::vector<WeightUnit>, const std::vector<StoredFormat>&);
  std::map<std::string, size_t> index_;
};

/// Lays out `units`, each in its form.
StoragePlan plan_storage(std::vector<WeightUnit> units, const std::vector<StoredFormat>& forms);

}  // namespace dsv4
