// What both programs' sequences do alike.
#include "runtime/sequence_state.h"

#include "dsv4/error.h"

namespace dsv4 {

void SequenceState::fill_with_noise(int64_t) { fail("the portable program cannot start in the middle of a sequence; use the CPU program"); }

}  // namespace dsv4
