// Writes the model folder that `dsv4 convert` would make of a checkpoint, its matrices left as holes of the .bin: a model of the real size on a disk that has no room for it.
// Usage: write_sparse_folder CHECKPOINT OUT WEIGHT_FORMAT
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <filesystem>

#include "convert/convert.h"
#include "convert/folder.h"
#include "convert/ir.h"
#include "convert/piece_queue.h"
#include "convert/placeholders.h"
#include "convert/release.h"
#include "convert/rt_info.h"
#include "convert/text_file.h"
#include "dsv4/error.h"

namespace {

using namespace dsv4;
namespace fs = std::filesystem;

/// A file whose unwritten bytes are holes; a conversion reserves its room instead.
class SparseFile final : public PieceSink {
 public:
  SparseFile(const fs::path& path, uint64_t bytes) : fd_(::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644)) {
    if (fd_ < 0 || ::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) fail(path.string(), ": cannot be created");
  }
  ~SparseFile() override { ::close(fd_); }

  void write_at(uint64_t offset, const void* data, size_t bytes) override {
    if (::pwrite(fd_, data, bytes, static_cast<off_t>(offset)) != static_cast<ssize_t>(bytes)) fail("the .bin cannot be written");
  }
  void write_nibbles(uint64_t, uint64_t, const uint8_t*, size_t) override { fail("a matrix of four bits is no small weight"); }

 private:
  int fd_;
};

void write_folder(const fs::path& directory, const fs::path& out, const std::string& format) {
  ConvertOptions options;
  options.checkpoint = directory;
  options.output = out;
  options.compression.format = parse_weight_format(format);
  options.tokenizer = false;
  const Checkpoint checkpoint = Checkpoint::open(directory);
  const SmallFiles small_files(checkpoint);
  const Config& config = checkpoint.config();
  const ChatRelease release = release_of(checkpoint);

  std::vector<WeightUnit> units = weight_units(config, tensor_table(config));
  const std::vector<StoredFormat> forms = choose_forms(units, options.compression, [](const WeightUnit&) { return 0.0f; });
  const StoragePlan plan = plan_storage(std::move(units), forms);
  PlaceholderWeights weights(plan);
  const std::shared_ptr<ov::Model> model = build_portable_model(config, weights, PortableOptions{});
  add_rt_info(*model, config, options.compression, transformers_version(small_files.config()), release);
  const uint64_t small_offset = (plan.bytes + 63) / 64 * 64;
  const IrText ir = serialize_ir(model, small_offset);

  fs::create_directories(out);
  for (const FolderFile& file : folder_files(options, small_files, config, release)) write_text(out / file.name, file.bytes);
  write_text(out / "openvino_model.xml", ir.xml);
  SparseFile bin(out / "openvino_model.bin", small_offset + ir.small_constants.size());
  bin.write_at(small_offset, ir.small_constants.data(), ir.small_constants.size());
  PieceBuffers buffers;
  for (const PlannedWeight& weight : plan.weights) {
    if (weight.unit.use != WeightUse::kExact && weight.unit.use != WeightUse::kExpertIds) continue;
    PieceQueue queue(std::span(&weight, 1));
    while (const auto numbered = queue.next()) convert_piece(checkpoint, numbered->piece, buffers, bin);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    write_folder(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "write_sparse_folder: %s\n", error.what());
    return 1;
  }
  return 0;
}
