// Deciding the form of a weight.
#include "checkpoint/weight_form.h"

#include <algorithm>
#include <utility>

#include "checkpoint/names.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

constexpr int64_t kNvfp4Group = 16;
constexpr int64_t kCodesPerWord = 8;  // of INT4

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool is_matrix(const TensorSpec& spec) {
  return spec.published != NumberFormat::kI64 && spec.shape.size() == 2 && spec.name.ends_with(".weight");
}

[[noreturn]] void refuse_dtype(const TensorSpec& spec, const ShardTensor& weight) {
  const bool routed = parse_expert_name(spec.name).has_value();
  const char* expected = spec.published == NumberFormat::kI64   ? "I64 or I32"
                         : routed                               ? "I8 (FP4), F8_E4M3, BF16, F16 or F32"
                         : is_matrix(spec)                      ? "F8_E4M3, BF16, F16 or F32"
                         : spec.published == NumberFormat::kF32 ? "F32, BF16 or F16"
                                                                : "BF16, F16 or F32";
  fail(weight.where(), ": its dtype is ", weight.dtype_text(), ", expected ", expected, "; this form of the weight is not supported");
}

/// One value a byte under a label of bytes: FP8. Two values a byte, or a shape that is neither: FP4, whose shape is then checked.
bool holds_one_value_a_byte(const TensorSpec& spec, const WeightTensors& tensors) {
  const Shape& shape = tensors.weight->entry->shape;
  return !shape.empty() && shape.back() == spec.shape.back();
}

Encoding encoding_of_floats4(const WeightTensors& tensors) {
  const bool e4m3_scale = tensors.scale && tensors.scale->entry->dtype == DType::kF8E4M3;
  return e4m3_scale || tensors.global_scale ? Encoding::kNvfp4 : Encoding::kFp4;
}

Encoding decide_encoding(const TensorSpec& spec, const WeightTensors& tensors) {
  const ShardTensor& weight = *tensors.weight;
  const bool floats = spec.published != NumberFormat::kI64, matrix = is_matrix(spec);
  switch (weight.entry->dtype) {
    case DType::kF8E4M3:
      if (matrix && !tensors.packed) return Encoding::kFp8;
      break;
    case DType::kU8:
      if (matrix && !tensors.packed && holds_one_value_a_byte(spec, tensors)) return Encoding::kFp8;
      if (matrix) return encoding_of_floats4(tensors);
      break;
    case DType::kI8:
      if (matrix && tensors.scale && !tensors.packed && holds_one_value_a_byte(spec, tensors)) {
        fail(weight.where(), ": INT8, which is not supported; expected ", parse_expert_name(spec.name) ? "FP4 (two values a byte), " : "",
             "FP8, BF16, F16 or F32");
      }
      if (matrix) return encoding_of_floats4(tensors);
      break;
    case DType::kF4:
      if (matrix && !tensors.packed) return encoding_of_floats4(tensors);
      break;
    case DType::kI32:
      if (!floats) return Encoding::kI64;
      if (matrix && tensors.packed) return Encoding::kInt4;
      break;
    case DType::kI64:
      if (!floats) return Encoding::kI64;
      break;
    case DType::kBF16:
      if (floats && !tensors.packed) return Encoding::kBf16;
      break;
    case DType::kF16:
      if (floats && !tensors.packed) return Encoding::kF16;
      break;
    case DType::kF32:
      if (floats && !tensors.packed) return Encoding::kF32;
      break;
    default:
      break;
  }
  refuse_dtype(spec, weight);
}

