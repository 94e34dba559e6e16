// Opening a checkpoint and reading its weights as float32.
#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "checkpoint/file_set.h"
#include "checkpoint/quote.h"
#include "checkpoint/scales.h"
#include "checkpoint/tensor_match.h"
#include "dsv4/error.h"
#include "formats/dequantize.h"

namespace dsv4 {
namespace {

/// A tensor as a matrix: rank 1 is one row, a higher rank keeps its first dim as rows.
struct Matrix {
  int64_t rows = 1;
  int64_t cols = 1;
};

Matrix as_matrix(const Shape& shape) {
  const int64_t rows = shape.size() < 2 ? 1 : shape[0];
  return {rows, rows == 0 ? 0 : element_count(shape) / rows};
}

/// One row of a scale tensor as floats. Throws Error for a scale that is no finite number.
void read_scale_row(const TensorView& scale, int64_t row, std::vector<float>& out) {
  decode_scale_row(scale, row, out);
  if (!all_finite(out.data(), scale.shape[1])) {
    fail(path_text(scale.file->path()), ": tensor ", quote(scale.stored_name), ": row ", row,
         " holds a scale that is not a finite number; the file is damaged");
  }
}

constexpr float kSymmetricZero = 8.0f;  // INT4 codes are unsigned
constexpr int64_t kCodesPerWord = 8;

/// The zero points of a row of an INT4 matrix, as codes.
void read_zero_points(const TensorView* zero_point, int64_t row, int64_t groups, std::vector<float>& out) {
  out.assign(static_cast<size_t>(groups), kSymmetricZero);
  if (!zero_point) return;
  const bool words = zero_point->dtype == DType::kI32;
  const std::byte* source = zero_point->bytes.data() + (words ? row / kCodesPerWord * 4 : row) * groups;
  for (int64_t g = 0; g < groups; ++g) {
    if (words) {  // little-endian: byte k of a word holds the codes of rows 2k and 2k+1
      const auto pair = std::to_integer<unsigned>(source[4 * g + row % kCodesPerWord / 2]);
      out[static_cast<size_t>(g)] = static_cast<float>(row % 2 == 0 ? pair & 0xFu : pair >> 4);
    } else {
      out[static_cast<size_t>(g)] += static_cast<float>(std::to_integer<int8_t>(source[g]));
    }
  }
}

}  // namespace

std::vector<int64_t> integers(const TensorView& view) {
  std::vector<int64_t> values(view.bytes.size() / dtype_size(view.dtype));
  if (view.dtype == DType::kI64) {
    if (!values.empty()) std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
    return values;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    int32_t value = 0;
    std::memcpy(&value, view.bytes.data() + i * sizeof value, sizeof value);
    values[i] = value;
  }
  return values;
}

struct Checkpoint::Impl {
  std::filesystem::path directory;
  std::string config_text;
  Config config;
  FileSet files;
  MatchResult match;
  std::vector<std::string> notices;
  std::unordered_map<std::string_view, size_t> by_name;  ///< of match.tensors; keys are views of names in match.table and match.draft

  size_t index(const std::string& name) const {
    const auto found = by_name.find(name);
    if (found == by_name.end()) fail(path_text(directory), ": there is no tensor ", quote(name));
    return found->second;
  }

  const MatchedTensor& tensor(const std::string& name) const { return match.tensors[index(name)]; }

