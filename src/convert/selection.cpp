// NNCF's mixed-precision rules (nncf 3.4.0, WeightCompression.get_weight_compression_parameters) over the units of a DeepSeek-V4 model.
#include "convert/selection.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "checkpoint/names.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr int64_t kSmallestAdjustedGroup = 32;  // NNCF's min_adjusted_group_size

ov::Shape to_ov_shape(const Shape& shape) { return ov::Shape(shape.begin(), shape.end()); }

WeightUse use_of(const TensorSpec& spec) {
  if (spec.published == NumberFormat::kI64) return WeightUse::kExpertIds;
  if (spec.shape.size() < 2 || spec.name.ends_with(".ape")) return WeightUse::kExact;
  if (spec.name == "embed.weight") return WeightUse::kEmbedding;
  return spec.name == "head.weight" ? WeightUse::kHead : WeightUse::kMatrix;
}

WeightPart whole(const std::string& tensor, const Shape& shape) { return {tensor, 0, shape.size() < 2 ? 1 : shape[0]}; }

// What the weight is where no compression touches it.
NumberFormat float_format(const WeightUnit& unit, const CompressionOptions& options) {
  if (unit.use == WeightUse::kExpertIds) return NumberFormat::kI32;
  // NumberFormat in float32, or a norm: never trained to be coarse, and too small to matter. NNCF leaves the float32 model's constants as they are.
  const bool f32 = unit.use == WeightUse::kExact || unit.published == NumberFormat::kF32 || options.format == WeightFormat::kFp32 ||
                   (is_compressed(options.format) && options.selection == Selection::kNncf);
  return f32 ? NumberFormat::kF32 : NumberFormat::kF16;
}

bool is_candidate(const WeightUnit& unit, Selection selection) {
  if (unit.use == WeightUse::kExact || unit.use == WeightUse::kExpertIds) return false;
  if (selection == Selection::kNncf || unit.use == WeightUse::kEmbedding || unit.use == WeightUse::kHead) return true;
  return unit.published == NumberFormat::kF8E4M3 || unit.published == NumberFormat::kF4E2M1;
}

std::optional<StoredFormat> backup_form(BackupPrecision backup) {
  if (backup == BackupPrecision::kNone) return std::nullopt;
  return StoredFormat{backup == BackupPrecision::kInt8Sym ? NumberFormat::kI8 : NumberFormat::kU8};
}

// The group size for a row of `columns`, by the fallback's rule; nothing: not in groups.
std::optional<int64_t> adjusted_group(int64_t columns, int64_t group) {
  if (group < 0 || columns % group == 0) return group;
  const int64_t power = columns & -columns;  // the largest power of two that divides it
  if (power >= kSmallestAdjustedGroup) return power;
  return std::nullopt;
}

// Indices of `members` that become INT4: from the least sensitive on, while they stay below the asked share of all their weights.
std::vector<size_t> within_ratio(const std::vector<WeightUnit>& units, const std::vector<size_t>& members, double ratio,
                                 const std::function<float(const WeightUnit&)>& error_of) {
  std::vector<double> score;
  double all = 0.0;
  for (const size_t i : members) {
    score.push_back(1.0 / (static_cast<double>(error_of(units[i])) + static_cast<double>(std::numeric_limits<float>::epsilon())));
    all += static_cast<double>(ov::shape_size(units[i].shape));
  }
  std::vector<size_t> order(members.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return score[a] < score[b]; });
  std::vector<size_t> taken;
  double weights = 0.0;
  for (const size_t at : order) {
    weights += static_cast<double>(ov::shape_size(units[members[at]].shape));
    if (weights / all >= ratio) break;
    taken.push_back(members[at]);
  }
  return taken;
}

void refuse_group(const std::vector<WeightUnit>& units, const std::vector<size_t>& bad, int64_t group) {
  const WeightUnit& first = units[bad.front()];
  fail("--group-size ", group, " does not divide the rows of ", bad.size(), bad.size() == 1 ? " weight" : " weights", ", first ",
       first.name, " with ", first.columns(), " inputs; choose a group size that does, or --group-size-fallback adjust or ignore");
}