/// The weight's own tensor.
ShardPart codes_of(const TensorSpec& spec, const ShardTensor& weight, Encoding encoding) {
  switch (encoding) {
    case Encoding::kFp8:
      return {spec.shape, spec.shape, DType::kF8E4M3};
    case Encoding::kFp4:
    case Encoding::kNvfp4: {
      if (spec.shape[1] % 2 != 0) {
        fail(weight.where(), ": FP4 packs two inputs a byte, but config.json gives it ", spec.shape[1], " inputs, an odd number");
      }
      const Shape packed = {spec.shape[0], spec.shape[1] / 2};
      return {weight.entry->dtype == DType::kF4 ? spec.shape : packed, packed, DType::kI8};
    }
    case Encoding::kInt4: {
      const Shape words = {spec.shape[0], ceil_div(spec.shape[1], kCodesPerWord)};
      return {words, words, DType::kI32};
    }
    default:
      return {spec.shape, spec.shape, weight.entry->dtype};
  }
}

bool is_float(DType dtype) { return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16; }

[[noreturn]] void refuse_scale(const ShardTensor& scale, const char* expected, const char* weight) {
  fail(scale.where(), ": its dtype is ", scale.dtype_text(), ", expected ", expected, " for the scale of ", weight, " weight");
}

/// What the bytes of a scale are, whatever their label.
DType scale_dtype(const ShardTensor& scale, Encoding encoding) {
  const DType dtype = scale.entry->dtype;
  switch (encoding) {
    case Encoding::kFp8:
      if (dtype == DType::kF8E8M0 || dtype == DType::kU8) return DType::kF8E8M0;
      if (is_float(dtype)) return dtype;
      refuse_scale(scale, "F8_E8M0, F32, BF16 or F16", "an FP8");
    case Encoding::kFp4:
      if (dtype == DType::kF8E8M0 || dtype == DType::kU8) return DType::kF8E8M0;
      refuse_scale(scale, "F8_E8M0", "an FP4");
    case Encoding::kNvfp4:
      if (dtype == DType::kF8E4M3 || dtype == DType::kU8) return DType::kF8E4M3;
      refuse_scale(scale, "F8_E4M3", "an NVFP4");
    default:
      if (is_float(dtype)) return dtype;
      refuse_scale(scale, "BF16, F16 or F32", "an INT4");
  }
}

/// A scale of a matrix: blocks of `rows` x `cols` share one.
struct Grid {
  int64_t rows, cols;
};

Shape scales_of(const Shape& matrix, const Grid& grid) { return {ceil_div(matrix[0], grid.rows), ceil_div(matrix[1], grid.cols)}; }

/// A scale a row may lack its last dim, one for the whole matrix both.
bool has_shape(const Shape& stored, const Shape& scales) {
  if (stored == scales) return true;
  if (scales[1] != 1) return false;
  return stored == Shape{scales[0]} || (stored.empty() && scales[0] == 1);
}

/// The grids that a form's scales may have, the usual one first.
std::vector<Grid> possible_grids(const Config& config, const TensorSpec& spec, const ShardTensor& scale, Encoding encoding, bool stacked) {
  const Grid whole_rows = {1, spec.shape[1]}, whole_matrix = {spec.shape[0], spec.shape[1]};
  switch (encoding) {
    case Encoding::kFp4:
      return {{1, kFp4Group}};
    case Encoding::kNvfp4:
      return {{1, kNvfp4Group}};
    case Encoding::kFp8: {
      const Grid blocks = {config.fp8_block_rows, config.fp8_block_cols};
      if (stacked) return {blocks};
      return {blocks, whole_rows, whole_matrix};
    }
    default:
      break;
  }
  std::vector<Grid> grids;
  for (const Int4Group& group : config.int4_groups) grids.push_back(group.group_size > 0 ? Grid{1, group.group_size} : whole_rows);
  const Shape& stored = scale.entry->shape;
  if (grids.empty() && stored.size() == 2 && stored[1] > 0 && spec.shape[1] % stored[1] == 0)
    grids.push_back({1, spec.shape[1] / stored[1]});
  grids.push_back(whole_rows);
  grids.push_back(whole_matrix);
  return grids;
}

