// Filling openvino_model.bin.
#include "convert/bin_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include "checkpoint/numbers.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr int64_t kChunkElements = 1 << 20;   // 4 MB of float32 a thread
constexpr uint64_t kReleaseBytes = 64 << 20;  // of output between two releases of source pages
constexpr float kMaxF16 = 65504.0f;

// Closes on every way out.
class File {
 public:
  File(const std::filesystem::path& path, uint64_t size) : path_(path) {
    fd_ = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    if (fd_ < 0) fail("cannot create ", path.string(), ": ", std::strerror(errno));
    const int error = ::posix_fallocate(fd_, 0, static_cast<off_t>(size));
    if (error == ENOSPC) fail(path.string(), ": the disk has no room for ", size, " bytes; free some or choose another output");
    if (error != 0 && error != EOPNOTSUPP && error != EINVAL)
      fail("cannot reserve ", size, " bytes for ", path.string(), ": ", std::strerror(error));
  }
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void write_at(uint64_t offset, const void* data, size_t bytes) const {
    const char* p = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t n = ::pwrite(fd_, p, bytes, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) fail("cannot write ", path_.string(), " at byte ", offset, ": ", std::strerror(n < 0 ? errno : EIO));
      p += n;
      offset += static_cast<uint64_t>(n);
      bytes -= static_cast<size_t>(n);
    }
  }

  void close() {
    const int fd = std::exchange(fd_, -1);
    if (::fsync(fd) != 0 || ::close(fd) != 0) fail("cannot finish ", path_.string(), ": ", std::strerror(errno));
  }

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

// Some rows of one checkpoint tensor and where they go.
struct Piece {
  const PlannedConstant* constant = nullptr;
  const std::string* tensor = nullptr;
  int64_t row_begin = 0;
  int64_t row_end = 0;
  int64_t columns = 0;
  uint64_t offset = 0;
};

// Rows and columns of a tensor of rank 1 (one row) or 2.
std::pair<int64_t, int64_t> rows_and_columns(const Shape& shape) {
  return shape.size() == 2 ? std::pair{shape[0], shape[1]} : std::pair{int64_t{1}, element_count(shape)};
}

// Hands out the pieces of the plan in file order.
class PieceQueue {
 public:
  PieceQueue(const Checkpoint& checkpoint, const StoragePlan& plan) : checkpoint_(checkpoint), plan_(plan) {}

  bool next(Piece& piece) {
    const std::lock_guard lock(mutex_);
    if (constant_ == plan_.constants.size()) return false;
    const PlannedConstant& constant = plan_.constants[constant_];
    const std::string& tensor = constant.parts[part_];
    const auto [rows, columns] = rows_and_columns(checkpoint_.shape(tensor));
    const int64_t step = std::max<int64_t>(1, kChunkElements / columns);
    const int64_t end = std::min(rows, row_ + step);
    piece = {&constant, &tensor, row_, end, columns, constant.offset + written_};
    written_ += static_cast<uint64_t>((end - row_) * columns) * constant.type.size();
    row_ = end;
    if (row_ == rows) {
      row_ = 0;
      if (++part_ == constant.parts.size()) {
        if (written_ != constant.bytes) fail("the parts of ", constant.name, " make ", written_, " bytes; planned ", constant.bytes);
        part_ = 0;
        written_ = 0;
        ++constant_;
      }
    }
    return true;
  }

 private:
  const Checkpoint& checkpoint_;
  const StoragePlan& plan_;
  std::mutex mutex_;
  size_t constant_ = 0, part_ = 0;
  int64_t row_ = 0;
  uint64_t written_ = 0;
};

// Error for what the stored type cannot hold. All values are compared first, which vectorises; the culprit is looked for only if there is one.
void check_values(const Piece& piece, const std::vector<float>& values) {
  const bool half = piece.constant->type == ov::element::f16;
  const float limit = half ? kMaxF16 : std::numeric_limits<float>::max();
  bool fits = true;
  for (const float value : values) fits &= std::fabs(value) <= limit;
  if (fits) return;
  const float culprit = *std::find_if(values.begin(), values.end(), [&](float value) { return !(std::fabs(value) <= limit); });
  if (!std::isfinite(culprit)) fail("tensor ", *piece.tensor, " holds ", culprit, ", which is no weight; the checkpoint is damaged");
  fail("tensor ", *piece.tensor, " holds ", culprit, ", which float16 cannot; convert with --weight-format fp32");
}

}  // namespace

void write_bin(const Checkpoint& checkpoint, const StoragePlan& plan, uint64_t small_offset, std::string_view small_constants,
               const std::filesystem::path& path, const std::function<void(uint64_t done, uint64_t total)>& progress) {
  File file(path, small_offset + small_constants.size());
  file.write_at(small_offset, small_constants.data(), small_constants.size());

  PieceQueue queue(checkpoint, plan);
  uint64_t total = 0;
  for (const PlannedConstant& constant : plan.constants) total += constant.bytes;
  std::atomic<uint64_t> done = 0;
  std::atomic<bool> stop = false;
  std::mutex mutex;  // of progress and the first error
  std::exception_ptr error;

  const auto work = [&] {
    try {
      std::vector<float> values;
      std::vector<uint16_t> halves;
      Piece piece;
      while (!stop && queue.next(piece)) {
        const size_t count = static_cast<size_t>((piece.row_end - piece.row_begin) * piece.columns);
        const size_t bytes = count * piece.constant->type.size();
        if (piece.constant->type == ov::element::i32) {  // expert ids: small tables, whole at once
          const std::vector<int64_t> ids = checkpoint.read_i64(*piece.tensor);
          const auto begin = ids.begin() + piece.row_begin * piece.columns;
          const std::vector<int32_t> narrow(begin, begin + static_cast<std::ptrdiff_t>(count));
          file.write_at(piece.offset, narrow.data(), bytes);
        } else {
          values.resize(count);
          checkpoint.read_rows(*piece.tensor, piece.row_begin, piece.row_end, values.data());
          check_values(piece, values);
          if (piece.constant->type == ov::element::f16) {
            halves.resize(count);
            std::transform(values.begin(), values.end(), halves.begin(), f32_to_f16);
            file.write_at(piece.offset, halves.data(), bytes);
          } else {
            file.write_at(piece.offset, values.data(), bytes);
          }
        }
        // All pages of the source at once, now and then: what other threads are reading is mapped again at their next touch.
        const uint64_t before = done.fetch_add(bytes);
        if (before / kReleaseBytes != (before + bytes) / kReleaseBytes) {
          for (const auto& source : checkpoint.files()) source->release();
        }
        if (progress) {
          const std::lock_guard lock(mutex);
          progress(done, total);
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
      stop = true;
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < std::max(1u, std::thread::hardware_concurrency()); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
  file.close();
}

}  // namespace dsv4
