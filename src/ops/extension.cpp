// The list of ops.
#include "ops/extension.h"

#include "openvino/core/op_extension.hpp"
#include "ops/attention/attention.h"
#include "ops/embed/embed.h"
#include "ops/experts/experts.h"
#include "ops/hyper_connect/hyper_connect.h"
#include "ops/linear/linear.h"
#include "ops/sequences/sequences.h"
#include "ops/values/values.h"

namespace dsv4::ops {

std::vector<ov::Extension::Ptr> ops_extensions() {
  return {std::make_shared<ov::OpExtension<Embed>>(),
          std::make_shared<ov::OpExtension<HyperConnect>>(),
          std::make_shared<ov::OpExtension<HyperConnectHead>>(),
          std::make_shared<ov::OpExtension<Attention>>(),
          std::make_shared<ov::OpExtension<Experts>>(),
          std::make_shared<ov::OpExtension<Linear>>(),
          std::make_shared<ov::OpExtension<Values>>(),
          std::make_shared<ov::OpExtension<Sequences>>(),
          std::make_shared<ov::OpExtension<SequenceStart>>(),
          std::make_shared<ov::OpExtension<WantedColumns>>()};
}

}  // namespace dsv4::ops
