// A part of a text.
#pragma once

#include <cstddef>

namespace dsv4 {

/// The bytes from `begin` on, before `end`.
struct TextSpan {
  size_t begin = 0, end = 0;
};

}  // namespace dsv4
