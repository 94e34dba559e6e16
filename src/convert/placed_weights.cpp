// Places of constants, and placeholders at them.
#include "convert/placed_weights.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "checkpoint/quote.h"
#include "convert/placeholders.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

/// The value of an attribute in a line of the IR; empty when it is not there.
std::string_view attribute(std::string_view line, const std::string& name) {
  const std::string begin = concat(' ', name, "=\"");
  const size_t at = line.find(begin);
  if (at == std::string_view::npos) return {};
  const size_t first = at + begin.size(), last = line.find('"', first);
  return last == std::string_view::npos ? std::string_view() : line.substr(first, last - first);
}

uint64_t number(std::string_view text, const std::string& name) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    fail("the constant ", excerpt(name), " is at \"", excerpt(std::string(text)), "\", which is no number");
  }
  return value;
}

PlannedConstant constant_of(std::string_view data, const std::string& name) {
  PlannedConstant constant;
  constant.type = ov::element::Type(std::string(attribute(data, "element_type")));
  std::string_view shape = attribute(data, "shape");
  while (!shape.empty()) {  // "2, 3"
    const size_t comma = std::min(shape.find(','), shape.size());
    constant.shape.push_back(number(shape.substr(0, comma), name));
    shape.remove_prefix(comma);
    while (!shape.empty() && (shape.front() == ',' || shape.front() == ' ')) shape.remove_prefix(1);
  }
  constant.offset = number(attribute(data, "offset"), name);
  constant.bytes = number(attribute(data, "size"), name);
  return constant;
}

}  // namespace

PlacedConstants placed_constants(const StoragePlan& plan) {
  PlacedConstants constants;
  for (const PlannedWeight& weight : plan.weights) {
    constants.emplace(weight.unit.name, weight.values);
    if (weight.scales.bytes > 0) constants.emplace(weight.unit.name + "/scale", weight.scales);
    if (weight.zero_points.bytes > 0) constants.emplace(weight.unit.name + "/zero_point", weight.zero_points);
  }
  return constants;
}

PlacedConstants placed_constants(const std::string& xml) {
  PlacedConstants constants;
  std::string name;                              // of the layer, while it is a Const
  for (size_t begin = 0; begin < xml.size();) {  // the serialiser writes one element a line, and <data> follows its <layer>
    const size_t end = std::min(xml.find('\n', begin), xml.size());
    const std::string_view line = std::string_view(xml).substr(begin, end - begin);
    begin = end + 1;
    if (line.find("<layer ") != std::string_view::npos) {
      name = attribute(line, "type") == "Const" ? std::string(attribute(line, "name")) : std::string();
    } else if (!name.empty() && line.find("<data ") != std::string_view::npos) {
      constants.emplace(name, constant_of(line, name));
      name.clear();
    }
  }
  return constants;
}

ov::OutputVector PlacedWeights::stored(const std::string& name) {
  ov::OutputVector parts;
  for (const char* suffix : {"", "/scale", "/zero_point"}) {
    const auto found = constants_.find(name + suffix);
    if (found == constants_.end()) {
      if (parts.empty()) fail("the constant ", name, " is not there");
      continue;
    }
    const PlannedConstant& c = found->second;
    const auto node = std::make_shared<StoredConstant>(c.type, c.shape, c.offset, c.bytes);
    node->set_friendly_name(found->first);
    parts.push_back(node);
  }
  used_.insert(name);
  return parts;
}

ov::OutputVector PlacedWeights::stored_stack(const std::string& name, int64_t, int64_t, int64_t) {
  const auto found = constants_.find(name);
  if (found != constants_.end() && found->second.type == ov::element::u8 &&
      (found->second.shape.size() == 2 || found->second.shape.size() == 5)) {
    fail("its experts are stored for --experts gather; the CPU program needs a folder that was converted without it");
  }
  return stored(name);
}

std::vector<std::string> PlacedWeights::unused(const StoragePlan& plan) const {
  std::vector<std::string> names;
  for (const PlannedWeight& weight : plan.weights) {
    if (!used_.contains(weight.unit.name)) names.push_back(weight.unit.name);
  }
  return names;
}

}  // namespace dsv4
