// Shapes of stored weights.
#include "ops/matrix/stored_layout.h"

#include <string>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

bool in_blocks(NumberFormat type) { return row_of(type).groups == GroupRule::kBlocks; }

size_t parts_of(size_t whole, int64_t part, const char* what) {
  if (part < 1 || whole % static_cast<size_t>(part) != 0)
    fail("groups of ", part, " do not divide ", whole, ' ', what, "; this is a mistake in dsv4");
  return whole / static_cast<size_t>(part);
}

}  // namespace

ov::element::Type element_type(NumberFormat format) { return ov::element::Type(std::string(name_of(format))); }

std::optional<NumberFormat> number_format_of(const ov::element::Type& type) { return number_format(type.to_string()); }

ov::Shape values_shape(const ov::Shape& logical, const StoredFormat& format) {
  if (!is_grouped(format)) return logical;
  ov::Shape shape = logical;
  const int64_t group = scale_columns(format, static_cast<int64_t>(shape.back()));
  const size_t groups = parts_of(shape.back(), group, "inputs");
  shape.pop_back();
  if (in_blocks(format.type)) {
    shape.back() = parts_of(shape.back(), format.group_rows, "rows");
    shape.push_back(static_cast<size_t>(format.group_rows));
  }
  shape.insert(shape.end(), {groups, static_cast<size_t>(group)});
  return shape;
}

ov::Shape scales_shape(ov::Shape values, NumberFormat type) {
  values.back() = 1;
  if (in_blocks(type)) values[values.size() - 3] = 1;
  return values;
}

std::optional<StoredFormat> format_of_shape(NumberFormat type, const ov::Shape& values, const ov::Shape& logical) {
  StoredFormat format{type};
  if (values == logical && !in_blocks(type)) return format;  // of FP4 too: its groups need not show
  if (!is_scaled(type) || values.size() != logical.size() + (in_blocks(type) ? 2 : 1)) return std::nullopt;
  const size_t group = values.back(), columns = logical.back();
  if (group == 0 || columns % group != 0) return std::nullopt;
  if (type != NumberFormat::kF4E2M1) format.group_size = static_cast<int64_t>(group);
  if (in_blocks(type)) {
    const size_t rows = values[values.size() - 3];
    if (rows == 0 || logical[logical.size() - 2] % rows != 0) return std::nullopt;
    format.group_rows = static_cast<int64_t>(rows);
  }
  ov::Shape expected(logical.begin(), logical.end() - 1);
  if (in_blocks(type)) {
    expected.back() /= values[values.size() - 3];
    expected.push_back(values[values.size() - 3]);
  }
  expected.insert(expected.end(), {columns / group, group});
  return values == expected ? std::optional(format) : std::nullopt;
}

}  // namespace dsv4
