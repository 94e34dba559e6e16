// Matching stored tensors with the table.
#include "checkpoint/tensor_match.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "checkpoint/foreign_weights.h"
#include "checkpoint/names.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "formats/dequantize.h"

namespace dsv4 {
namespace {

constexpr std::string_view kMtpPrefix = "mtp.";

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

using Stored = ShardTensor;

/// Rows of a stacked tensor that belong to one expert; the whole tensor when it is not stacked.
struct Slice {
  int64_t experts = 0;  ///< 0: not stacked
  int64_t expert = 0;
  int64_t row_begin = 0;      ///< first row inside the expert's matrix
  int64_t rows_stacked = 0;   ///< rows of the expert's matrix: 2I or D
  bool two_matrices = false;  ///< w1 and w3 below one another
};

class Matcher {
 public:
  Matcher(const Config& config, const FileSet& files, const std::filesystem::path& directory)
      : config_(config), files_(files), directory_(path_text(directory)) {}

  MatchResult run() {
    collect();
    std::vector<TensorSpec> all = tensor_table(config_);
    look_at_draft();
    result_.tensors.reserve(all.size());
    for (TensorSpec& spec : all) {
      if (spec.mtp && result_.draft_kind == DraftKind::kNone) continue;
      std::optional<MatchedTensor> matched = match(spec);
      if (!matched) continue;
      result_.tensors.push_back(std::move(*matched));
      (spec.mtp ? result_.draft : result_.table).push_back(std::move(spec));  // the table has mtp.* last
    }
    refuse_missing();
    refuse_left_over();
    note_experts();
    note_mtp();
    note_idle_scales();
    result_.naming = deepseek_names_ > 0 && transformers_names_ > 0 ? "mixed" : transformers_names_ > 0 ? "transformers" : "DeepSeek";
    return std::move(result_);
  }

 private:
  void collect() {
    size_t count = 0;
    for (const auto& file : files_.files) count += file->header().tensors.size();
    stored_.reserve(count);  // by_name_ keeps views of the names
    by_name_.reserve(count);
    for (const auto& file : files_.files) {
      for (const auto& [stored_name, entry] : file->header().tensors) {
        if (is_ignored_buffer(stored_name) || files_.left_out.contains(stored_name)) continue;
        std::optional<ResolvedName> resolved = resolve_name(stored_name);
        if (!resolved) {
          if (unknown_++ == 0) first_unknown_ = Stored{"", &stored_name, &entry, file.get()};
          continue;
        }
        deepseek_names_ += resolved->scheme == NameScheme::kDeepSeek;
        transformers_names_ += resolved->scheme == NameScheme::kTransformers;
        stored_.push_back({std::move(resolved->name), &stored_name, &entry, file.get()});
        const Stored& added = stored_.back();
        const auto [other, is_new] = by_name_.emplace(added.name, stored_.size() - 1);
        if (!is_new) refuse_duplicate(stored_[other->second], added);
      }
    }
  }

  [[noreturn]] void refuse_duplicate(const Stored& a, const Stored& b) const {
    fail(b.where(), " is the same weight as ", quote(*a.stored_name), " in ", path_text(a.file->path()),
         "; one of the two must go, files of two checkpoints are mixed");
  }

  Stored* find(std::string_view name) {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &stored_[found->second];
  }

  /// The stored tensor and the part of it that is `name`; a stacked one serves all experts.
  std::pair<Stored*, Slice> find_with_stacked(const std::string& name) {
    Stored* direct = find(name);
    const std::optional<ExpertName> expert = parse_expert_name(name);
    if (!expert) return {direct, {}};
    Stored* stacked = find(concat(expert->prefix, expert->matrix == 2 ? "w2" : "w13", expert->leaf));
    if (!stacked) return {direct, {}};
    if (direct) refuse_duplicate(*stacked, *direct);
    const int64_t inner = config_.moe_intermediate_size;
    Slice slice{config_.n_routed_experts, expert->expert, 0, inner * 2, true};
    if (expert->matrix == 2) {
      slice.rows_stacked = config_.hidden_size;
      slice.two_matrices = false;
    }
    if (expert->matrix == 3) slice.row_begin = inner;
    return {stacked, slice};
  }

