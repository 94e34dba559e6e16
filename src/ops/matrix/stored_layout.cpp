// Shapes of stored weights.
#include "ops/matrix/stored_layout.h"

#include <string>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

bool in_blocks(NumberFormat type) { return row_of(type).groups == GroupRule::kBlocks; }

void check_divides(size_t whole, int64_t part, const char* what) {
  if (part < 1 || whole % static_cast<size_t>(part) != 0)
    fail("groups of ", part, " do not divide ", whole, ' ', what, "; this is a mistake in dsv4");
}

/// [..., in] -> [..., in/group, group], with `rows` [..., out, in] -> [..., out/rows, rows, in/group, group]. They divide.
ov::Shape in_groups(ov::Shape shape, size_t group, size_t rows) {
  const size_t groups = shape.back() / group;
  shape.pop_back();
  if (rows > 0) {
    shape.back() /= rows;
    shape.push_back(rows);
  }
  shape.insert(shape.end(), {groups, group});
  return shape;
}

}  // namespace

ov::element::Type element_type(NumberFormat format) { return ov::element::Type(std::string(name_of(format))); }

std::optional<NumberFormat> number_format_of(const ov::element::Type& type) { return number_format(type.to_string()); }

ov::Shape values_shape(const ov::Shape& logical, const StoredFormat& format) {
  if (!is_grouped(format)) return logical;
  const int64_t group = scale_columns(format, static_cast<int64_t>(logical.back())), rows = in_blocks(format.type) ? format.group_rows : 0;
  check_divides(logical.back(), group, "inputs");
  if (in_blocks(format.type)) check_divides(logical[logical.size() - 2], rows, "rows");
  return in_groups(logical, static_cast<size_t>(group), static_cast<size_t>(rows));
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
  if (in_blocks(type) && logical.size() < 2) return std::nullopt;  // a vector has no rows
  const size_t group = values.back(), columns = logical.back();
  if (group == 0 || columns % group != 0) return std::nullopt;
  if (type != NumberFormat::kF4E2M1) format.group_size = static_cast<int64_t>(group);
  const size_t rows = in_blocks(type) ? values[values.size() - 3] : 0;
  if (in_blocks(type)) {
    if (rows == 0 || logical[logical.size() - 2] % rows != 0) return std::nullopt;
    format.group_rows = static_cast<int64_t>(rows);
  }
  return values == in_groups(logical, group, rows) ? std::optional(format) : std::nullopt;
}

}  // namespace dsv4
