// Plans the shards of a synthetic checkpoint, fills them row by row on all cores, and shows the directory only when it is complete.
#include "checkpoint/synthesize.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "checkpoint/byte_tokenizer.h"
#include "checkpoint/cut.h"
#include "checkpoint/helper_threads.h"
#include "checkpoint/json_text.h"
#include "checkpoint/names.h"
#include "checkpoint/quote.h"
#include "checkpoint/random_weights.h"
#include "checkpoint/shard_plan.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr uint64_t kChunkBytes = 16u << 20;  // made in memory before they are written
constexpr uint64_t kThreadBytes = 1u << 20;  // below this a thread costs more than it brings
constexpr uint64_t kSmallFiles = 1u << 20;   // room for the JSON files in the disk check, beside what is counted

/// The config as it will be written: cut to the layers asked for, and explicit about the formats.
ordered_json config_to_write(const SynthesizeOptions& options) {
  const std::string& source = options.preset_or_config;
  const std::vector<std::string> presets = preset_names();
  const bool preset = std::find(presets.begin(), presets.end(), source) != presets.end();
  std::error_code ec;
  if (!preset && !fs::is_regular_file(source, ec)) {
    fail(path_text(source), ": neither a preset (", joined(presets), ") nor a file, expected the path of a config.json");
  }
  const std::string where = path_text(source);
  const std::string text = preset ? preset_config(source) : read_config_text(source);
  const Config config = parse_config(text, where);
  ordered_json document = parse_json(text);
  if (config.expert_dtype.empty()) document["expert_dtype"] = "fp4";
  if (!document.contains("quantization_config")) {
    document["quantization_config"] = parse_json(preset_config("v4-flash"))["quantization_config"];
  }
  if (options.layers == -1) return document;
  first_layers(config, options.layers);  // refuses a number that the model does not have
  return parse_json(first_layers(json_text(document), options.layers));
}

std::string generation_config(const Config& config) {
  ordered_json document = {{"_from_model_config", true}, {"bos_token_id", config.bos_token_id}};
  if (config.eos_token_ids.size() == 1) {
    document["eos_token_id"] = config.eos_token_ids[0];
  } else if (!config.eos_token_ids.empty()) {
    document["eos_token_id"] = config.eos_token_ids;
  }
  document["do_sample"] = true;
  document["temperature"] = 1.0;
  document["top_p"] = 1.0;
  document["transformers_version"] = "4.46.3";
  return json_file_text(document);
}

/// A file being written; errors name the file and the reason.
class OutputFile {
 public:
  explicit OutputFile(fs::path path) : path_(std::move(path)), fd_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) {
    if (fd_ < 0) fail(path_text(path_), ": cannot be created: ", std::strerror(errno));
  }
  ~OutputFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, size_t size) {
    const char* next = static_cast<const char*>(data);
    while (size > 0) {
      const ssize_t written = ::write(fd_, next, size);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) fail(path_text(path_), ": cannot be written: ", std::strerror(errno));
      next += written;
      size -= static_cast<size_t>(written);
    }
  }

  /// Leaves a hole, which reads as zeros and takes no room.
  void skip(uint64_t size) {
    const off_t end = ::lseek(fd_, static_cast<off_t>(size), SEEK_CUR);
    if (end < 0 || ::ftruncate(fd_, end) != 0) fail(path_text(path_), ": cannot be written: ", std::strerror(errno));
  }

  void close() {
    const int fd = std::exchange(fd_, -1);
    if (::close(fd) != 0) fail(path_text(path_), ": cannot be written: ", std::strerror(errno));
  }

 private:
  fs::path path_;
  int fd_;
};

void write_file(const fs::path& path, const std::string& text) {
  OutputFile file(path);
  file.write(text.data(), text.size());
  file.close();
}

/// OUT.partial-<pid>, which becomes OUT by commit() and vanishes otherwise.
class PartialDirectory {
 public:
  explicit PartialDirectory(const fs::path& output) : output_(fs::absolute(output).lexically_normal()) {
    if (!output_.has_filename()) output_ = output_.parent_path();
    std::error_code ec;
    if (fs::exists(output_, ec) && !(fs::is_directory(output_, ec) && fs::is_empty(output_, ec))) {
      fail(path_text(output_), ": exists and is not an empty directory, expected a new one; remove it or name another");
    }
    fs::create_directories(output_.parent_path(), ec);
    if (ec) fail(path_text(output_.parent_path()), ": cannot be created: ", ec.message());
    path_ = output_;
    path_ += ".partial-" + std::to_string(::getpid());
    if (!fs::create_directory(path_, ec)) fail(path_text(path_), ": cannot be created: ", ec ? ec.message() : "exists, remove it");
  }
  ~PartialDirectory() {
    std::error_code ec;
    if (!path_.empty()) fs::remove_all(path_, ec);
  }
  PartialDirectory(const PartialDirectory&) = delete;
  PartialDirectory& operator=(const PartialDirectory&) = delete;

  const fs::path& path() const { return path_; }

  void check_space(uint64_t needed) const {
    std::error_code ec;
    const fs::space_info space = fs::space(path_, ec);
    if (ec) return;  // a file system that cannot tell; a full disk is still found when writing
    if (space.available < needed) {
      fail(path_text(output_), ": needs ", needed, " bytes of disk, ", space.available, " are free; free some or cut with --layers");
    }
  }