  /// Checks the stored shape, which of a stacked tensor is that of one expert, and cuts the slice out; the rows of a stacked tensor's scale stand for
  /// `rows_per_row` rows of the weight.
  TensorView view(Stored& stored, const ShardPart& part, const Slice& slice, int64_t rows_per_row) {
    stored.used = true;
    TensorView view{*stored.stored_name, part.dtype, part.shape, stored.file->bytes(*stored.entry), stored.file};
    if (slice.experts == 0) {
      check_shape(stored, part.stored);
      return view;
    }
    const int64_t rows = ceil_div(slice.rows_stacked, rows_per_row);
    check_shape(stored, {slice.experts, rows, part.stored[1]});
    const int64_t row_bytes = part.shape[1] * static_cast<int64_t>(dtype_size(view.dtype));
    const int64_t first_row = slice.expert * rows + slice.row_begin / rows_per_row;
    view.bytes = view.bytes.subspan(static_cast<size_t>(first_row * row_bytes), static_cast<size_t>(part.shape[0] * row_bytes));
    return view;
  }

  void check_shape(const Stored& stored, const Shape& expected) const {
    if (stored.entry->shape != expected) {
      fail(stored.where(), ": its shape is ", excerpt(shape_string(stored.entry->shape)), ", expected ", shape_string(expected), " as ",
           stored.dtype_text(), "; config.json and the tensors do not belong together");
    }
  }

  /// A companion of the weight "X.weight": "X.weight_zero_point" and its like.
  Stored* find_leaf(const TensorSpec& spec, std::string_view leaf) {
    const std::string_view module = std::string_view(spec.name).substr(0, spec.name.size() - std::string_view(".weight").size());
    return find(concat(module, leaf));
  }

  std::optional<MatchedTensor> match(const TensorSpec& spec) {
    auto [stored, slice] = find_with_stacked(spec.name);
    const bool has_leaves = spec.name.ends_with(".weight");
    Stored* const packed = has_leaves ? find_leaf(spec, kPackedLeaf) : nullptr;
    if (stored && packed) refuse_duplicate(*stored, *packed);
    if (packed) stored = packed;
    if (!stored) {
      if (missing_++ == 0) first_missing_ = concat(quote(spec.name), " ", shape_string(spec.shape));
      return std::nullopt;
    }
    WeightTensors tensors{.weight = stored, .packed = packed != nullptr};
    Stored *scale = nullptr, *global_scale = nullptr, *zero_point = nullptr;
    Slice scale_slice;
    bool divides = false;
    if (has_leaves) {
      std::tie(scale, scale_slice) = find_with_stacked(scale_name(spec.name));
      zero_point = find_leaf(spec, kZeroPointLeaf);
      Stored* const factor = find_leaf(spec, kSecondScaleLeaf);
      Stored* const divisor = find_leaf(spec, kGlobalScaleLeaf);
      if (factor && divisor) refuse_duplicate(*factor, *divisor);
      global_scale = factor ? factor : divisor;
      divides = divisor != nullptr;
    }
    tensors.stacked = slice.experts != 0 || scale_slice.experts != 0;
    tensors.scale = scale;
    tensors.global_scale = global_scale;
    tensors.zero_point = zero_point;
    const WeightForm form = weight_form(config_, spec, tensors);

    MatchedTensor matched;
    matched.encoding = form.encoding;
    matched.scale_rows = form.scale_rows;
    matched.scale_cols = form.scale_cols;
    matched.weight = view(*stored, form.weight, slice, 1);
    if (form.scale) {
      match_scale(form, *scale, scale_slice, matched);
    } else if (scale && !std::exchange(scale->used, true) && idle_scales_++ == 0) {
      first_idle_scale_ = scale;  // a weight in BF16, F16 or F32 is complete: uploads that were dequantised may have kept the scales
    }
    if (form.encoding == Encoding::kNvfp4) match_global_scale(*global_scale, divides, matched);
    if (form.zero_point) matched.zero_point = std::make_unique<TensorView>(view(*zero_point, *form.zero_point, {}, 1));
    if (form.encoding == Encoding::kInt4) check_packing(spec, matched);
    if (matched.encoding == Encoding::kI64) check_hash_table(*stored, matched.weight);
    if (parse_expert_name(spec.name) && !spec.mtp) expert_encodings_.insert(matched.encoding);
    return matched;
  }

  void match_scale(const WeightForm& form, Stored& scale, const Slice& slice, MatchedTensor& matched) {
    const bool fp8 = form.encoding == Encoding::kFp8;
    if (slice.two_matrices && config_.moe_intermediate_size % form.scale_rows != 0) {
      fail(scale.where(), ": stacked FP8 experts need a moe_intermediate_size that is a multiple of ", form.scale_rows,
           ", config.json says ", config_.moe_intermediate_size, ": a scale block would belong to w1 and w3; save the experts one by one");
    }
    matched.scale = std::make_unique<TensorView>(view(scale, *form.scale, slice, form.scale_rows));
    if (fp8 && form.scale->dtype == DType::kF32) check_finite(scale, *matched.scale);
  }

