// Matching stored tensors with the table.
#include "checkpoint/tensor_match.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "checkpoint/dequantize.h"
#include "checkpoint/names.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

constexpr int64_t kFp4Group = 32;  // inputs that share a scale
constexpr std::string_view kMtpPrefix = "mtp.";

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// A tensor of some file under its DeepSeek name.
struct Stored {
  std::string name;
  const std::string* stored_name;  // the key in the file's header
  const TensorEntry* entry;
  const SafetensorsFile* file;
  bool used = false;

  /// "FILE: tensor "NAME"": the start of every message about it.
  std::string where() const { return concat(path_text(file->path()), ": tensor ", quote(*stored_name)); }
};

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
    const bool check_mtp = look_at_mtp();
    result_.tensors.reserve(all.size());
    for (TensorSpec& spec : all) {
      if (spec.mtp && !check_mtp) continue;
      std::optional<MatchedTensor> matched = match(spec);
      if (!matched) continue;
      if (spec.mtp) continue;
      result_.tensors.push_back(std::move(*matched));
      result_.table.push_back(std::move(spec));
    }
    refuse_missing();
    refuse_left_over();
    note_experts();
    note_mtp();
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
        if (is_ignored_buffer(stored_name)) continue;
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

  /// Checks the stored shape and cuts the slice out. `shape` is what one expert (or the whole tensor) must have; the rows of a stacked
  /// tensor's scale stand for `rows_per_row` rows of the weight.
  TensorView view(Stored& stored, const Shape& shape, const Slice& slice, int64_t rows_per_row) {
    stored.used = true;
    TensorView view{*stored.stored_name, stored.entry->dtype, shape, stored.file->bytes(*stored.entry), stored.file};
    if (slice.experts == 0) {
      check_shape(stored, shape);
      return view;
    }
    const int64_t rows = ceil_div(slice.rows_stacked, rows_per_row);
    check_shape(stored, {slice.experts, rows, shape[1]});
    const int64_t row_bytes = shape[1] * static_cast<int64_t>(dtype_size(view.dtype));
    const int64_t first_row = slice.expert * rows + slice.row_begin / rows_per_row;
    view.bytes = view.bytes.subspan(static_cast<size_t>(first_row * row_bytes), static_cast<size_t>(shape[0] * row_bytes));
    return view;
  }

  void check_shape(const Stored& stored, const Shape& expected) const {
    if (stored.entry->shape != expected) {
      fail(stored.where(), ": its shape is ", excerpt(shape_string(stored.entry->shape)), ", expected ", shape_string(expected), " as ",
           dtype_name(stored.entry->dtype), "; config.json and the tensors do not belong together");
    }
  }

  Encoding decide_encoding(const TensorSpec& spec, const Stored& stored) const {
    const bool routed = parse_expert_name(spec.name).has_value();
    const bool float_type = spec.published != Published::kI64;
    switch (stored.entry->dtype) {
      case DType::kF8E4M3:
        if (routed || spec.published == Published::kFp8) return Encoding::kFp8;
        break;
      case DType::kI8:
        if (routed) return Encoding::kFp4;
        break;
      case DType::kBF16:
        if (float_type) return Encoding::kBf16;
        break;
      case DType::kF16:
        if (float_type) return Encoding::kF16;
        break;
      case DType::kF32:
        if (float_type) return Encoding::kF32;
        break;
      case DType::kI64:
        if (!float_type) return Encoding::kI64;
        break;
      case DType::kF8E8M0:
        break;
    }
    const char* expected = spec.published == Published::kI64    ? "I64"
                           : routed                             ? "I8 (FP4), F8_E4M3, BF16, F16 or F32"
                           : spec.published == Published::kFp8  ? "F8_E4M3, BF16, F16 or F32"
                           : spec.published == Published::kBf16 ? "BF16, F16 or F32"
                                                                : "F32, BF16 or F16";
    fail(stored.where(), ": its dtype is ", dtype_name(stored.entry->dtype), ", expected ", expected,
         "; this form of the weight is not supported");
  }

  std::optional<MatchedTensor> match(const TensorSpec& spec) {
    const auto [stored, slice] = find_with_stacked(spec.name);
    if (!stored) {
      if (missing_++ == 0) first_missing_ = concat(quote(spec.name), " ", shape_string(spec.shape));
      return std::nullopt;
    }
    MatchedTensor matched;
    matched.encoding = decide_encoding(spec, *stored);
    Shape stored_shape = spec.shape;
    if (matched.encoding == Encoding::kFp4) {
      if (spec.shape[1] % 2 != 0) {
        fail(stored->where(), ": FP4 packs two inputs a byte, but config.json gives it ", spec.shape[1], " inputs, an odd number");
      }
      stored_shape[1] /= 2;
    }
    matched.weight = view(*stored, stored_shape, slice, 1);
    match_scale(spec, *stored, matched);
    if (matched.encoding == Encoding::kI64) check_hash_table(*stored, matched.weight);
    if (parse_expert_name(spec.name) && !spec.mtp) expert_encodings_.insert(matched.encoding);
    return matched;
  }

  void match_scale(const TensorSpec& spec, const Stored& weight, MatchedTensor& matched) {
    if (!spec.name.ends_with(".weight")) return;
    const auto [scale, slice] = find_with_stacked(scale_name(spec.name));
    const bool fp8 = matched.encoding == Encoding::kFp8;
    const bool fp4 = matched.encoding == Encoding::kFp4;
    if (!fp8 && !fp4) {
      if (scale) {
        fail(scale->where(), ": a scale, but the weight ", quote(*weight.stored_name), " is ", dtype_name(weight.entry->dtype),
             " and has none; files of two checkpoints are mixed");
      }
      return;
    }
    if (!scale) {
      fail(weight.where(), ": its scale ", quote(scale_name(spec.name)), " is missing; ", encoding_name(matched.encoding),
           " weights cannot be read without");
    }
    const DType dtype = scale->entry->dtype;
    if (dtype != DType::kF8E8M0 && !(fp8 && dtype == DType::kF32)) {
      fail(scale->where(), ": its dtype is ", dtype_name(dtype), ", expected ", fp8 ? "F8_E8M0 or F32" : "F8_E8M0", " for the scale of ",
           fp8 ? "an FP8" : "an FP4", " weight");
    }
    const int64_t block_rows = fp8 ? config_.fp8_block_rows : 1;
    const int64_t block_cols = fp8 ? config_.fp8_block_cols : kFp4Group;
    if (slice.two_matrices && config_.moe_intermediate_size % block_rows != 0) {
      fail(scale->where(), ": stacked FP8 experts need a moe_intermediate_size that is a multiple of ", block_rows, ", config.json says ",
           config_.moe_intermediate_size, ": a scale block would belong to w1 and w3; save the experts one by one");
    }
    const Shape shape = {ceil_div(spec.shape[0], block_rows), ceil_div(spec.shape[1], block_cols)};
    matched.scale = std::make_unique<TensorView>(view(*scale, shape, slice, block_rows));
    if (dtype == DType::kF32) check_finite(*scale, *matched.scale);
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
    for (size_t at = 0; at < table.bytes.size(); at += sizeof(int64_t)) {
      int64_t expert = 0;
      std::memcpy(&expert, table.bytes.data() + at, sizeof expert);
      if (expert < 0 || expert >= config_.n_routed_experts) {
        const auto index = static_cast<int64_t>(at / sizeof(int64_t));
        fail(stored.where(), ": row ", index / table.shape[1], " names expert ", expert, ", expected 0 to ", config_.n_routed_experts - 1,
             "; the file is damaged");
      }
    }
    stored.file->release(table.bytes);
  }

  /// Whether the table's mtp.* entries are to be checked: not for DSpark's draft stages, which have the same prefix, nor where there are
  /// none.
  bool look_at_mtp() {
    for (const Stored& stored : stored_) mtp_tensors_ += stored.name.starts_with(kMtpPrefix);
    dspark_ = find("mtp.0.main_proj.weight") != nullptr;
    return mtp_tensors_ > 0 && !dspark_ && !config_.dspark && !config_.mtp_layers.empty();
  }

  void note_mtp() {
    if (dspark_) {
      result_.notices.push_back(concat("DSpark draft stages (mtp.*) skipped: ", mtp_tensors_, " tensors"));
    } else if (mtp_tensors_ > 0) {
      result_.notices.push_back(concat("MTP tensors skipped: ", mtp_tensors_));
    } else if (!config_.mtp_layers.empty()) {
      result_.notices.push_back(
          concat("no mtp.* tensors, although config.json says num_nextn_predict_layers ", config_.num_nextn_predict_layers));
    }
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
    fail(directory_, ": tensor ", first_missing_, others, " missing; the checkpoint is incomplete or config.json belongs to another model");
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
  size_t deepseek_names_ = 0;
  size_t transformers_names_ = 0;
  bool dspark_ = false;
};

}  // namespace

MatchResult match_tensors(const Config& config, const FileSet& files, const std::filesystem::path& directory) {
  return Matcher(config, files, directory).run();
}

std::string_view encoding_name(Encoding encoding) {
  switch (encoding) {
    case Encoding::kFp8:
      return "FP8";
    case Encoding::kFp4:
      return "FP4";
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