  void commit() {
    std::error_code ec;
    fs::rename(path_, output_, ec);
    if (ec) fail(path_text(output_), ": cannot be given its name: ", ec.message());
    path_.clear();
  }

 private:
  fs::path output_;
  fs::path path_;
};

/// What --sparse leaves out: all that makes a checkpoint large. Norms, float32 tensors, hash tables and the scales of dense weights are written, so that a model that is
/// made of it meets no number that it could not meet in a real one but zero.
bool is_hole(const ShardPiece& piece) {
  switch (piece.spec->published) {
    case NumberFormat::kF4E2M1:
      return true;
    case NumberFormat::kF8E4M3:
      return !piece.is_scale() || parse_expert_name(piece.spec->name);
    case NumberFormat::kBF16:
      return piece.spec->shape.size() > 1;
    default:
      return false;
  }
}

/// Writes stored tensors, a bounded number of rows at a time, and counts them.
class TensorWriter {
 public:
  TensorWriter(const Config& config, const SynthesizeOptions& options, uint64_t total)
      : config_(config), options_(options), total_(total), cores_(std::max(1u, std::thread::hardware_concurrency())) {}

  void write(const ShardPiece& piece, OutputFile& file) {
    if (options_.sparse && is_hole(piece)) return file.skip(piece.bytes);
    const RandomTensor tensor(config_, *piece.spec, options_.seed);
    const bool scale = piece.is_scale();
    const int64_t rows = scale ? tensor.scale_rows() : tensor.rows();
    const size_t row_bytes = scale ? tensor.scale_row_bytes() : tensor.row_bytes();
    const auto chunk_rows = static_cast<int64_t>(std::max<uint64_t>(1, kChunkBytes / row_bytes));
    for (int64_t begin = 0; begin < rows; begin += chunk_rows) {
      const int64_t end = std::min(rows, begin + chunk_rows);
      buffer_.resize(static_cast<size_t>(end - begin) * row_bytes);
      fill(tensor, scale, begin, end, row_bytes);
      file.write(buffer_.data(), buffer_.size());
      done_ += buffer_.size();
      if (options_.progress) options_.progress(done_, total_);
    }
  }

 private:
  void fill(const RandomTensor& tensor, bool scale, int64_t begin, int64_t end, size_t row_bytes) {
    const auto fill_rows = [&, this](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row) {
        std::byte* out = buffer_.data() + static_cast<size_t>(row - begin) * row_bytes;
        scale ? tensor.fill_scale_row(row, out) : tensor.fill_row(row, out);
      }
    };
    const auto parts = static_cast<int64_t>(std::clamp<uint64_t>(buffer_.size() / kThreadBytes, 1, cores_));
    const auto bound = [&](int64_t part) { return begin + (end - begin) * part / parts; };
    std::atomic<int64_t> next = 0;
    run_with_helpers(parts - 1, [&] {
      for (int64_t part = next++; part < parts; part = next++) fill_rows(bound(part), bound(part + 1));
    });
  }

  const Config& config_;
  const SynthesizeOptions& options_;
  uint64_t total_;
  uint64_t done_ = 0;
  unsigned cores_;
  std::vector<std::byte> buffer_;
};

}  // namespace

void synthesize(const SynthesizeOptions& options) {
  const ordered_json document = config_to_write(options);
  const Config config = parse_config(json_text(document), path_text(options.preset_or_config));
  const std::vector<TensorSpec> table = tensor_table(config);
  const std::vector<Shard> shards = plan_shards(config, table, options.shard_bytes);
  const std::string index = index_json(shards);
  uint64_t total = 0, headers = 0;  // that are written
  for (const Shard& shard : shards) {
    headers += shard.header.size();
    for (const ShardPiece& piece : shard.pieces) total += options.sparse && is_hole(piece) ? 0 : piece.bytes;
  }

  const std::optional<TokenizerFiles> tokenizer = byte_tokenizer(config);
  if (!tokenizer && options.notice) {
    options.notice(concat("vocab_size ", config.vocab_size, " is too small for the 256 bytes, BOS and EOS: no tokenizer is written"));
  }

  PartialDirectory directory(options.output);
  directory.check_space(total + headers + index.size() + (tokenizer ? tokenizer->tokenizer_json.size() : 0) + kSmallFiles);
  write_file(directory.path() / "config.json", json_file_text(document));
  write_file(directory.path() / "generation_config.json", generation_config(config));
  if (tokenizer) {
    write_file(directory.path() / "tokenizer.json", tokenizer->tokenizer_json);
    write_file(directory.path() / "tokenizer_config.json", tokenizer->tokenizer_config_json);
  }
  TensorWriter writer(config, options, total);
  for (size_t i = 0; i < shards.size(); ++i) {
    OutputFile file(directory.path() / shard_name(i, shards.size()));
    file.write(shards[i].header.data(), shards[i].header.size());
    for (const ShardPiece& piece : shards[i].pieces) writer.write(piece, file);
    file.close();
  }
  write_file(directory.path() / "model.safetensors.index.json", index);
  directory.commit();
}

}  // namespace dsv4