  /// One F32 for the matrix, read at once.
  void match_global_scale(Stored& stored, bool divides, MatchedTensor& matched) {
    const Shape& shape = stored.entry->shape;
    if (stored.entry->dtype != DType::kF32 || (!shape.empty() && shape != Shape{1} && shape != Shape{1, 1})) {
      fail(stored.where(), ": its dtype is ", stored.dtype_text(), " and its shape ", excerpt(shape_string(shape)),
           ", expected F32 [1] for the second scale of an NVFP4 weight");
    }
    matched.global_scale = std::make_unique<TensorView>(view(stored, {shape, shape, DType::kF32}, {}, 1));
    GlobalScale& factor = matched.factor;
    factor.divides = divides;
    std::memcpy(&factor.value, matched.global_scale->bytes.data(), sizeof factor.value);
    if (!all_finite(&factor.value, 1) || factor.value <= 0.0f) {
      fail(stored.where(), ": it is ", factor.value, ", expected a finite number above 0; the file is damaged");
    }
  }

  /// What compressed-tensors says beside the codes must be what the table says.
  void check_packing(const TensorSpec& spec, const MatchedTensor& matched) {
    if (Stored* const shape = find_leaf(spec, kShapeLeaf)) {
      const std::vector<int64_t> stated = integers_of(*shape, 2);
      if (stated != spec.shape) {
        fail(shape->where(), ": says ", shape_string(stated), ", expected ", shape_string(spec.shape),
             "; config.json and the tensors do not belong together");
      }
    }
    if (Stored* const index = find_leaf(spec, kGroupIndexLeaf)) {
      const std::vector<int64_t> groups = integers_of(*index, spec.shape[1]);
      for (size_t i = 0; i < groups.size(); ++i) {
        if (groups[i] == -1 || groups[i] == static_cast<int64_t>(i) / matched.scale_cols) continue;
        fail(index->where(), ": input ", i, " belongs to group ", groups[i],
             ": groups in the order of activations (actorder \"group\") are not supported; ",
             "take a form whose groups are in the order of the inputs");
      }
    }
  }

  /// A tensor of `count` whole numbers.
  std::vector<int64_t> integers_of(Stored& stored, int64_t count) {
    const DType dtype = stored.entry->dtype;
    if (dtype != DType::kI64 && dtype != DType::kI32) fail(stored.where(), ": its dtype is ", stored.dtype_text(), ", expected I64 or I32");
    const TensorView numbers = view(stored, {{count}, {count}, dtype}, {}, 1);
    std::vector<int64_t> values = integers(numbers);
    stored.file->release(numbers.bytes);
    return values;
  }

  /// All at once, before hours of conversion; E8M0 scales, 30 times as many bytes, are checked as they are read.
  void check_finite(const Stored& stored, const TensorView& scale) const {
    std::vector<float> values(scale.bytes.size() / sizeof(float));
    std::memcpy(values.data(), scale.bytes.data(), values.size() * sizeof(float));
    for (size_t i = 0; i < values.size(); ++i) {
      if (!all_finite(&values[i], 1)) {
        fail(stored.where(), ": scale number ", i, " is ", values[i], ", expected a finite number; the file is damaged");
      }
    }
    stored.file->release(scale.bytes);
  }

  /// tid2eid [V, K]: ids of experts.
  void check_hash_table(const Stored& stored, const TensorView& table) const {
    const std::vector<int64_t> experts = integers(table);
    for (size_t i = 0; i < experts.size(); ++i) {
      const int64_t expert = experts[i];
      if (expert < 0 || expert >= config_.n_routed_experts) {
        const auto index = static_cast<int64_t>(i);
        fail(stored.where(), ": row ", index / table.shape[1], " names expert ", expert, ", expected 0 to ", config_.n_routed_experts - 1,
             "; the file is damaged");
      }
    }
    stored.file->release(table.bytes);
  }

