// Names of the compression options.
#include "convert/weight_format.h"

#include <array>
#include <utility>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

template <class T, size_t N>
using Names = std::array<std::pair<const char*, T>, N>;

constexpr Names<WeightFormat, 6> kFormats = {{{"fp32", WeightFormat::kFp32},
                                              {"fp16", WeightFormat::kFp16},
                                              {"int8", WeightFormat::kInt8},
                                              {"int4", WeightFormat::kInt4},
                                              {"mxfp4", WeightFormat::kMxfp4},
                                              {"published", WeightFormat::kPublished}}};
constexpr Names<Selection, 2> kSelections = {{{"trained", Selection::kTrained}, {"nncf", Selection::kNncf}}};
constexpr Names<GroupSizeFallback, 3> kFallbacks = {
    {{"error", GroupSizeFallback::kError}, {"ignore", GroupSizeFallback::kIgnore}, {"adjust", GroupSizeFallback::kAdjust}}};
constexpr Names<BackupPrecision, 3> kBackups = {
    {{"none", BackupPrecision::kNone}, {"int8_sym", BackupPrecision::kInt8Sym}, {"int8_asym", BackupPrecision::kInt8Asym}}};

template <class T, size_t N>
T parse(const char* flag, const Names<T, N>& names, const std::string& text) {
  std::string known;
  for (const auto& [name, value] : names) {
    if (text == name) return value;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  throw UsageError(concat(flag, " ", text, ": unknown; expected one of ", known));
}

template <class T, size_t N>
std::string name_of(const Names<T, N>& names, T value) {
  for (const auto& [name, known] : names) {
    if (known == value) return name;
  }
  fail("option value ", static_cast<int>(value), " has no name; this is a mistake in dsv4");
}

}  // namespace

WeightFormat parse_weight_format(const std::string& text) { return parse("--weight-format", kFormats, text); }
Selection parse_selection(const std::string& text) { return parse("--selection", kSelections, text); }
GroupSizeFallback parse_group_size_fallback(const std::string& text) { return parse("--group-size-fallback", kFallbacks, text); }
BackupPrecision parse_backup_precision(const std::string& text) { return parse("--backup-precision", kBackups, text); }

std::vector<std::string> weight_format_names() {
  std::vector<std::string> names;
  for (const auto& [name, format] : kFormats) names.emplace_back(name);
  return names;
}

std::string weight_format_name(WeightFormat format) { return name_of(kFormats, format); }
std::string selection_name(Selection selection) { return name_of(kSelections, selection); }
std::string group_size_fallback_name(GroupSizeFallback fallback) { return name_of(kFallbacks, fallback); }
std::string backup_precision_name(BackupPrecision backup) { return name_of(kBackups, backup); }

bool is_compressed(WeightFormat format) {
  return format == WeightFormat::kInt8 || format == WeightFormat::kInt4 || format == WeightFormat::kMxfp4;
}

std::string describe(const CompressionOptions& o) {
  std::string text = weight_format_name(o.format);
  if (!is_compressed(o.format)) return text;
  text += o.symmetric ? ", symmetric" : ", asymmetric";
  if (o.format == WeightFormat::kInt4) {
    text += o.group_size > 0 ? concat(", groups of ", o.group_size) : ", a scale a row";
    if (o.fallback != GroupSizeFallback::kError) text += concat(" (fallback ", group_size_fallback_name(o.fallback), ")");
    text += concat(", ratio ", o.ratio, ", backup ", backup_precision_name(o.backup));
    if (o.all_layers) text += ", all layers";
  }
  return text + concat(", ", selection_name(o.selection), " selection");
}

}  // namespace dsv4
