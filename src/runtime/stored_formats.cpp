// From constants of an IR to formats of checkpoint tensors.
#include "runtime/stored_formats.h"

#include <algorithm>
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

[[noreturn]] void unexpected(const std::string& name, const Constant& constant, const std::string& expected) {
  fail("openvino_model.xml: the constant ", name, " is ", constant.get_element_type().to_string(), " ", constant.get_shape().to_string(),
       ", expected ", expected, "; convert the checkpoint again");
}

void check_beside(const Constants& constants, const std::string& name, const ov::element::Type& type) {
  const auto constant = constants.find(name);
  if (constant == nullptr) fail("openvino_model.xml: the constant ", name, " is not there; convert the checkpoint again");
  if (constant->get_element_type() != type) unexpected(name, *constant, type.to_string());
}

/// The format of a constant whose logical shape has `rank` dimensions, the last of `columns`.
StoredFormat format_of(const Constants& constants, const std::string& name, const Constant& constant, size_t rank, int64_t columns) {
  const std::optional<StoredType> type = stored_type(constant.get_element_type());
  if (!type) unexpected(name, constant, "f32, f16, u8, i8, u4, i4 or f4e2m1");
  const ov::Shape& shape = constant.get_shape();
  StoredFormat format{*type, -1};
  size_t row = 1;
  for (size_t axis = rank - 1; axis < shape.size(); ++axis) row *= shape[axis];
  const bool grouped = shape.size() == rank + 1;
  if ((shape.size() != rank && !grouped) || row != static_cast<size_t>(columns)) {
    unexpected(name, constant, concat("rows of ", columns, " values, in one piece or in groups"));
  }
  switch (*type) {
    case StoredType::kF32:
    case StoredType::kF16:
      if (grouped) unexpected(name, constant, "rows in one piece");
      break;
    case StoredType::kU8:
    case StoredType::kU4:
      check_beside(constants, name + "/zero_point", constant.get_element_type());
      [[fallthrough]];
    case StoredType::kI8:
    case StoredType::kI4:
      check_beside(constants, name + "/scale", ov::element::f16);
      if (grouped) format.group_size = static_cast<int64_t>(shape.back());
      break;
    case StoredType::kF4E2M1:  // groups of 32, as published: nothing is rounded, so that they do not matter
      check_beside(constants, name + "/scale", ov::element::f8e8m0);
      break;
  }
  if ((*type == StoredType::kI8 || *type == StoredType::kI4) && constants.find(name + "/zero_point") != nullptr) {
    fail("openvino_model.xml: the constant ", name, " is symmetric, expected no ", name, "/zero_point; convert the checkpoint again");
  }
  return format;
}

/// The constant that holds a checkpoint tensor.
std::string constant_name(const std::string& tensor) {
  const std::optional<ExpertName> expert = parse_expert_name(tensor);
  if (!expert) return tensor;
  return concat(expert->prefix, expert->matrix == 2 ? "w2" : "w1w3", expert->leaf);
}

/// Of the whole tensor: one; of row groups that are kept differently: one each (NNCF judges every constant by itself, so --ratio may part them).
std::vector<StoredFormat> formats_of_tensor(const Constants& constants, const TensorSpec& spec, const std::string& name) {
  const size_t rank = spec.shape.size() + (name == spec.name ? 0 : 1);  // a stack has the expert in front
  const int64_t columns = spec.shape.back();
  if (const auto whole = constants.find(name)) {
    if (rank == 3 && is_byte_stack(*whole)) {
      const int64_t rows = spec.shape[0] * (name.ends_with("w1w3.weight") ? 2 : 1);
      return {byte_stack_format(constants, name, *whole, rows, columns)};
    }
    return {format_of(constants, name, *whole, rank, columns)};
  }
  std::vector<StoredFormat> formats;
  for (int64_t group = 0;; ++group) {
    const std::string part = stored_row_group(name, group);
    const auto constant = constants.find(part);
    if (constant == nullptr) break;
    formats.push_back(format_of(constants, part, *constant, rank, columns));
  }
  if (formats.empty()) fail("openvino_model.xml: the constant ", name, " is not there; convert the checkpoint again");
  const bool same = std::all_of(formats.begin(), formats.end(), [&](const StoredFormat& format) { return format == formats.front(); });
  if (same) formats.resize(1);
  return formats;
}

}  // namespace

bool is_byte_stack(const Constant& constant) { return constant.get_element_type() == ov::element::u8 && constant.get_shape().size() == 2; }

StoredFormat byte_stack_format(const Constants& constants, const std::string& name, const Constant& constant, int64_t rows,
                               int64_t columns) {
  if (constant.get_shape()[1] * 2 != static_cast<size_t>(rows * columns)) {
    unexpected(name, constant, concat("half a byte for each of the ", rows * columns, " values of an expert"));
  }
  const auto scale = constants.find(name + "/scale");
  if (scale != nullptr && scale->get_element_type() == ov::element::u8) return {StoredType::kF4E2M1, -1};  // bytes of E8M0
  check_beside(constants, name + "/scale", ov::element::f16);
  const bool asymmetric = constants.find(name + "/zero_point") != nullptr;
  if (asymmetric) check_beside(constants, name + "/zero_point", ov::element::u8);
  StoredFormat format{asymmetric ? StoredType::kU4 : StoredType::kI4, -1};
  const ov::Shape& groups = scale->get_shape();  // [E, rows, groups, 1], or [E, rows, 1] for a scale a row
  if (groups.size() == 4 && groups[2] > 0) format.group_size = columns / static_cast<int64_t>(groups[2]);
  return format;
}

StoredFormats stored_formats(const ov::Model& model, const Config& config) {
  const Constants constants(model);
  StoredFormats formats;
  std::map<std::string, std::vector<StoredFormat>> stacks;  // looked up once for all experts
  for (const TensorSpec& spec : tensor_table(config)) {
    if (spec.mtp || spec.published == Published::kI64) continue;
    const std::string name = constant_name(spec.name);
    auto known = stacks.find(name);
    if (known == stacks.end()) known = stacks.emplace(name, formats_of_tensor(constants, spec, name)).first;
    const std::vector<StoredFormat>& found = known->second;
    for (size_t i = 0; i < found.size(); ++i) {
      formats.emplace(found.size() == 1 ? spec.name : stored_row_group(spec.name, static_cast<int64_t>(i)), found[i]);
    }
  }
  return formats;
}

}  // namespace dsv4
