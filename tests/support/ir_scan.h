// The Const layers of an openvino_model.xml, picked out of the text without OpenVINO.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <string>
#include <vector>

namespace dsv4::testing_support {

struct IrConstant {
  std::string type;  ///< "f32", "f16", "i32", ...
  std::vector<int64_t> shape;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

/// Name -> constant, those of the bodies of loops too (their names may repeat: the last one stays).
inline std::map<std::string, IrConstant> scan_constants(const std::string& xml) {
  std::map<std::string, IrConstant> constants;
  static const std::regex attribute(R"rx((\w+)="([^"]*)")rx");
  const auto attributes = [](const std::string& text) {
    std::map<std::string, std::string> found;
    for (std::sregex_iterator it(text.begin(), text.end(), attribute), end; it != end; ++it) found[(*it)[1]] = (*it)[2];
    return found;
  };
  for (size_t at = xml.find("<layer "); at != std::string::npos; at = xml.find("<layer ", at + 1)) {
    const std::string layer = xml.substr(at, xml.find('>', at) - at);
    if (layer.find("type=\"Const\"") == std::string::npos) continue;
    const size_t data = xml.find("<data ", at);
    const auto values = attributes(xml.substr(data, xml.find('>', data) - data));
    IrConstant constant;
    constant.type = values.at("element_type");
    const std::string dims = values.at("shape");
    for (size_t begin = dims.find_first_not_of(", "); begin != std::string::npos;
         begin = dims.find_first_not_of(", ", dims.find(',', begin))) {
      constant.shape.push_back(std::stoll(dims.substr(begin)));
      if (dims.find(',', begin) == std::string::npos) break;
    }
    constant.offset = std::stoull(values.at("offset"));
    constant.bytes = std::stoull(values.at("size"));
    constants[attributes(layer).at("name")] = constant;
  }
  return constants;
}

}  // namespace dsv4::testing_support
