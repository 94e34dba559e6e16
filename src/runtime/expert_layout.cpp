// Extents of experts and their windows.
#include "runtime/expert_layout.h"

#include <algorithm>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

using ops::ExpertPart;
using ops::PackedMatrix;

/// Bytes [begin, end) of the file that hold a tensor of one matrix of a stack.
struct Extent {
  uint64_t begin = 0, end = 0;
};

/// Of the matrix' zero points, the first that begins a byte: 4-bit ones may begin and end inside of one.
int64_t whole_zero_point(const PackedMatrix& matrix) {
  return is_four_bits(matrix.type) ? matrix.first_zero_point & ~int64_t{1} : matrix.first_zero_point;
}

/// Of codes, scales and zero points; empty for those that it does not have.
std::array<Extent, 3> extents_of(const StackedWeights& stack, int64_t expert) {
  const PackedMatrix m = stack.mapped.at(expert);
  const auto extent = [](uint64_t stack_begin, int64_t skipped, int64_t bytes) {
    const uint64_t begin = stack_begin + static_cast<uint64_t>(skipped);
    return Extent{begin, begin + static_cast<uint64_t>(bytes)};
  };
  std::array<Extent, 3> extents = {extent(stack.codes, m.codes - stack.mapped.codes, m.rows * m.row_bytes()), Extent{}, Extent{}};
  if (m.scales) extents[1] = extent(stack.scales, m.scales - stack.mapped.scales, m.scale_bytes());
  if (m.zero_points) {
    const int64_t begin = bytes_of(m.type, whole_zero_point(m));
    extents[2] = extent(stack.zero_points, begin, bytes_of(m.type, m.first_zero_point + m.rows * m.groups()) - begin);
  }
  return extents;
}

}  // namespace

ExpertLayout::ExpertLayout(std::vector<ExpertStacks> layers, size_t alignment) : layers_(std::move(layers)), alignment_(alignment) {
  if (layers_.empty()) fail("the model has no routed experts");
  experts_ = static_cast<size_t>(layers_.front().gate_up.mapped.count);
  for (const ExpertStacks& layer : layers_) {
    if (static_cast<size_t>(layer.gate_up.mapped.count) != experts_ || static_cast<size_t>(layer.down.mapped.count) != experts_)
      fail("the layers have different numbers of routed experts");
  }
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    for (size_t expert = 0; expert < experts_; ++expert) {
      size_t bytes = 0;
      for (const Window& window : windows(layer, expert)) bytes += window.end - window.begin;
      slot_bytes_ = std::max(slot_bytes_, bytes);
      for (const ExpertPart part : {ExpertPart::kGateUp, ExpertPart::kDown})
        expert_bytes_ += static_cast<uint64_t>(mapped(layer, expert, part).bytes());
    }
  }
}

ExpertLayout::Windows ExpertLayout::windows(size_t layer, size_t expert) const {
  Windows result;
  size_t at = 0;
  for (const ExpertPart part : {ExpertPart::kGateUp, ExpertPart::kDown}) {
    for (const Extent& extent : extents_of(stack(layer, part), static_cast<int64_t>(expert))) {
      if (extent.begin == extent.end) continue;
      const uint64_t begin = extent.begin / alignment_ * alignment_, end = (extent.end + alignment_ - 1) / alignment_ * alignment_;
      result.list[result.count++] = {begin, end, extent.end, at, part};
      at += end - begin;
    }
  }
  return result;
}

PackedMatrix ExpertLayout::in_slot(size_t layer, size_t expert, ExpertPart part, const std::byte* slot) const {
  PackedMatrix m = mapped(layer, expert, part);
  const std::array<Extent, 3> extents = extents_of(stack(layer, part), static_cast<int64_t>(expert));
  size_t tensor = 0;
  for (const Window& window : windows(layer, expert)) {
    if (window.part != part) continue;
    while (extents[tensor].begin == extents[tensor].end) ++tensor;  // the tensors that it does not have
    const std::byte* begin = slot + window.at + (extents[tensor].begin - window.begin);
    if (tensor == 0) m.codes = begin;
    if (tensor == 1) m.scales = begin;
    if (tensor == 2) {
      m.zero_points = begin;
      m.first_zero_point -= whole_zero_point(m);
    }
    ++tensor;
  }
  return m;
}

PackedMatrix ExpertLayout::mapped(size_t layer, size_t expert, ExpertPart part) const {
  return stack(layer, part).mapped.at(static_cast<int64_t>(expert));
}

}  // namespace dsv4
