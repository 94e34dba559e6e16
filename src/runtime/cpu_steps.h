// The inferences of the CPU program: all sessions of an engine share its compiled forms, one for any number of rows and some for few.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "openvino/core/model.hpp"
#include "openvino/runtime/core.hpp"
#include "runtime/checked_inference.h"
#include "runtime/turns.h"

namespace dsv4 {

/// With shapes that are known the plugin need not infer them at every call, which takes longer than a small model's arithmetic (it clones every op of its own for
/// that). So calls of 1, 2, 4 and 8 rows have forms of their own; but for one row they are compiled when they are first wanted, while the form for any number of
/// rows goes on serving.
class CpuSteps {
 public:
  /// Compiles `program` (graph/cpu/cpu.h). `one_at_a_time`: no two inferences at once, whatever their shapes.
  CpuSteps(const std::shared_ptr<ov::Model>& program, const ov::AnyMap& properties, bool one_at_a_time);
  ~CpuSteps();

  /// A sequence's part of a call. The logits of the last `logit_rows` of its tokens are appended.
  struct Part {
    std::span<const int64_t> tokens;
    int64_t position = 0;
    int32_t slot = 0;
    int64_t logit_rows = 0;
    std::vector<float>* logits = nullptr;
  };
  /// One inference. Calls that use the same form take turns, in the order in which they come. Error when it fails; no logits were appended then.
  void infer(std::span<const Part> parts);

  const ov::CompiledModel& any_rows() const { return any_.compiled; }

  static constexpr std::array<int64_t, 4> kFewRows = {1, 2, 4, 8};
  /// For tests: waits for the form of so many rows, one of kFewRows; false when it could not be compiled.
  bool wait_for_form(int64_t rows);

 private:
  struct Form {
    Form(ov::CompiledModel model, int64_t rows);

    ov::CompiledModel compiled;
    int64_t rows;  ///< 0: any number
    CheckedInference inference;
    ov::Tensor ids, runs, logit_rows;
    Turns turns;
  };
  struct FewRows {
    std::unique_ptr<Form> form;  ///< null: not yet, or it cannot be compiled
    bool wanted = false, done = false;
    std::thread thread;
  };

  std::unique_ptr<Form> compile(int64_t rows);
  /// The form for these rows: of known shape for few of them, unless no logits are wanted.
  Form& form_for(int64_t rows, int64_t logit_rows);
  void compile_in_background(FewRows& few, int64_t rows);

  const std::shared_ptr<ov::Model> program_;
  const ov::AnyMap properties_;
  const bool one_at_a_time_;
  const int64_t vocabulary_;
  ov::Core core_;
  Form any_;
  std::mutex mutex_;  // of what follows
  std::condition_variable compiled_;
  std::array<FewRows, kFewRows.size()> few_;
};

}  // namespace dsv4
