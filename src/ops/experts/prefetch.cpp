// madvise over whole pages.
#include "ops/experts/prefetch.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace dsv4::ops {

namespace {

void will_need(const std::byte* begin, int64_t bytes) {
  static const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t address = reinterpret_cast<uintptr_t>(begin);
  const uintptr_t first = address / page * page, end = (address + static_cast<uintptr_t>(bytes) + page - 1) / page * page;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): pages begin between objects
  madvise(reinterpret_cast<void*>(first), end - first, MADV_WILLNEED);
}

}  // namespace

void prefetch(const PackedMatrix& matrix) {
  will_need(matrix.codes, matrix.code_bytes());
  if (matrix.scales) will_need(matrix.scales, matrix.scale_bytes());
  if (matrix.zero_points) {
    const bool nibbles = is_four_bits(matrix.type);
    const std::byte* first = matrix.zero_points + (nibbles ? matrix.first_zero_point / 2 : matrix.first_zero_point);
    will_need(first, matrix.zero_point_bytes() + (nibbles ? matrix.first_zero_point % 2 : 0));
  }
}

}  // namespace dsv4::ops
