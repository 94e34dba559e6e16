// What both programs' sequences do alike.
#include "runtime/sequence_state.h"

#include "dsv4/error.h"

namespace dsv4 {

SequenceState::SequenceState(const LoadedModel& model)
    : model_(model), request_(ov::CompiledModel(model.compiled).create_infer_request()) {}

void SequenceState::run(ov::InferRequest& request) {
  try {
    request.infer();
  } catch (const ov::Exception& e) {
    fail("inference failed: ", first_line(e.what()));
  }
}

void SequenceState::fill_with_noise(int64_t) { fail("the portable program cannot start in the middle of a sequence; use the CPU program"); }

}  // namespace dsv4
