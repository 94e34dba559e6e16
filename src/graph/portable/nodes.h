// Short names for the standard OpenVINO nodes that the portable program is made of.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "graph/vocabulary.h"

namespace dsv4::nodes {

// Constants. Index arithmetic is i32: what the CPU plugin works in whatever the IR says.
Value f32(float value);
Value f32(const std::vector<float>& values, const std::vector<int64_t>& shape);
Value i32(int32_t value);                       // scalar
Value i32(const std::vector<int32_t>& values);  // vector
Value i32(const std::vector<int32_t>& values, const std::vector<int64_t>& shape);

// Element by element, numpy broadcasting.
Value add(const Value& a, const Value& b);
Value sub(const Value& a, const Value& b);
Value mul(const Value& a, const Value& b);
Value div(const Value& a, const Value& b);
/// floor(a / b) of i32, a >= 0 and b > 0, as a division without remainder: fused behind other nodes the CPU plugin divides in float32 and rounds.
Value whole_div(const Value& a, const Value& b);
Value minimum(const Value& a, const Value& b);
Value maximum(const Value& a, const Value& b);
Value select(const Value& condition, const Value& then, const Value& otherwise);
Value logical_and(const Value& a, const Value& b);
Value less_equal(const Value& a, const Value& b);
Value to_f32(const Value& x);
Value to_i32(const Value& x);

/// Asks plugins that compute float32 nodes in bfloat16 or float16 to leave this one alone.
Value keep_f32(const Value& x);

/// Shape with at most one -1; 0 copies the dim of `x` at that place.
Value reshape(const Value& x, const std::vector<int32_t>& shape);
/// Shape as a vector of scalars and vectors of i32, concatenated.
Value shape_of(const std::vector<Value>& dims);
Value reshape_to(const Value& x, const Value& shape);
Value concat(const std::vector<Value>& parts, int64_t axis);
std::vector<Value> split(const Value& x, int64_t axis, const std::vector<int32_t>& lengths);
Value gather(const Value& x, const Value& indices, int64_t axis, int64_t batch_dims = 0);
Value matmul(const Value& a, const Value& b, bool transpose_a = false, bool transpose_b = false);
Value softmax(const Value& x, int64_t axis);
Value reduce_sum(const Value& x, int64_t axis, bool keep_dims);
/// 0, 1, ... n-1 as i32; `n` is an i32 scalar.
Value range(const Value& n);
/// x / sqrt(mean(x^2) + eps) * weight over the last axis, in the form that plugins fuse. Not x * (1 / sqrt(...)): where OpenVINO 2025.4 and 2026.1 do
/// not fuse the whole, they append the division to the mean with its operands exchanged.
Value rms_norm(const Value& x, const Value& weight, double eps);
/// Indices (i32) of the largest k along an axis, ordered by value, equal values by index. For a small k: the CPU plugin compares every element with every one
/// of the k where they have to be in that order.
Value top_k(const Value& x, const Value& k, int64_t axis);
/// Boolean, as x: true for the elements that top_k() would name; for any k.
Value largest_mask(const Value& x, const Value& k, int64_t axis);
/// Places (i32 [n]) of x (i32 [n], none negative, each at most (2^31 - 1) / n - 1) in ascending order, equal ones by place; `n` is an i32 scalar.
Value ascending(const Value& x, const Value& n);

}  // namespace dsv4::nodes
