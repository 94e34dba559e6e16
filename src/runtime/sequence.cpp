// What both programs' sequences do alike.
#include "runtime/sequence.h"

#include "dsv4/error.h"

namespace dsv4 {

Sequence::Sequence(const LoadedModel& model) : model_(model), request_(ov::CompiledModel(model.compiled).create_infer_request()) {}

void Sequence::run() {
  try {
    request_.infer();
  } catch (const ov::Exception& e) {
    fail("inference failed: ", first_line(e.what()));
  }
}

void Sequence::fill_with_noise(int64_t) { fail("the portable program cannot start in the middle of a sequence; use the CPU program"); }

std::map<std::string, double> Sequence::time_by_op() const {
  std::map<std::string, double> seconds;
  for (const ov::ProfilingInfo& node : request_.get_profiling_info()) {
    if (node.status == ov::ProfilingInfo::Status::EXECUTED)
      seconds[node.node_type] += std::chrono::duration<double>(node.real_time).count();
  }
  return seconds;
}

}  // namespace dsv4
