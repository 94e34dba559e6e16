// Views of weight tensors.
#include "ops/matrix/packed_matrix.h"

#include "dsv4/error.h"
#include "openvino/core/partial_shape.hpp"
#include "ops/matrix/stored_layout.h"

namespace dsv4::ops {

namespace {

NumberFormat weight_type(ov::element::Type type, const std::string& what) {
  const std::optional<NumberFormat> format = number_format_of(type);
  if (!format || *format > NumberFormat::kF8E4M3) {
    fail(what, ": weights of type ", type.get_type_name(), "; expected f32, f16, bf16, u8, i8, u4, i4, f4e2m1 or f8e4m3");
  }
  return *format;
}

/// The view without the first `skipped` rows of the stack.
PackedMatrix after_rows(PackedMatrix view, int64_t skipped) {
  view.codes += skipped * view.row_bytes();
  if (view.scales) view.scales += bytes_of(view.scale, view.scale_index(skipped));
  view.first_zero_point += skipped * view.groups();
  view.first_row = (view.first_row + skipped) % view.group_rows;
  return view;
}

}  // namespace

int64_t PackedMatrix::bytes() const {
  const int64_t scaled = (first_row + rows + group_rows - 1) / group_rows * groups();
  return rows * row_bytes() + bytes_of(scale, scaled) + (zero_points ? bytes_of(type, scaled) : 0);
}

PackedMatrix PackedMatrix::at(int64_t index) const {
  PackedMatrix view = after_rows(*this, index * rows);
  view.count = 1;
  return view;
}

PackedMatrix PackedMatrix::slice(int64_t begin, int64_t n) const {
  PackedMatrix view = after_rows(*this, begin);
  view.rows = n;
  return view;
}

PackedMatrix describe_matrix(std::span<const ov::element::Type> types, std::span<const ov::Shape> shapes, MatrixForm form,
                             const std::string& what) {
  if (types.empty() || types.size() > 3) fail(what, ": a weight of ", types.size(), " tensors; expected 1 to 3");
  if (shapes.size() != types.size()) fail(what, ": a weight of ", types.size(), " tensors with ", shapes.size(), " shapes");
  PackedMatrix m;
  m.type = weight_type(types[0], what);
  const bool scaled = is_scaled(m.type), blocks = row_of(m.type).groups == GroupRule::kBlocks;
  const ov::Shape& shape = shapes[0];
  const auto text = [](const ov::Shape& dims) { return ov::PartialShape(dims).to_string(); };
  const size_t leading = form == MatrixForm::kStack ? 1 : 0;  // dims in front of [out, ...]
  const bool exact = form == MatrixForm::kPlain && shape.size() == 1;
  if (types.size() == 1) {
    if (scaled) fail(what, ": weights of type ", types[0].get_type_name(), " without scales");
    if (!exact && shape.size() != leading + 2) fail(what, ": weights of shape ", text(shape), "; expected ", leading + 2, " dims");
  } else {
    if (!scaled) fail(what, ": scales for weights of type ", types[0].get_type_name());
    if (blocks ? shape.size() != leading + 4 : shape.size() != leading + 2 && shape.size() != leading + 3) {
      fail(what, ": compressed weights of shape ", text(shape), "; expected ",
           blocks ? concat(leading + 4) : concat(leading + 2, " or ", leading + 3), " dims");
    }
    const ov::Shape scale_shape = scales_shape(shape, m.type);
    m.scale = blocks && types[1] == ov::element::f32 ? NumberFormat::kF32 : row_of(m.type).scale;
    const ov::element::Type scale_type = element_type(m.scale);
    if (types[1] != scale_type || shapes[1] != scale_shape) {
      fail(what, ": scales of type ", types[1].get_type_name(), " and shape ", text(shapes[1]), "; expected ", scale_type.get_type_name(),
           " and ", text(scale_shape));
    }
    if (types.size() == 3 && (!is_asymmetric(m.type) || types[2] != types[0] || shapes[2] != scale_shape)) {
      fail(what, ": zero points of type ", types[2].get_type_name(), " and shape ", text(shapes[2]), " for weights of type ",
           types[0].get_type_name(), " and shape ", text(shape));
    }
    m.group = static_cast<int64_t>(shape.back());
    if (blocks) m.group_rows = static_cast<int64_t>(shape[leading + 1]);
  }
  const int64_t last = static_cast<int64_t>(shape.back());
  if (leading == 1) m.count = static_cast<int64_t>(shape[0]);
  m.rows = (exact ? 1 : static_cast<int64_t>(shape[leading])) * m.group_rows;
  m.cols = shape.size() >= leading + 3 ? static_cast<int64_t>(shape[shape.size() - 2]) * last : last;
  if (m.count < 1 || m.rows < 1 || m.cols < 1) fail(what, ": weights of shape ", text(shape), " are empty");
  if (is_four_bits(m.type) && m.cols % 2 != 0) fail(what, ": 4-bit rows of ", m.cols, " values; expected an even number");
  return m;
}

}  // namespace dsv4::ops
