// What text must be before it becomes token ids.
#pragma once

#include <cstddef>
#include <string_view>

namespace dsv4 {

constexpr size_t kMostTextBytes = size_t{256} << 20;  ///< offsets are i32, and every byte takes some 40 bytes on the way

/// Error for invalid UTF-8 and for more than kMostTextBytes.
void check_text(std::string_view text);

}  // namespace dsv4