/// Whether some group of the config that has this size does without zero points.
bool may_be_symmetric(const Config& config, int64_t group, int64_t columns) {
  const auto has_size = [&](const Int4Group& g) { return (g.group_size > 0 ? g.group_size : columns) == group; };
  const auto& groups = config.int4_groups;
  return std::none_of(groups.begin(), groups.end(), has_size) ||
         std::any_of(groups.begin(), groups.end(), [&](const Int4Group& g) { return has_size(g) && g.symmetric; });
}

/// Eight codes a word down the rows, or a signed byte each as older versions have it.
ShardPart zero_points_of(const ShardTensor& zero_point, const Shape& scales) {
  const DType dtype = zero_point.entry->dtype;
  if (dtype == DType::kI32) {
    const Shape words = {ceil_div(scales[0], kCodesPerWord), scales[1]};
    return {words, words, dtype};
  }
  if (dtype == DType::kI8) return {scales, scales, dtype};
  fail(zero_point.where(), ": its dtype is ", zero_point.dtype_text(),
       ", expected I32 (eight codes a word) for the zero points of an INT4 weight");
}

}  // namespace

std::string ShardTensor::where() const { return concat(path_text(file->path()), ": tensor ", quote(*stored_name)); }

std::string ShardTensor::dtype_text() const { return excerpt(file->header().dtype_text(*stored_name)); }

WeightForm weight_form(const Config& config, const TensorSpec& spec, const WeightTensors& tensors) {
  WeightForm form;
  const ShardTensor& weight = *tensors.weight;
  form.encoding = decide_encoding(spec, tensors);
  form.weight = codes_of(spec, weight, form.encoding);
  const bool nvfp4 = form.encoding == Encoding::kNvfp4, int4 = form.encoding == Encoding::kInt4;
  if (form.encoding != Encoding::kFp8 && form.encoding != Encoding::kFp4 && !nvfp4 && !int4) return form;

  const std::string scale_text = quote(scale_name(spec.name));
  if (!tensors.scale) {
    fail(weight.where(), ": its scale ", scale_text, " is missing; ", encoding_name(form.encoding), " weights cannot be read without");
  }
  if (nvfp4 && !tensors.global_scale) {
    fail(weight.where(), ": NVFP4, whose second scale ", quote(concat(kSecondScaleLeaf.substr(1))), " or ",
         quote(concat(kGlobalScaleLeaf.substr(1))), " is missing; its weights cannot be read without");
  }
  const ShardTensor& scale = *tensors.scale;
  const DType dtype = scale_dtype(scale, form.encoding);
  const std::vector<Grid> grids = possible_grids(config, spec, scale, form.encoding, tensors.stacked);
  const auto found =
      std::find_if(grids.begin(), grids.end(), [&](const Grid& g) { return has_shape(scale.entry->shape, scales_of(spec.shape, g)); });
  const Grid grid = found == grids.end() || tensors.stacked ? grids.front() : *found;
  const Shape scales = scales_of(spec.shape, grid);
  form.scale = ShardPart{found == grids.end() || tensors.stacked ? scales : scale.entry->shape, scales, dtype};
  form.scale_rows = grid.rows;
  form.scale_cols = grid.cols;
  if (!int4) return form;

  if (tensors.zero_point) {
    form.zero_point = zero_points_of(*tensors.zero_point, scales);
  } else if (!may_be_symmetric(config, grid.cols, spec.shape[1])) {
    fail(weight.where(), ": its zero points are missing, but config.json says that INT4 weights in groups of ", grid.cols,
         " have such (symmetric: false)");
  }
  return form;
}

std::string_view encoding_name(Encoding encoding) {
  switch (encoding) {
    case Encoding::kFp8:
      return "FP8";
    case Encoding::kFp4:
      return "FP4";
    case Encoding::kNvfp4:
      return "NVFP4";
    case Encoding::kInt4:
      return "INT4";
    case Encoding::kBf16:
      return "BF16";
    case Encoding::kF16:
      return "F16";
    case Encoding::kF32:
      return "F32";
    case Encoding::kI64:
      return "I64";
  }
  fail("unknown encoding number ", static_cast<int>(encoding));
}

}  // namespace dsv4
