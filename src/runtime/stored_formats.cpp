// From constants of an IR to formats of checkpoint tensors.
#include "runtime/stored_formats.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/names.h"
#include "checkpoint/tensor_table.h"
#include "dsv4/error.h"
#include "openvino/op/constant.hpp"
#include "runtime/constants.h"

namespace dsv4 {

namespace {

using ov::op::v0::Constant;

constexpr size_t kFp4Group = 32;  // of published FP4

std::optional<StoredType> stored_type(const ov::element::Type& type) {
  if (type == ov::element::f32) return StoredType::kF32;
  if (type == ov::element::f16) return StoredType::kF16;
  if (type == ov::element::u8) return StoredType::kU8;
  if (type == ov::element::i8) return StoredType::kI8;
  if (type == ov::element::u4) return StoredType::kU4;
  if (type == ov::element::i4) return StoredType::kI4;
  if (type == ov::element::f4e2m1) return StoredType::kF4E2M1;
  return std::nullopt;
}

std::string text_of(ov::element::Type type, const ov::Shape& shape) { return concat(type.to_string(), ' ', shape.to_string()); }

[[noreturn]] void unexpected(const std::string& name, const Constant& constant, const std::string& expected) {
  fail("the constant ", name, " is ", text_of(constant.get_element_type(), constant.get_shape()), ", expected ", expected,
       "; convert the checkpoint again");
}

const Constant& needed(const Constants& constants, const std::string& name) {
  const auto constant = constants.find(name);
  if (constant == nullptr) fail("the constant ", name, " is not there; convert the checkpoint again");
  return *constant;
}

/// Scales and zero points are as they have to be, or whoever multiplies with them reads others.
void check_beside(const Constants& constants, const std::string& name, ov::element::Type type, const ov::Shape& shape) {
  const Constant& constant = needed(constants, name);
  if (constant.get_element_type() != type || constant.get_shape() != shape) unexpected(name, constant, text_of(type, shape));
}

/// A constant of this logical shape, or, compressed, with its last dimension in groups.
bool is_of_shape(const ov::Shape& shape, const ov::Shape& logical, bool& grouped) {
  grouped = shape.size() == logical.size() + 1;
  if (!grouped) return shape == logical;
  const size_t last = logical.size() - 1;
  return std::equal(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(last), logical.begin()) && shape[last + 1] > 0 &&
         logical[last] % shape[last + 1] == 0 && shape[last] == logical[last] / shape[last + 1];
}

/// The format of a constant that stands for values of the shape `logical`.
StoredFormat format_of(const Constants& constants, const std::string& name, const Constant& constant, const ov::Shape& logical) {
  const std::optional<StoredType> type = stored_type(constant.get_element_type());
  if (!type) unexpected(name, constant, "f32, f16, u8, i8, u4, i4 or f4e2m1");
  const ov::Shape& shape = constant.get_shape();
  StoredFormat format{*type, -1};
  bool grouped = false;
  if (!is_of_shape(shape, logical, grouped))
    unexpected(name, constant, concat(logical.to_string(), ", its rows in one piece or in groups"));
  ov::Shape beside = shape;
  beside.back() = 1;
  switch (*type) {
    case StoredType::kF32:
    case StoredType::kF16:
      if (grouped) unexpected(name, constant, "rows in one piece");
      break;
    case StoredType::kU8:
    case StoredType::kU4:
      check_beside(constants, name + "/zero_point", constant.get_element_type(), beside);
      [[fallthrough]];
    case StoredType::kI8:
    case StoredType::kI4:
      check_beside(constants, name + "/scale", ov::element::f16, beside);
      if (grouped) format.group_size = static_cast<int64_t>(shape.back());
      break;
    case StoredType::kF4E2M1:  // groups of 32, as published: nothing is rounded, so that they do not matter
      check_beside(constants, name + "/scale", ov::element::f8e8m0, beside);
      break;
  }
  if ((*type == StoredType::kI8 || *type == StoredType::kI4) && constants.find(name + "/zero_point") != nullptr) {
    fail("the constant ", name, " is symmetric, expected no ", name, "/zero_point; convert the checkpoint again");
  }
  return format;
}

/// The constant that holds a checkpoint tensor.
std::string constant_name(const std::string& tensor) {
  const std::optional<ExpertName> expert = parse_expert_name(tensor);
  if (!expert) return tensor;
  return concat(expert->prefix, expert->matrix == 2 ? "w2" : "w1w3", expert->leaf);
}

/// Of a tensor, or of the stack that holds all experts of a layer.
ov::Shape logical_shape(const TensorSpec& spec, const std::string& name, const Config& config) {
  ov::Shape shape(spec.shape.begin(), spec.shape.end());
  if (name == spec.name) return shape;
  if (name.ends_with("w1w3.weight")) shape[0] *= 2;
  shape.insert(shape.begin(), static_cast<size_t>(config.n_routed_experts));
  return shape;
}

/// Of the whole tensor: one; of row groups that are kept differently: one each (NNCF judges every constant by itself, so --ratio may part them).
std::vector<StoredFormat> formats_of_tensor(const Constants& constants, const std::string& name, ov::Shape shape) {
  if (const auto whole = constants.find(name)) {
    if (shape.size() == 3 && is_byte_stack(*whole)) return {byte_stack_format(constants, name, *whole, shape)};
    return {format_of(constants, name, *whole, shape)};
  }
  size_t groups = 0;
  while (constants.find(stored_row_group(name, static_cast<int64_t>(groups))) != nullptr) ++groups;
  if (groups == 0) needed(constants, name);
  if (shape[0] % groups != 0)
    fail("the constant ", name, " is in ", groups, " parts, which do not divide its ", shape[0], " rows; convert the checkpoint again");
  shape[0] /= groups;
  std::vector<StoredFormat> formats;
  for (size_t group = 0; group < groups; ++group) {
    const std::string part = stored_row_group(name, static_cast<int64_t>(group));
    formats.push_back(format_of(constants, part, needed(constants, part), shape));
  }
  const bool same = std::all_of(formats.begin(), formats.end(), [&](const StoredFormat& format) { return format == formats.front(); });
  if (same) formats.resize(1);
  return formats;
}

/// Expert ids of hash routing: what an id outside of the experts reads is not its own.
void check_table(const Constants& constants, const std::string& name, const ov::Shape& shape, int64_t experts) {
  const Constant& table = needed(constants, name);
  if (table.get_element_type() != ov::element::i32 || table.get_shape() != shape) unexpected(name, table, text_of(ov::element::i32, shape));
  const auto* ids = static_cast<const std::byte*>(table.get_data_ptr());
  for (size_t i = 0; i < ov::shape_size(shape); ++i) {
    int32_t id = 0;
    std::memcpy(&id, ids + i * sizeof id, sizeof id);
    if (id < 0 || id >= experts) {
      fail("the constant ", name, " names expert ", id, " for token ", i / shape[1], ", expected 0 to ", experts - 1,
           "; convert the checkpoint again");
    }
  }
}

bool is_there(const Constants& constants, const std::string& name) {
  return constants.find(name) != nullptr || constants.find(stored_row_group(name, 0)) != nullptr;
}

/// f(spec, formats) for every weight of the model's own layers; an expert's formats are those of its stack. Without `all` weights that are not there are passed over.
template <class F>
void for_each_weight(const Constants& constants, const Config& config, bool all, const F& f) {
  std::map<std::string, std::vector<StoredFormat>> stacks;  // looked up once for all experts
  for (const TensorSpec& spec : tensor_table(config)) {
    if (spec.mtp || spec.published == Published::kI64) continue;
    const std::string name = constant_name(spec.name);
    auto known = stacks.find(name);
    if (known == stacks.end() && !all && !is_there(constants, name)) continue;
    if (known == stacks.end()) known = stacks.emplace(name, formats_of_tensor(constants, name, logical_shape(spec, name, config))).first;
    f(spec, known->second);
  }
}

}  // namespace

bool is_byte_stack(const Constant& constant) { return constant.get_element_type() == ov::element::u8 && constant.get_shape().size() == 2; }

StoredFormat byte_stack_format(const Constants& constants, const std::string& name, const Constant& constant, const ov::Shape& logical) {
  const size_t experts = logical[0], rows = logical[1], columns = logical[2];
  if (constant.get_shape() != ov::Shape{experts, rows * columns / 2}) {
    unexpected(name, constant, concat("half a byte for each of the ", rows * columns, " values of each of ", experts, " experts"));
  }
  const Constant& scale = needed(constants, name + "/scale");
  if (scale.get_element_type() == ov::element::u8) {  // bytes of E8M0
    check_beside(constants, name + "/scale", ov::element::u8, {experts, rows * columns / kFp4Group});
    return {StoredType::kF4E2M1, -1};
  }
  const ov::Shape& groups = scale.get_shape();  // [E, rows, groups, 1], or [E, rows, 1] for a scale a row
  const bool grouped = groups.size() == 4;
  const size_t count = grouped ? groups[2] : 1;
  if (count == 0 || columns % count != 0) unexpected(name + "/scale", scale, concat("groups that divide rows of ", columns, " values"));
  check_beside(constants, name + "/scale", ov::element::f16, grouped ? ov::Shape{experts, rows, count, 1} : ov::Shape{experts, rows, 1});
  const bool asymmetric = constants.find(name + "/zero_point") != nullptr;
  if (asymmetric) check_beside(constants, name + "/zero_point", ov::element::u8, {experts, rows * count / 2});
  return {asymmetric ? StoredType::kU4 : StoredType::kI4, grouped ? static_cast<int64_t>(columns / count) : -1};
}

StoredFormats stored_formats(const ov::Model& model, const Config& config) {
  StoredFormats formats;
  for_each_weight(Constants(model), config, true, [&](const TensorSpec& spec, const std::vector<StoredFormat>& found) {
    for (size_t i = 0; i < found.size(); ++i) {
      formats.emplace(found.size() == 1 ? spec.name : stored_row_group(spec.name, static_cast<int64_t>(i)), found[i]);
    }
  });
  return formats;
}

void check_weights(const ov::Model& model, const Config& config) {
  for_each_weight(Constants(model), config, false, [](const TensorSpec&, const std::vector<StoredFormat>&) {});
}

void check_tables(const ov::Model& model, const Config& config) {
  const Constants constants(model);
  for (const TensorSpec& spec : tensor_table(config)) {
    if (spec.mtp || spec.published != Published::kI64 || !is_there(constants, spec.name)) continue;
    check_table(constants, spec.name, ov::Shape(spec.shape.begin(), spec.shape.end()), config.n_routed_experts);
  }
}

}  // namespace dsv4
