// What a session asks of a program: inferences on the state of one sequence.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dsv4/session.h"
#include "openvino/runtime/infer_request.hpp"
#include "runtime/loaded_model.h"

namespace dsv4 {

/// Tokens are checked by the session before they come here, and so is that a snapshot's position fits.
class SequenceState {
 public:
  explicit SequenceState(const LoadedModel& model);
  virtual ~SequenceState() = default;

  /// The tokens after the first `position` ones; appends the logits of the last `rows` of them, [rows,V].
  virtual void infer(std::span<const int64_t> tokens, int64_t position, int64_t rows, std::vector<float>& logits) = 0;
  /// Rows of a piece of `length` tokens that its logits are returned for; `last`: it is the last piece of what was fed.
  virtual int64_t rows_of(int64_t length, bool last) const = 0;
  virtual void reset() = 0;
  virtual void save(Snapshot& snapshot) = 0;
  /// Error for a snapshot that does not fit, before anything changes.
  virtual void restore(const Snapshot& snapshot) = 0;
  virtual void fill_with_noise(int64_t position);

 protected:
  static void run(ov::InferRequest& request);  // infer, with OpenVINO's exceptions as Errors
  const LoadedModel& model_;
  ov::InferRequest request_;
};

std::unique_ptr<SequenceState> make_portable_state(const LoadedModel& model);
std::unique_ptr<SequenceState> make_cpu_state(const LoadedModel& model);

}  // namespace dsv4