  /// Which draft it is, by the tensors and by the config. Where they disagree there is none, and note_mtp() says so.
  void look_at_draft() {
    int64_t stages = 0;
    const Stored* last = nullptr;
    for (const Stored& stored : stored_) {
      if (!stored.name.starts_with(kMtpPrefix)) continue;
      ++mtp_tensors_;
      const std::optional<int64_t> number = mtp_number(stored.name);
      if (!number || *number < stages) continue;
      stages = *number + 1;
      last = &stored;
    }
    dspark_ = find("mtp.0.main_proj.weight") != nullptr;
    if (mtp_tensors_ == 0 || config_.mtp_layers.empty() || dspark_ != config_.dspark.has_value()) return;
    result_.draft_kind = dspark_ ? DraftKind::kDspark : DraftKind::kNextN;
    if (dspark_ && stages > std::ssize(config_.mtp_layers)) {
      fail(last->where(), ": the draft has stage ", stages - 1, ", but config.json says ", config_.mtp_layers.size(),
           " stages (compress_ratios beyond num_hidden_layers); use the config.json that it was published with");
    }
  }

  void note_mtp() {
    if (dspark_) {
      result_.notices.push_back(
          concat("DSpark draft stages, ", mtp_tensors_, " tensors, not converted: they are only for speculative decoding"));
    } else if (mtp_tensors_ > 0) {
      result_.notices.push_back(concat("MTP block, ", mtp_tensors_, " tensors, not converted: it is only for speculative decoding"));
    } else if (!config_.mtp_layers.empty()) {
      result_.notices.push_back(
          concat("no mtp.* tensors, although config.json says num_nextn_predict_layers ", config_.num_nextn_predict_layers));
    }
  }

  void note_idle_scales() {
    if (idle_scales_ == 0) return;
    result_.notices.push_back(concat(first_idle_scale_->where(), " is the scale of a weight that needs none; ", idle_scales_,
                                     " such scales are left over and ignored"));
  }

  void note_experts() {
    std::string names;
    for (const Encoding encoding : expert_encodings_) names += (names.empty() ? "" : ", ") + std::string(encoding_name(encoding));
    std::string stated = config_.expert_dtype;
    std::transform(stated.begin(), stated.end(), stated.begin(),
                   [](unsigned char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : static_cast<char>(c); });
    if (stated == names) return;
    result_.notices.push_back(stated.empty() ? concat("expert_dtype is not in config.json; the tensors are ", names)
                                             : concat("expert_dtype is ", config_.expert_dtype, " in config.json, but the tensors are ",
                                                      names, ": the tensors decide"));
  }

  void refuse_missing() const {
    if (missing_ == 0) return;
    const std::string others = missing_ > 1 ? concat(" and ", missing_ - 1, " more are") : " is";
    const std::string unknown =
        unknown_ > 0 ? concat("; ", unknown_, " tensors have unknown names, first ", quote(*first_unknown_.stored_name)) : std::string();
    fail(directory_, ": tensor ", first_missing_, others, " missing", unknown,
         "; the checkpoint is incomplete or config.json belongs to another model");
  }

  void refuse_left_over() const {
    const Stored* first = nullptr;
    const Stored* beyond = nullptr;
    size_t count = unknown_;
    for (const Stored& stored : stored_) {
      if (stored.used || stored.name.starts_with(kMtpPrefix)) continue;
      const std::optional<int64_t> layer = layer_number(stored.name);
      if (!beyond && layer && *layer >= config_.num_hidden_layers) beyond = &stored;
      if (!first) first = &stored;
      ++count;
    }
    if (beyond) {
      fail(beyond->where(), ": the checkpoint has more layers than config.json says (num_hidden_layers ", config_.num_hidden_layers,
           "); use the config.json that it was published with");
    }
    if (count == 0) return;
    if (unknown_ > 0) first = &first_unknown_;
    fail(first->where(), ": not a tensor of the model that config.json describes (", count,
         " such tensors); config.json and the tensors do not belong together");
  }

  const Config& config_;
  const FileSet& files_;
  const std::string directory_;
  MatchResult result_;
  std::vector<Stored> stored_;
  std::unordered_map<std::string_view, size_t> by_name_;
  Stored first_unknown_{"", nullptr, nullptr, nullptr};
  std::string first_missing_;
  std::set<Encoding> expert_encodings_;
  size_t unknown_ = 0;
  size_t missing_ = 0;
  size_t mtp_tensors_ = 0;
  size_t idle_scales_ = 0;
  const Stored* first_idle_scale_ = nullptr;
  size_t deepseek_names_ = 0;
  size_t transformers_names_ = 0;
  bool dspark_ = false;
};

}  // namespace

MatchResult match_tensors(const Config& config, const FileSet& files, const std::filesystem::path& directory) {
  refuse_foreign_tensors(files);
  return Matcher(config, files, directory).run();
}

}  // namespace dsv4
