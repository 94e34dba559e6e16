// The layout of openvino_model.bin.
#include "convert/plan.h"

#include <algorithm>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

using Kind = StoredForm::Kind;

constexpr uint64_t kAlignment = 64;         // a cache line, and every SIMD width
constexpr uint64_t kStackAlignment = 4096;  // a page: experts are prefetched and dropped page by page
constexpr int64_t kMxfp4Group = 32;

uint64_t align_up(uint64_t value, uint64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

ov::element::Type value_type(const StoredForm& form) {
  switch (form.kind) {
    case Kind::kF32:
      return ov::element::f32;
    case Kind::kF16:
      return ov::element::f16;
    case Kind::kI32:
      return ov::element::i32;
    case Kind::kMxfp4:
      return ov::element::f4e2m1;
    case Kind::kInteger:
      break;
  }
  switch (form.integer.mode) {
    case IntegerMode::kInt8Asym:
      return ov::element::u8;
    case IntegerMode::kInt8Sym:
      return ov::element::i8;
    case IntegerMode::kInt4Asym:
      return ov::element::u4;
    case IntegerMode::kInt4Sym:
      return ov::element::i4;
  }
  fail("unknown integer mode; this is a mistake in dsv4");
}

// [..., in] -> [..., groups, size], or as it is for a scale a row.
ov::Shape grouped(ov::Shape shape, int64_t group) {
  if (group < 0) return shape;
  const size_t size = static_cast<size_t>(group), columns = shape.back();
  if (columns % size != 0) fail("groups of ", group, " do not divide ", columns, " inputs; this is a mistake in dsv4");
  shape.back() = columns / size;
  shape.push_back(size);
  return shape;
}

ov::Shape with_last_dim_one(ov::Shape shape) {
  shape.back() = 1;
  return shape;
}

}  // namespace

int64_t PlannedWeight::group() const {
  if (form.kind == Kind::kMxfp4) return kMxfp4Group;
  return form.kind == Kind::kInteger && form.integer.group_size > 0 ? form.integer.group_size : unit.columns();
}

const PlannedWeight& StoragePlan::at(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) fail("the graph asks for the weight ", name, ", which the tensor table does not have");
  return weights[found->second];
}

StoragePlan plan_storage(std::vector<WeightUnit> units, const std::vector<StoredForm>& forms) {
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
      const bool integer = weight.form.kind == Kind::kInteger, mxfp4 = weight.form.kind == Kind::kMxfp4;
      const ov::Shape shape = grouped(weight.unit.shape, integer ? weight.form.integer.group_size : mxfp4 ? kMxfp4Group : -1);
      weight.values = place(value_type(weight.form), shape, stacks ? kStackAlignment : kAlignment);
      if (integer && is_asymmetric(weight.form.integer.mode)) {
        weight.zero_points = place(weight.values.type, with_last_dim_one(shape), kAlignment);
      }
      if (integer || mxfp4) weight.scales = place(mxfp4 ? ov::element::f8e8m0 : ov::element::f16, with_last_dim_one(shape), kAlignment);
      if (!plan.index_.emplace(weight.unit.name, plan.weights.size()).second) fail("the tensor table names ", weight.unit.name, " twice");
      plan.weights.push_back(std::move(weight));
    }
  }
  return plan;
}

}  // namespace dsv4
