// What both programs' sequences do alike.
#include "runtime/sequence.h"

#include "dsv4/error.h"

namespace dsv4 {

Sequence::Sequence(const LoadedModel& model) : model_(model), request_(ov::CompiledModel(model.compiled).create_infer_request()) {}

void Sequence::run(ov::InferRequest& request) {
  try {
    request.infer();
  } catch (const ov::Exception& e) {
    fail("inference failed: ", first_line(e.what()));
  }
}

void Sequence::fill_with_noise(int64_t) { fail("the portable program cannot start in the middle of a sequence; use the CPU program"); }

}  // namespace dsv4
