// The constants that a stored weight is made of: their element types and shapes, from its format and back.
#pragma once

#include <optional>

#include "formats/stored_format.h"
#include "openvino/core/shape.hpp"
#include "openvino/core/type/element_type.hpp"

namespace dsv4 {

ov::element::Type element_type(NumberFormat format);
/// Nothing for a type that is not in the table of formats.
std::optional<NumberFormat> number_format_of(const ov::element::Type& type);

/// Of the values of a weight [..., out, in]: as it is for floats and for a scale a row; [..., out, in/g, g] in groups; FP8 [..., out/r, r, in/g, g]. Error where groups
/// do not divide it.
ov::Shape values_shape(const ov::Shape& logical, const StoredFormat& format);
/// Of the scales and zero points beside values of this shape: 1 in place of each dim whose entries share one.
ov::Shape scales_shape(ov::Shape values, NumberFormat type);

/// The format of that type whose values_shape(logical) is `values`; nothing where there is none.
std::optional<StoredFormat> format_of_shape(NumberFormat type, const ov::Shape& values, const ov::Shape& logical);

}  // namespace dsv4
