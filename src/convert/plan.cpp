// The layout of openvino_model.bin.
#include "convert/plan.h"

#include <algorithm>

#include "dsv4/error.h"
#include "ops/matrix/stored_layout.h"

namespace dsv4 {

namespace {

constexpr uint64_t kAlignment = 64;         // a cache line, and every SIMD width
constexpr uint64_t kStackAlignment = 4096;  // a page: experts are prefetched and dropped page by page

uint64_t align_up(uint64_t value, uint64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

}  // namespace

int64_t PlannedWeight::group() const { return is_scaled(form.type) ? scale_columns(form, unit.columns()) : unit.columns(); }

const PlannedWeight& StoragePlan::at(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) fail("the graph asks for the weight ", name, ", which the tensor table does not have");
  return weights[found->second];
}

StoragePlan plan_storage(std::vector<WeightUnit> units, const std::vector<StoredFormat>& forms) {
  StoragePlan plan;
  const auto place = [&](ov::element::Type type, const ov::Shape& shape, uint64_t alignment) {
    PlannedConstant constant{type, shape, align_up(plan.bytes, alignment), 0};
    constant.bytes = (ov::shape_size(constant.shape) * type.bitwidth() + 7) / 8;
    plan.bytes = constant.offset + constant.bytes;
    return constant;
  };
  for (const bool stacks : {false, true}) {
    for (size_t i = 0; i < units.size(); ++i) {
      if ((units[i].use == WeightUse::kExperts) != stacks) continue;
      PlannedWeight weight{std::move(units[i]), forms[i], {}, {}, {}};
      const StoredFormat& form = weight.form;
      const ov::Shape shape = values_shape(weight.unit.shape, form), beside = scales_shape(shape, form.type);
      weight.values = place(element_type(form.type), shape, stacks ? kStackAlignment : kAlignment);
      if (is_asymmetric(form.type)) weight.zero_points = place(weight.values.type, beside, kAlignment);
      if (is_scaled(form.type)) weight.scales = place(element_type(scale_type(form)), beside, kAlignment);
      if (!plan.index_.emplace(weight.unit.name, plan.weights.size()).second) fail("the tensor table names ", weight.unit.name, " twice");
      plan.weights.push_back(std::move(weight));
    }
  }
  return plan;
}

}  // namespace dsv4
