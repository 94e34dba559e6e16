// Which bytes of the .bin an expert is made of, and where each of them lies in a slot of the cache, so that direct reads land in place.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/experts/expert_source.h"
#include "ops/matrix/packed_matrix.h"

namespace dsv4 {

/// A stack of matrices where it is mapped, and the offsets of its tensors in the file.
struct StackedWeights {
  ops::PackedMatrix mapped;  ///< E x [out,in]
  uint64_t codes = 0, scales = 0, zero_points = 0;
};

/// The routed experts of a layer.
struct ExpertStacks {
  StackedWeights gate_up, down;
};

/// Parts of an expert (codes, scales and zero points of two matrices) lie far apart in the file and begin anywhere. A direct read takes whole blocks of `alignment`
/// bytes: the *window* of a part. In a slot the windows follow each other, so that no two overlap and each part has the residue that it has in the file.
class ExpertLayout {
 public:
  struct Window {
    uint64_t begin = 0, end = 0;  ///< in the file, whole blocks
    uint64_t needed = 0;          ///< end of the part
    size_t at = 0;                ///< of `begin` in the slot
    ops::ExpertPart part = ops::ExpertPart::kGateUp;
  };
  struct Windows {
    std::array<Window, 6> list;
    size_t count = 0;
    const Window* begin() const { return list.data(); }
    const Window* end() const { return list.data() + count; }
  };

  /// Error when the layers have different numbers of experts.
  ExpertLayout(std::vector<ExpertStacks> layers, size_t alignment);

  size_t layers() const { return layers_.size(); }
  size_t experts() const { return experts_; }  ///< of a layer
  size_t alignment() const { return alignment_; }
  size_t slot_bytes() const { return slot_bytes_; }        ///< whole blocks: those of the largest expert
  uint64_t expert_bytes() const { return expert_bytes_; }  ///< of all experts of all layers, as they are stored

  Windows windows(size_t layer, size_t expert) const;
  /// The matrix as it lies in a slot that its windows were read into, or in the mapped file.
  ops::PackedMatrix in_slot(size_t layer, size_t expert, ops::ExpertPart part, const std::byte* slot) const;
  ops::PackedMatrix mapped(size_t layer, size_t expert, ops::ExpertPart part) const;

 private:
  const StackedWeights& stack(size_t layer, ops::ExpertPart part) const {
    return part == ops::ExpertPart::kGateUp ? layers_[layer].gate_up : layers_[layer].down;
  }

  std::vector<ExpertStacks> layers_;
  size_t alignment_;
  size_t experts_ = 0, slot_bytes_ = 0;
  uint64_t expert_bytes_ = 0;
};

}  // namespace dsv4
