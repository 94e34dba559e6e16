// The Const layers of an openvino_model.xml, picked out of the text without OpenVINO.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace dsv4::testing_support {

struct IrConstant {
  std::string type;  ///< "f32", "f16", "i32", ...
  std::vector<int64_t> shape;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

/// The value of an attribute of an element's text.
inline std::string attribute(const std::string& element, const std::string& name) {
  const std::string before = " " + name + "=\"";
  const size_t begin = element.find(before);
  if (begin == std::string::npos) throw std::runtime_error("no attribute " + name + " in " + element);
  const size_t value = begin + before.size();
  return element.substr(value, element.find('"', value) - value);
}

/// Name -> constant, those of the bodies of loops too (their names may repeat: the last one stays).
inline std::map<std::string, IrConstant> scan_constants(const std::string& xml) {
  std::map<std::string, IrConstant> constants;
  for (size_t at = xml.find("<layer "); at != std::string::npos; at = xml.find("<layer ", at + 1)) {
    const std::string layer = xml.substr(at, xml.find('>', at) - at);
    if (layer.find("type=\"Const\"") == std::string::npos) continue;
    const size_t data = xml.find("<data ", at);
    const std::string values = xml.substr(data, xml.find('>', data) - data);
    IrConstant constant;
    constant.type = attribute(values, "element_type");
    const std::string dims = attribute(values, "shape");
    for (size_t begin = dims.find_first_not_of(", "); begin != std::string::npos;
         begin = dims.find_first_not_of(", ", dims.find(',', begin))) {
      constant.shape.push_back(std::stoll(dims.substr(begin)));
      if (dims.find(',', begin) == std::string::npos) break;
    }
    constant.offset = std::stoull(attribute(values, "offset"));
    constant.bytes = std::stoull(attribute(values, "size"));
    constants[attribute(layer, "name")] = constant;
  }
  return constants;
}

}  // namespace dsv4::testing_support
