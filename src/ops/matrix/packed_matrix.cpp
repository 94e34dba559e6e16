// Views of weight tensors.
#include "ops/matrix/packed_matrix.h"

#include "dsv4/error.h"
#include "openvino/core/partial_shape.hpp"

namespace dsv4::ops {

namespace {

WeightType weight_type(ov::element::Type type, const std::string& what) {
  if (type == ov::element::f32) return WeightType::kF32;
  if (type == ov::element::f16) return WeightType::kF16;
  if (type == ov::element::bf16) return WeightType::kBF16;
  if (type == ov::element::u8) return WeightType::kU8;
  if (type == ov::element::i8) return WeightType::kI8;
  if (type == ov::element::u4) return WeightType::kU4;
  if (type == ov::element::i4) return WeightType::kI4;
  if (type == ov::element::f4e2m1) return WeightType::kF4E2M1;
  fail(what, ": weights of type ", type.get_type_name(), "; expected f32, f16, bf16, u8, i8, u4, i4 or f4e2m1");
}

int64_t bytes_of(WeightType type, int64_t values) {
  switch (type) {
    case WeightType::kF32:
      return 4 * values;
    case WeightType::kF16:
    case WeightType::kBF16:
      return 2 * values;
    case WeightType::kU8:
    case WeightType::kI8:
      return values;
    default:
      return (values + 1) / 2;
  }
}

int64_t bytes_of_scale(WeightType type) { return type == WeightType::kF4E2M1 ? 1 : 2; }

}  // namespace

bool is_four_bits(WeightType type) { return type == WeightType::kU4 || type == WeightType::kI4 || type == WeightType::kF4E2M1; }

bool is_compressed(WeightType type) { return is_four_bits(type) || type == WeightType::kU8 || type == WeightType::kI8; }

int64_t PackedMatrix::row_bytes() const { return bytes_of(type, cols); }

int64_t PackedMatrix::scale_bytes() const { return count * rows * groups() * bytes_of_scale(type); }

int64_t PackedMatrix::zero_point_bytes() const { return bytes_of(type, count * rows * groups()); }

int64_t PackedMatrix::bytes() const {
  const int64_t scaled = rows * groups();
  return rows * row_bytes() + scaled * bytes_of_scale(type) + (zero_points ? bytes_of(type, scaled) : 0);
}

PackedMatrix PackedMatrix::at(int64_t index) const {
  PackedMatrix view = *this;
  view.count = 1;
  const int64_t skipped = index * rows;
  view.codes += skipped * row_bytes();
  if (scales) view.scales += skipped * groups() * bytes_of_scale(type);
  view.first_zero_point += skipped * groups();
  return view;
}

PackedMatrix PackedMatrix::slice(int64_t begin, int64_t n) const {
  PackedMatrix view = *this;
  view.rows = begin;  // at(1) of a stack of `begin` rows
  view = view.at(1);
  view.rows = n;
  return view;
}

PackedMatrix describe_matrix(std::span<const ov::element::Type> types, std::span<const ov::Shape> shapes, MatrixForm form,
                             const std::string& what) {
  if (types.empty() || types.size() > 3) fail(what, ": a weight of ", types.size(), " tensors; expected 1 to 3");
  if (shapes.size() != types.size()) fail(what, ": a weight of ", types.size(), " tensors with ", shapes.size(), " shapes");
  PackedMatrix m;
  m.type = weight_type(types[0], what);
  const bool compressed = is_compressed(m.type);
  const ov::Shape& shape = shapes[0];
  const auto text = [](const ov::Shape& dims) { return ov::PartialShape(dims).to_string(); };
  const size_t leading = form == MatrixForm::kStack ? 1 : 0;  // dims in front of [out, ...]
  const bool exact = form == MatrixForm::kPlain && shape.size() == 1;
  if (types.size() == 1) {
    if (compressed) fail(what, ": weights of type ", types[0].get_type_name(), " without scales");
    if (!exact && shape.size() != leading + 2) fail(what, ": weights of shape ", text(shape), "; expected ", leading + 2, " dims");
  } else {
    if (!compressed) fail(what, ": scales for weights of type ", types[0].get_type_name());
    if (shape.size() != leading + 2 && shape.size() != leading + 3) {
      fail(what, ": compressed weights of shape ", text(shape), "; expected ", leading + 2, " or ", leading + 3, " dims");
    }
    ov::Shape scale_shape = shape;
    scale_shape.back() = 1;
    const ov::element::Type scale_type = m.type == WeightType::kF4E2M1 ? ov::element::f8e8m0 : ov::element::f16;
    if (types[1] != scale_type || shapes[1] != scale_shape) {
      fail(what, ": scales of type ", types[1].get_type_name(), " and shape ", text(shapes[1]), "; expected ", scale_type.get_type_name(),
           " and ", text(scale_shape));
    }
    const bool asymmetric = m.type == WeightType::kU8 || m.type == WeightType::kU4;
    if (types.size() == 3 && (!asymmetric || types[2] != types[0] || shapes[2] != scale_shape)) {
      fail(what, ": zero points of type ", types[2].get_type_name(), " and shape ", text(shapes[2]), " for weights of type ",
           types[0].get_type_name(), " and shape ", text(shape));
    }
    m.group = static_cast<int64_t>(shape.back());
  }
  const int64_t last = static_cast<int64_t>(shape.back());
  if (leading == 1) m.count = static_cast<int64_t>(shape[0]);
  m.rows = exact ? 1 : static_cast<int64_t>(shape[leading]);
  m.cols = shape.size() == leading + 3 ? static_cast<int64_t>(shape[leading + 1]) * last : last;
  if (m.count < 1 || m.rows < 1 || m.cols < 1) fail(what, ": weights of shape ", text(shape), " are empty");
  if (is_four_bits(m.type) && m.cols % 2 != 0) fail(what, ": 4-bit rows of ", m.cols, " values; expected an even number");
  return m;
}

}  // namespace dsv4::ops
