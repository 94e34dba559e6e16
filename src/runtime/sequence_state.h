// What a session asks of a program: inferences on the state of one sequence.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "dsv4/session.h"
#include "runtime/checked_request.h"
#include "runtime/loaded_model.h"

namespace dsv4 {

/// Tokens are checked by the session before they come here, and so is that a snapshot is one of this model and not damaged.
class SequenceState {
 public:
  explicit SequenceState(const LoadedModel& model) : model_(model), request_(model.compiled) {}
  virtual ~SequenceState() = default;

  /// The tokens after the first `position` ones; appends the logits of the last `rows` of them, [rows,V]. Error when the inference fails: a program with
  /// state then has one that nobody knows, the prefill-only form is as it was.
  virtual void infer(std::span<const int64_t> tokens, int64_t position, int64_t rows, std::vector<float>& logits) = 0;
  /// Rows of a piece of `length` tokens that its logits are returned for; `last`: it is the last piece of what was fed.
  virtual int64_t rows_of(int64_t length, bool last) const = 0;
  /// An empty sequence, whatever happened before.
  virtual void reset() = 0;
  virtual void save(Snapshot& snapshot) = 0;
  /// Checks the states of a snapshot, takes the memory for them, and returns what sets them, which does not fail. Error for those that do not fit; nothing
  /// has changed before the function that is returned runs. It refers to the snapshot.
  virtual std::function<void()> prepare(const Snapshot& snapshot) = 0;
  virtual void fill_with_noise(int64_t position);

 protected:
  const LoadedModel& model_;
  CheckedRequest request_;
};

std::unique_ptr<SequenceState> make_portable_state(const LoadedModel& model);
std::unique_ptr<SequenceState> make_cpu_state(const LoadedModel& model);

}  // namespace dsv4
