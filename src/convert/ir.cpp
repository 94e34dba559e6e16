// Serialising a graph of StoredConstants to IR text.
#include "convert/ir.h"

#include <charconv>
#include <sstream>
#include <string_view>

#include "dsv4/error.h"
#include "openvino/pass/serialize.hpp"

namespace dsv4 {

namespace {

constexpr std::string_view kStored = "type=\"StoredConstant\" version=\"dsv4\"";
constexpr std::string_view kConst = "type=\"Const\" version=\"opset1\"";
constexpr std::string_view kOffset = " offset=\"";

// The line of a <data .../> with `offset` added to its offset attribute.
std::string shifted(std::string_view line, uint64_t offset) {
  const size_t begin = line.find(kOffset);
  if (begin == std::string_view::npos) fail("OpenVINO serialised a Const layer without an offset: ", line);
  const size_t digits = begin + kOffset.size(), end = line.find('"', digits);
  uint64_t value = 0;
  std::from_chars(line.data() + digits, line.data() + end, value);
  return concat(line.substr(0, digits), value + offset, line.substr(end));
}

}  // namespace

IrText serialize_ir(const std::shared_ptr<ov::Model>& model, uint64_t offset) {
  std::ostringstream xml, bin;
  ov::pass::Serialize(xml, bin).run_on_model(model);

  // Layer by layer: a StoredConstant becomes a Const where it says; a Const of the graph moves behind the weights. The serialiser writes one
  // element a line, and <data> follows the <layer> that it belongs to.
  const std::string text = std::move(xml).str();
  std::string out;
  out.reserve(text.size());
  enum class Layer { kOther, kStored, kConst } layer = Layer::kOther;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.find("<layer ") != std::string::npos) {
      const size_t stored = line.find(kStored);
      layer = stored != std::string::npos ? Layer::kStored : line.find(kConst) != std::string::npos ? Layer::kConst : Layer::kOther;
      if (stored != std::string::npos) line.replace(stored, kStored.size(), kConst);
    } else if (layer == Layer::kConst && line.find("<data ") != std::string::npos) {
      line = shifted(line, offset);
    }
    out += line;
    out += '\n';
  }
  return {std::move(out), std::move(bin).str()};
}

}  // namespace dsv4
