// Blocks of rows handed out to threads, each read as float32 and looked at.
#include "checkpoint/finite_weights.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "checkpoint/helper_threads.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "formats/dequantize.h"

namespace dsv4 {
namespace {

constexpr int64_t kBlockElements = 1 << 18;  // 1 MB of float32: stays in a core's cache
constexpr unsigned kThreadsPerCore = 2;      // while one waits for the disk, the other computes

struct Block {
  size_t tensor = 0;  // in the table
  int64_t rows = 0, columns = 0, begin = 0, end = 0;
};

/// Place of a value that is no number.
struct Culprit {
  int64_t row = 0, column = 0;
  float value = 0.0f;
};

class Reader {
 public:
  Reader(const Checkpoint& checkpoint, const std::function<void(uint64_t, uint64_t)>& progress)
      : checkpoint_(checkpoint), progress_(progress), table_(checkpoint.table()) {
    table_.insert(table_.end(), checkpoint.draft_table().begin(), checkpoint.draft_table().end());
    for (const TensorSpec& spec : table_) {
      if (spec.published != NumberFormat::kI64) total_ += checkpoint.stored(spec.name).bytes.size();
    }
  }

  void run() {
    run_with_helpers(kThreadsPerCore * std::max(1u, std::thread::hardware_concurrency()) - 1, [this] { work(); });
    if (culprits_.empty()) return;
    const auto& [tensor, culprit] = *culprits_.begin();
    const std::string& name = table_[tensor].name;
    const TensorView& view = checkpoint_.stored(name);
    const std::string slice = view.stored_name == name ? std::string() : concat(" (", name, ")");  // of a stack, or in other words
    const std::string others = culprits_.size() > 1 ? concat("; so do ", culprits_.size() - 1, " more tensors") : std::string();
    fail(path_text(view.file->path()), ": tensor ", quote(view.stored_name), slice, " holds ", culprit.value, " at row ", culprit.row,
         ", column ", culprit.column, ", which is no weight", others, "; the checkpoint is damaged, download it again or take another");
  }

 private:
  void work() {
    try {
      std::vector<float> values;
      while (!failed_) {
        const std::optional<Block> block = next();
        if (!block) return;
        look_at(*block, values);
      }
    } catch (...) {
      failed_ = true;
      throw;
    }
  }

  std::optional<Block> next() {
    const std::lock_guard lock(mutex_);
    while (next_.tensor < table_.size()) {
      const TensorSpec& spec = table_[next_.tensor];
      if (spec.published != NumberFormat::kI64 && next_.end == 0) {  // at its beginning
        next_.rows = spec.shape.size() < 2 ? 1 : spec.shape[0];
        next_.columns = element_count(spec.shape) / std::max<int64_t>(next_.rows, 1);
      }
      if (spec.published == NumberFormat::kI64 || next_.end == next_.rows) {
        next_ = {.tensor = next_.tensor + 1};
        continue;
      }
      next_.begin = next_.end;
      next_.end = std::min(next_.rows, next_.begin + std::max<int64_t>(1, kBlockElements / std::max<int64_t>(next_.columns, 1)));
      return next_;
    }
    return std::nullopt;
  }

  void look_at(const Block& block, std::vector<float>& values) {
    const std::string& name = table_[block.tensor].name;
    values.resize(static_cast<size_t>((block.end - block.begin) * block.columns));
    checkpoint_.read_rows(name, block.begin, block.end, values.data());
    const bool finite = all_finite(values.data(), static_cast<int64_t>(values.size()));
    const TensorView& view = checkpoint_.stored(name);
    const size_t row_bytes = view.bytes.size() / static_cast<size_t>(block.rows);
    const auto bytes =
        view.bytes.subspan(static_cast<size_t>(block.begin) * row_bytes, static_cast<size_t>(block.end - block.begin) * row_bytes);
    view.file->release(bytes);
    const std::lock_guard lock(mutex_);
    if (!finite) note(block, values);
    done_ += bytes.size();
    if (progress_) progress_(done_, total_);
  }

  void note(const Block& block, const std::vector<float>& values) {
    const auto at = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); }) - values.begin();
    const Culprit culprit = {block.begin + at / block.columns, at % block.columns, values[static_cast<size_t>(at)]};
    const auto [known, added] = culprits_.emplace(block.tensor, culprit);
    if (!added && culprit.row < known->second.row) known->second = culprit;
  }

  const Checkpoint& checkpoint_;
  const std::function<void(uint64_t, uint64_t)>& progress_;
  std::vector<TensorSpec> table_;  // of the model and of its draft
  std::mutex mutex_;
  std::atomic<bool> failed_ = false;
  Block next_;
  std::map<size_t, Culprit> culprits_;  // by tensor, the first of each
  uint64_t done_ = 0, total_ = 0;
};

}  // namespace

void check_weights_finite(const Checkpoint& checkpoint, const std::function<void(uint64_t done, uint64_t total)>& progress) {
  Reader(checkpoint, progress).run();
}

}  // namespace dsv4
