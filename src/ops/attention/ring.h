// A ring of rows: the newest positions of a sequence, each in the place of one that is not needed any more.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace dsv4::ops {

/// Rows that every ring has beyond those that the next token needs: a sequence may go back by so many tokens, and only its position changes.
constexpr int64_t kSlackRows = 8;

struct Ring {
  std::byte* memory = nullptr;
  int64_t rows = 0;
  int64_t row_bytes = 0;

  int64_t place(int64_t position) const { return position % rows; }
  std::byte* at(int64_t position) const { return memory + place(position) * row_bytes; }
  const float* floats_at(int64_t position) const { return static_cast<const float*>(static_cast<const void*>(at(position))); }

  /// `count` rows of positions from `first` on, of which the last ones stay.
  void append(const void* source, int64_t first, int64_t count) const {
    const auto* row = static_cast<const std::byte*>(source);
    for (int64_t i = std::max<int64_t>(0, count - rows); i < count; ++i) {
      std::memcpy(at(first + i), row + i * row_bytes, static_cast<size_t>(row_bytes));
    }
  }
};

}  // namespace dsv4::ops
