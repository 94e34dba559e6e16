// The weights of a folder for the CPU program: the constants of its IR by name, read where they are mapped, locked there, or copied.
#pragma once

#include <memory>
#include <string>

#include "dsv4/engine.h"
#include "files/lazy_memory.h"
#include "graph/cpu/cpu.h"
#include "runtime/constants.h"

namespace dsv4 {

/// The constants that it gives out own what they need: the map, the lock or the copy.
class ModelWeights final : public PackedWeights {
 public:
  /// Error when a copy would not fit into the memory that is available. (No message names the folder: the caller puts it in front.)
  ModelWeights(const ov::Model& ir, WeightMemory memory);

  ov::OutputVector stored(const std::string& name) override;
  /// Of routed experts: kStream leaves them where they are mapped, for what they are leased from.
  ov::OutputVector stored_stack(const std::string& name, int64_t count, int64_t rows, int64_t cols) override;

  int64_t copied_bytes() const { return copied_; }

 private:
  using Constant = ov::op::v0::Constant;

  ov::OutputVector stored_in(const std::string& name, WeightMemory memory);
  std::shared_ptr<Constant> placed(const Constant& constant, ov::element::Type type, const ov::Shape& shape, WeightMemory memory);

  Constants constants_;
  WeightMemory memory_;
  std::shared_ptr<LazyMemory> copies_;  // kLoad, kStream
  int64_t copied_ = 0;
};

}  // namespace dsv4
