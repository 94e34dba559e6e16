// The .xml of a model whose weights are StoredConstants, for a .bin that is written on its own.
#pragma once

#include <memory>
#include <string>

#include "openvino/core/model.hpp"

namespace dsv4 {

struct IrText {
  std::string xml;  ///< complete openvino_model.xml
  std::string
      small_constants;  ///< bytes of the constants that are part of the graph (shapes, indices), to be stored at `offset` of the .bin
};

/// `offset`: where in the .bin the small constants will lie; StoredConstants keep the offsets that they carry.
IrText serialize_ir(const std::shared_ptr<ov::Model>& model, uint64_t offset);

}  // namespace dsv4