  const TensorSpec& spec(size_t index) const {
    return index < match.table.size() ? match.table[index] : match.draft[index - match.table.size()];
  }
};

Checkpoint Checkpoint::open(const std::filesystem::path& directory) {
  auto impl = std::make_unique<Impl>();
  impl->directory = directory;
  impl->config_text = read_directory_config_text(directory);
  impl->config = parse_config(impl->config_text, path_text(directory / "config.json"));
  impl->files = open_file_set(directory);
  impl->match = match_tensors(impl->config, impl->files, directory);
  impl->notices = std::exchange(impl->files.notices, {});
  impl->notices.insert(impl->notices.end(), impl->match.notices.begin(), impl->match.notices.end());
  impl->by_name.reserve(impl->match.tensors.size());
  for (size_t i = 0; i < impl->match.tensors.size(); ++i) impl->by_name.emplace(impl->spec(i).name, i);
  return Checkpoint(std::move(impl));
}

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

const std::filesystem::path& Checkpoint::directory() const { return impl_->directory; }
const Config& Checkpoint::config() const { return impl_->config; }
const std::string& Checkpoint::config_text() const { return impl_->config_text; }
const std::vector<TensorSpec>& Checkpoint::table() const { return impl_->match.table; }
const std::vector<TensorSpec>& Checkpoint::draft_table() const { return impl_->match.draft; }
DraftKind Checkpoint::draft_kind() const { return impl_->match.draft_kind; }
const std::vector<std::string>& Checkpoint::notices() const { return impl_->notices; }
const std::string& Checkpoint::naming() const { return impl_->match.naming; }
const std::vector<std::unique_ptr<SafetensorsFile>>& Checkpoint::files() const { return impl_->files.files; }

Encoding Checkpoint::encoding(const std::string& name) const { return impl_->tensor(name).encoding; }

Shape Checkpoint::shape(const std::string& name) const { return impl_->spec(impl_->index(name)).shape; }

const TensorView& Checkpoint::stored(const std::string& name) const {
  const TensorView& weight = impl_->tensor(name).weight;
  weight.file->check_present(weight.bytes);
  return weight;
}

namespace {

const TensorView* present(const std::unique_ptr<TensorView>& view) {
  if (view) view->file->check_present(view->bytes);
  return view.get();
}

}  // namespace

const TensorView* Checkpoint::scale(const std::string& name) const { return present(impl_->tensor(name).scale); }
const TensorView* Checkpoint::zero_point(const std::string& name) const { return present(impl_->tensor(name).zero_point); }
const TensorView* Checkpoint::global_scale(const std::string& name) const { return present(impl_->tensor(name).global_scale); }
GlobalScale Checkpoint::second_scale(const std::string& name) const { return impl_->tensor(name).factor; }
int64_t Checkpoint::scale_rows(const std::string& name) const { return impl_->tensor(name).scale_rows; }
int64_t Checkpoint::scale_cols(const std::string& name) const { return impl_->tensor(name).scale_cols; }

void Checkpoint::read_rows(const std::string& name, int64_t row_begin, int64_t row_end, float* out) const {
  const auto [rows, cols] = as_matrix(shape(name));
  if (row_begin < 0 || row_begin > row_end || row_end > rows) {
    fail(path_text(directory()), ": tensor ", quote(name), ": rows ", row_begin, " to ", row_end, " were asked for, it has ", rows);
  }
  const TensorView& weight = stored(name);
  const TensorView* scale_view = scale(name);
  const TensorView* zero_view = zero_point(name);
  const MatchedTensor& tensor = impl_->tensor(name);
  const int64_t row_bytes = static_cast<int64_t>(weight.bytes.size()) / std::max<int64_t>(rows, 1);
  const std::byte* source = weight.bytes.data() + row_begin * row_bytes;
  const int64_t block_rows = tensor.scale_rows, block_cols = tensor.scale_cols;
  std::vector<float> scales, zeros;
  for (int64_t row = row_begin; row < row_end; ++row, source += row_bytes, out += cols) {
    if (scale_view && (row == row_begin || row % block_rows == 0)) {
      read_scale_row(*scale_view, row / block_rows, scales);
      if (tensor.encoding == Encoding::kInt4) read_zero_points(zero_view, row / block_rows, scale_view->shape[1], zeros);
    }
    switch (tensor.encoding) {
      case Encoding::kFp8:
        dequantize_f8_row(source, scales.data(), block_cols, cols, out);
        break;
      case Encoding::kFp4:
        dequantize_f4_row(source, scales.data(), block_cols, cols, out);
        break;
      case Encoding::kNvfp4:  // code times scale is exact
        dequantize_f4_row(source, scales.data(), block_cols, cols, out);
        scale_row(tensor.factor.value, tensor.factor.divides, cols, out);
        break;
      case Encoding::kInt4:
        dequantize_i4_row(source, scales.data(), zeros.data(), block_cols, cols, out);
        break;
      case Encoding::kBf16:
        bf16_to_f32_row(source, cols, out);
        break;
      case Encoding::kF16:
        f16_to_f32_row(source, cols, out);
        break;
      case Encoding::kF32:
        std::memcpy(out, source, static_cast<size_t>(row_bytes));
        break;
      case Encoding::kI64:
        fail(path_text(directory()), ": tensor ", quote(name), " holds I64 numbers and cannot be read as float32");
    }
  }
}

std::vector<float> Checkpoint::read(const std::string& name) const {
  const Shape logical = shape(name);
  std::vector<float> values(static_cast<size_t>(element_count(logical)));
  read_rows(name, 0, as_matrix(logical).rows, values.data());
  return values;
}

std::vector<int64_t> Checkpoint::read_i64(const std::string& name) const {
  if (encoding(name) != Encoding::kI64) {
    fail(path_text(directory()), ": tensor ", quote(name), " holds ", encoding_name(encoding(name)), " and cannot be read as I64");
  }
  return integers(stored(name));
}

void Checkpoint::release(const std::string& name) const {
  const MatchedTensor& tensor = impl_->tensor(name);
  tensor.weight.file->release(tensor.weight.bytes);
  for (const auto* part : {&tensor.scale, &tensor.zero_point}) {
    if (*part) (*part)->file->release((*part)->bytes);
  }
}

}  // namespace dsv4