void choose_int4(const std::vector<WeightUnit>& units, const std::vector<size_t>& candidates, const CompressionOptions& options,
                 const std::function<float(const WeightUnit&)>& error_of, std::vector<StoredFormat>& forms) {
  const std::optional<StoredFormat> backup = backup_form(options.backup);
  for (const size_t i : candidates) forms[i] = backup.value_or(forms[i]);

  // The weights that may become INT4: matrix products but for the last, and with --all-layers everything, embeddings behind them.
  std::vector<size_t> members;
  for (const size_t i : candidates) {
    if (units[i].use == WeightUse::kMatrix || units[i].use == WeightUse::kExperts) members.push_back(i);
    if (units[i].use == WeightUse::kHead && options.all_layers) members.push_back(i);
  }
  if (options.all_layers) {
    for (const size_t i : candidates) {
      if (units[i].use == WeightUse::kEmbedding) members.push_back(i);
    }
  }

  const NumberFormat type = options.symmetric ? NumberFormat::kI4 : NumberFormat::kU4;
  std::vector<size_t> fitting, bad;
  std::vector<StoredFormat> primary(units.size());
  for (const size_t i : members) {
    const bool fits = options.group_size < 0 || units[i].columns() % options.group_size == 0;
    std::optional<int64_t> group = options.group_size;
    if (!fits && options.fallback == GroupSizeFallback::kAdjust) group = adjusted_group(units[i].columns(), options.group_size);
    if (!fits && options.fallback == GroupSizeFallback::kIgnore) {
      forms[i] = {float_format(units[i], options)};
      continue;
    }
    if (!group) continue;  // it keeps the backup precision
    if (!fits && options.fallback == GroupSizeFallback::kError) bad.push_back(i);
    primary[i] = {type, *group};
    fitting.push_back(i);
  }
  const std::vector<size_t> taken = options.ratio < 1.0 ? within_ratio(units, fitting, options.ratio, error_of) : fitting;
  std::vector<size_t> refused;
  for (const size_t i : bad) {
    if (std::find(taken.begin(), taken.end(), i) != taken.end()) refused.push_back(i);
  }
  if (!refused.empty()) refuse_group(units, refused, options.group_size);
  for (const size_t i : taken) forms[i] = primary[i];
}

}  // namespace

std::vector<WeightUnit> weight_units(const Config& config, const std::vector<TensorSpec>& table) {
  std::vector<WeightUnit> units;
  const int64_t experts = config.n_routed_experts, d = config.hidden_size, width = config.moe_intermediate_size;
  for (const TensorSpec& spec : table) {
    if (spec.mtp) continue;
    if (const std::optional<ExpertName> expert = parse_expert_name(spec.name)) {
      if (expert->expert == 0 && expert->matrix == 1) {  // the first of a layer: its two stacks begin
        units.push_back(
            {gate_up_stack_name(expert->block()), WeightUse::kExperts, spec.published, to_ov_shape({experts, 2 * width, d}), {}});
        units.push_back({down_stack_name(expert->block()), WeightUse::kExperts, spec.published, to_ov_shape({experts, d, width}), {}});
      }
      WeightUnit& stack = units[units.size() - (expert->matrix == 2 ? 1 : 2)];  // gate rows, then up rows of one expert; down rows
      stack.parts.push_back(whole(spec.name, spec.shape));
    } else if (spec.name.ends_with(".attn.wo_a.weight") && config.o_groups > 1) {
      const int64_t rows = spec.shape[0] / config.o_groups;
      for (int64_t g = 0; g < config.o_groups; ++g) {
        const WeightPart part = {spec.name, g * rows, (g + 1) * rows};
        units.push_back({row_group_name(spec.name, g), WeightUse::kMatrix, spec.published, to_ov_shape({rows, spec.shape[1]}), {part}});
      }
    } else {
      units.push_back({spec.name, use_of(spec), spec.published, to_ov_shape(spec.shape), {whole(spec.name, spec.shape)}});
    }
  }
  return units;
}

std::vector<StoredFormat> choose_forms(const std::vector<WeightUnit>& units, const CompressionOptions& options,
                                       const std::function<float(const WeightUnit&)>& error_of) {
  std::vector<StoredFormat> forms;
  for (const WeightUnit& unit : units) forms.push_back({float_format(unit, options)});
  if (!is_compressed(options.format)) return forms;

  std::vector<size_t> candidates;
  for (size_t i = 0; i < units.size(); ++i) {
    if (is_candidate(units[i], options.selection)) candidates.push_back(i);
  }
  if (options.format == WeightFormat::kInt4) {
    choose_int4(units, candidates, options, error_of, forms);
    return forms;
  }
  const std::optional<StoredFormat> int8 = options.format == WeightFormat::kMxfp4
                                               ? backup_form(options.backup)
                                               : backup_form(options.symmetric ? BackupPrecision::kInt8Sym : BackupPrecision::kInt8Asym);
  for (const size_t i : candidates) {
    const bool kept = options.format == WeightFormat::kMxfp4 && units[i].use == WeightUse::kExperts;
    forms[i] = kept ? StoredFormat{NumberFormat::kF4E2M1} : int8.value_or(forms[i]);
  }
  return forms;
}

}  // namespace dsv4
