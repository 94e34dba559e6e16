// A row of any matrix as float32.
#include "ops/matrix/packed_matrix.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matrix/unpack_row.cpp"
#define HWY_WANT_AVX3_DL
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include "ops/matrix/codes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {
namespace {

void UnpackRow(const PackedMatrix& m, int64_t row, float* out) { unpack_columns(m, row, 0, m.cols, out); }

}  // namespace
}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

HWY_EXPORT(UnpackRow);

void unpack_row(const PackedMatrix& matrix, int64_t row, float* out) { HWY_DYNAMIC_DISPATCH(UnpackRow)(matrix, row, out); }

}  // namespace dsv4::ops
#endif  // HWY_ONCE
