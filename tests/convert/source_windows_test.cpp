// Sources that are read ahead of their use, past the page cache: the bytes of the shards, whatever the drive does.
#include "convert/source_windows.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/quote.h"
#include "convert/convert.h"
#include "convert/file_list.h"
#include "convert/inspect_folder.h"
#include "convert/selection.h"
#include "support/faulty_io.h"
#include "support/files.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;
using namespace testing_support;

const fs::path kHash = fs::path(DSV4_TEST_DATA) / "goldens" / "hash";

/// A copy of a checkpoint that the page cache does not hold.
class ColdCheckpoint {
 public:
  ColdCheckpoint() : path_(directory_.path() / "checkpoint") {
    fs::copy(kHash, path_);
    forget();
  }
  const fs::path& path() const { return path_; }
  void forget() const {
    for (const std::string& name : names_in(path_)) {
      const int fd = ::open((path_ / name).c_str(), O_RDONLY);
      ::fsync(fd);
      ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
      ::close(fd);
    }
  }
  /// Not where there is no drive behind the files.
  bool can_be_read_directly() const {
    struct statfs system {};
    return ::statfs(path_.c_str(), &system) == 0 && system.f_type != TMPFS_MAGIC &&
           DirectFile(path_ / "model-00001-of-00002.safetensors").direct();
  }

 private:
  TemporaryDirectory directory_;
  fs::path path_;
};

/// The .bin, whose hash has to be in the list of files. `before` is called when the checkpoint is open and nothing of its weights is read.
std::string converted(
    const fs::path& checkpoint, WeightFormat format, uint64_t direct_bytes, const std::function<void()>& before = [] {}) {
  const TemporaryDirectory directory;
  ConvertOptions options;
  options.checkpoint = checkpoint;
  options.output = directory.path() / "model";
  options.compression.format = format;
  options.compression.fallback = GroupSizeFallback::kAdjust;
  options.record_bytes = 1 << 18;
  options.direct_bytes = direct_bytes;
  options.progress = [&](uint64_t done, uint64_t) {
    if (done == 0) before();
  };
  convert(options);
  EXPECT_TRUE(check_files(options.output, read_file_list(options.output).value(), nullptr).empty());
  return read_file(options.output / "openvino_model.bin");
}

constexpr uint64_t kNever = ~uint64_t{0};

TEST(DirectConversion, GivesTheFilesOfABufferedOne) {
  for (const WeightFormat format : {WeightFormat::kInt4, WeightFormat::kMxfp4, WeightFormat::kFp32}) {
    const std::string expected = converted(kHash, format, kNever);
    const ColdCheckpoint cold;
    const FaultyIo counted(".safetensors", {});
    EXPECT_TRUE(converted(cold.path(), format, 0, [&] { cold.forget(); }) == expected);
    EXPECT_TRUE(counted.direct_reads() > 0 || !cold.can_be_read_directly());
  }
}

TEST(DirectConversion, LeavesWhatIsInMemoryToTheMap) {
  const ColdCheckpoint cold;
  for (const std::string& name : names_in(cold.path())) read_file(cold.path() / name);
  const FaultyIo counted(".safetensors", {});
  converted(cold.path(), WeightFormat::kInt4, 0);
  EXPECT_EQ(counted.direct_reads(), 0);
}

TEST(DirectConversion, GivesTheSameFilesFromDrivesThatGoWrong) {
  const std::string expected = converted(kHash, WeightFormat::kInt4, kNever);
  const std::vector<Faults> all = {
      {.short_reads = true},  {.refuse_direct_open = true}, {.refuse_direct_reads = true},  {.hide_alignment = true}, {.eio = 1},
      {.eio = 2, .after = 1}, {.short_writes = true},       {.refuse_direct_writes = true}, {.delay = 3000}};
  for (size_t i = 0; i < all.size(); ++i) {
    const ColdCheckpoint cold;
    for (const char* suffix : {".safetensors", ".bin"}) {
      if (std::string(suffix) == ".bin" && all[i].eio != 0) continue;  // the .bin's errors are errors
      std::optional<FaultyIo> faulty;                                  // not of the headers
      const auto begin = [&] {
        cold.forget();
        faulty.emplace(suffix, all[i]);
      };
      EXPECT_TRUE(converted(cold.path(), WeightFormat::kInt4, 0, begin) == expected) << "fault " << i << " of " << suffix;
    }
  }
}

/// Every piece's sources, read in order by several threads through slots of one or a few pages, whose windows share pages all the time, by reads that end early.
TEST(SourceWindows, ShowTheBytesOfTheShards) {
  for (const uint64_t pages : {1, 3, 17, 40}) {
    const ColdCheckpoint cold;
    const Checkpoint checkpoint = Checkpoint::open(cold.path());
    cold.forget();  // what came with the headers
    const std::vector<WeightUnit> units = weight_units(checkpoint.config(), tensor_table(checkpoint.config()));
    std::vector<StoredFormat> forms;
    for (const WeightUnit& unit : units) forms.push_back({unit.use == WeightUse::kExpertIds ? NumberFormat::kI32 : NumberFormat::kF32});
    const StoragePlan plan = plan_storage(units, forms);
    std::map<const SafetensorsFile*, std::string> shards;
    for (const auto& file : checkpoint.files()) shards[file.get()] = read_file(kHash / file->path().filename());

    const FaultyIo faulty(".safetensors", {.short_reads = true, .delay = 300});
    PieceQueue queue(plan.weights);
    SourceWindows windows(checkpoint, plan.weights, 0, pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)));
    std::atomic<int> wrong = 0, shown = 0;
    for_each_piece(
        queue, [] { return false; },
        [&](const PieceQueue::Numbered& numbered, PieceBuffers&) {
          const SourceWindows::Use use(windows, numbered.number);
          shown += !use.left_to_the_map();
          for (const PieceSource& source : piece_sources(checkpoint, numbered.piece)) {
            if (source.file == nullptr) continue;
            wrong += std::memcmp(source.bytes.data(), shards.at(source.file).data() + source.file->offset_of(source.bytes),
                                 source.bytes.size()) != 0;
          }
        });
    EXPECT_EQ(wrong, 0);
    EXPECT_TRUE(shown > 0 || pages == 1 || !cold.can_be_read_directly());
  }
}

}  // namespace
}  // namespace dsv4
