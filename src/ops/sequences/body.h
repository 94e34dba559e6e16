// The CPU program inside of op Sequences: its ops one after another. OpenVINO's executor would make tensors of all weights at every call and clone every op.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "openvino/core/model.hpp"
#include "openvino/runtime/tensor.hpp"

namespace dsv4::ops {

/// Any thread: calls that run at once have working memory of their own.
class Body {
 public:
  /// ov::Exception, one line, for what is not the CPU program (graph/cpu/cpu.h) of this version. Holds the model, and so the memory of its constants.
  explicit Body(const std::shared_ptr<ov::Model>& model);

  int64_t vocabulary() const { return vocabulary_; }

  /// Tokens of one sequence, of which `before` are in its cache.
  struct Part {
    std::span<const int32_t> ids;  ///< [T], in the vocabulary
    int64_t before = 0;
    int32_t slot = 0;  ///< of its cache (attention/cache_pool.h)
    int64_t rows = 0;  ///< logits of the last so many tokens
  };
  /// Parts of different sequences in one call. Writes f32 [all rows,V] to `logits`, part by part. After an exception nothing is known of their caches.
  void run(std::span<const Part> parts, float* logits) const;

 private:
  struct Step {
    std::shared_ptr<ov::Node> op;
    std::vector<size_t> inputs, outputs;  // of the slots
  };
  /// Tensors by slot, and those of each step.
  struct Workspace {
    std::vector<ov::Tensor> slots;
    std::vector<ov::TensorVector> inputs, outputs;
  };

  void add_parameters();
  void add_steps();
  size_t parameter(const char* name, ov::element::Type type) const;
  std::unique_ptr<Workspace> make_workspace() const;
  /// Its three inputs.
  void fill(Workspace& workspace, std::span<const Part> parts) const;
  void put(Workspace& workspace, size_t slot, const ov::Tensor& tensor) const;

  std::shared_ptr<ov::Model> model_;
  int64_t vocabulary_ = 0;
  std::vector<Step> steps_;
  std::vector<ov::Tensor> fixed_;  // by slot: constants and what is computed from nothing; else empty
  size_t ids_ = 0, runs_ = 0, rows_ = 0, logits_ = 0;

  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> spare_;
};

}  // namespace dsv4::ops
