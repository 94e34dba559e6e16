// Weights of the CPU program that is written as an IR: placeholders for constants of a .bin that is made beside it, or that is there.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "convert/plan.h"
#include "graph/cpu/cpu.h"

namespace dsv4 {

/// Constants of a .bin by name; scales and zero points are NAME/scale and NAME/zero_point.
using PlacedConstants = std::map<std::string, PlannedConstant>;

PlacedConstants placed_constants(const StoragePlan& plan);
/// Of a .xml that dsv4 or OpenVINO wrote: all its Const layers that have names of their own. Error, without the file's name, for one that cannot be read.
PlacedConstants placed_constants(const std::string& xml);

class PlacedWeights final : public PackedWeights {
 public:
  explicit PlacedWeights(PlacedConstants constants) : constants_(std::move(constants)) {}

  ov::OutputVector stored(const std::string& name) override;
  ov::OutputVector stored_stack(const std::string& name, int64_t count, int64_t rows, int64_t cols) override;

  /// Weights of the plan that no block asked for; empty after a complete model was built.
  std::vector<std::string> unused(const StoragePlan& plan) const;

 private:
  PlacedConstants constants_;
  std::set<std::string> used_;
};

}  // namespace dsv4
