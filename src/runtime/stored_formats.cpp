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
#include "ops/matrix/stored_layout.h"
#include "runtime/constants.h"

namespace dsv4 {

namespace {

using ov::op::v0::Constant;

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

/// The format of a constant that stands for values of the shape `logical`.
StoredFormat format_of(const Constants& constants, const std::string& name, const Constant& constant, const ov::Shape& logical) {
  const std::optional<NumberFormat> type = number_format_of(constant.get_element_type());
  if (!type || *type > NumberFormat::kF8E4M3) unexpected(name, constant, "f32, f16, bf16, u8, i8, u4, i4, f4e2m1 or f8e4m3");
  const ov::Shape& shape = constant.get_shape();
  std::optional<StoredFormat> format = format_of_shape(*type, shape, logical);
  if (!format) {
    unexpected(name, constant,
               concat(logical.to_string(), is_scaled(*type) ? ", its rows in one piece or in groups" : ", its rows in one piece"));
  }
  if (!is_scaled(*type)) return *format;
  const ov::Shape beside = scales_shape(shape, *type);
  if (*type == NumberFormat::kF8E4M3 && needed(constants, name + "/scale").get_element_type() == ov::element::f32)
    format->fp8_scale = NumberFormat::kF32;
  check_beside(constants, name + "/scale", element_type(scale_type(*format)), beside);
  if (is_asymmetric(*type)) {
    check_beside(constants, name + "/zero_point", constant.get_element_type(), beside);
  } else if (constants.find(name + "/zero_point") != nullptr) {
    fail("the constant ", name, " is symmetric, expected no ", name, "/zero_point; convert the checkpoint again");
  }
  return *format;
}

/// Of a tensor, or of the stack that holds all experts of a layer.
ov::Shape logical_shape(const TensorSpec& spec, const std::string& name, const Config& config) {
  ov::Shape shape(spec.shape.begin(), spec.shape.end());
  if (name == spec.name) return shape;
  if (name.ends_with(gate_up_stack_name(""))) shape[0] *= 2;
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
  while (constants.find(row_group_name(name, static_cast<int64_t>(groups))) != nullptr) ++groups;
  if (groups == 0) needed(constants, name);
  if (shape[0] % groups != 0)
    fail("the constant ", name, " is in ", groups, " parts, which do not divide its ", shape[0], " rows; convert the checkpoint again");
  shape[0] /= groups;
  std::vector<StoredFormat> formats;
  for (size_t group = 0; group < groups; ++group) {
    const std::string part = row_group_name(name, static_cast<int64_t>(group));
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
  return constants.find(name) != nullptr || constants.find(row_group_name(name, 0)) != nullptr;
}

/// f(spec, formats) for every weight of the model's own layers; an expert's formats are those of its stack. Without `all` weights that are not there are passed over.
template <class F>
void for_each_weight(const Constants& constants, const Config& config, bool all, const F& f) {
  std::map<std::string, std::vector<StoredFormat>> stacks;  // looked up once for all experts
  for (const TensorSpec& spec : tensor_table(config)) {
    if (spec.mtp || spec.published == NumberFormat::kI64) continue;
    const std::string name = constant_name(spec.name);
    auto known = stacks.find(name);
    if (known == stacks.end() && !all && !is_there(constants, name)) continue;
    if (known == stacks.end()) known = stacks.emplace(name, formats_of_tensor(constants, name, logical_shape(spec, name, config))).first;
    f(spec, known->second);
  }
}

}  // namespace

bool is_byte_stack(const Constant& constant) {
  const size_t dims = constant.get_shape().size();
  return constant.get_element_type() == ov::element::u8 && (dims == 2 || dims == 5);  // codes of 4 bits, or FP8 in blocks
}

StoredFormat byte_stack_format(const Constants& constants, const std::string& name, const Constant& constant, const ov::Shape& logical) {
  const size_t experts = logical[0], rows = logical[1], columns = logical[2];
  const Constant& scale = needed(constants, name + "/scale");
  if (constant.get_shape().size() == 5) {
    std::optional<StoredFormat> format = format_of_shape(NumberFormat::kF8E4M3, constant.get_shape(), logical);
    if (!format) unexpected(name, constant, concat("the values of ", logical.to_string(), " in blocks"));
    const ov::Shape& shape = constant.get_shape();
    const bool exponents = scale.get_element_type() == ov::element::u8;
    if (!exponents) format->fp8_scale = NumberFormat::kF32;
    check_beside(constants, name + "/scale", exponents ? ov::element::u8 : ov::element::f32,
                 exponents ? ov::Shape{experts, shape[1] * shape[3]} : ov::Shape{experts, shape[1], 1, shape[3], 1});
    return *format;
  }
  if (constant.get_shape() != ov::Shape{experts, rows * columns / 2}) {
    unexpected(name, constant, concat("half a byte for each of the ", rows * columns, " values of each of ", experts, " experts"));
  }
  if (scale.get_element_type() == ov::element::u8) {  // bytes of E8M0
    check_beside(constants, name + "/scale", ov::element::u8, {experts, rows * columns / kFp4Group});
    return {NumberFormat::kF4E2M1};
  }
  const ov::Shape& groups = scale.get_shape();  // [E, rows, groups, 1], or [E, rows, 1] for a scale a row
  const bool grouped = groups.size() == 4;
  const size_t count = grouped ? groups[2] : 1;
  if (count == 0 || columns % count != 0) unexpected(name + "/scale", scale, concat("groups that divide rows of ", columns, " values"));
  check_beside(constants, name + "/scale", ov::element::f16, grouped ? ov::Shape{experts, rows, count, 1} : ov::Shape{experts, rows, 1});
  const bool asymmetric = constants.find(name + "/zero_point") != nullptr;
  if (asymmetric) check_beside(constants, name + "/zero_point", ov::element::u8, {experts, rows * count / 2});
  return {asymmetric ? NumberFormat::kU4 : NumberFormat::kI4, grouped ? static_cast<int64_t>(columns / count) : -1};
}

StoredFormats stored_formats(const ov::Model& model, const Config& config) {
  StoredFormats formats;
  for_each_weight(Constants(model), config, true, [&](const TensorSpec& spec, const std::vector<StoredFormat>& found) {
    for (size_t i = 0; i < found.size(); ++i) {
      formats.emplace(found.size() == 1 ? spec.name : row_group_name(spec.name, static_cast<int64_t>(i)), found[i]);
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
    if (spec.mtp || spec.published != NumberFormat::kI64 || !is_there(constants, spec.name)) continue;
    check_table(constants, spec.name, ov::Shape(spec.shape.begin(), spec.shape.end()), config.n_routed_experts);
  }
}

}  // namespace dsv4
