// Where weights lie: map, lock or copy.
#include "runtime/weight_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "dsv4/error.h"
#include "ops/matrix/stored_layout.h"
#include "runtime/available_memory.h"
#include "runtime/stored_formats.h"

namespace dsv4 {

namespace {

constexpr int64_t kCopyAlignment = 64;

int64_t aligned(int64_t bytes) { return (bytes + kCopyAlignment - 1) / kCopyAlignment * kCopyAlignment; }

/// Mapped pages that were read and are not needed again: memory is scarce where models are streamed.
void leave_to_the_kernel(const void* data, size_t bytes) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)), first = reinterpret_cast<uintptr_t>(data);
  const uintptr_t begin = (first + page - 1) / page * page, end = (first + bytes) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

/// Pages of a map locked into RAM while it lives.
class LockedPages {
 public:
  LockedPages(const void* data, size_t bytes, std::shared_ptr<void> map) : map_(std::move(map)) {
    const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)), begin = reinterpret_cast<uintptr_t>(data) / page * page;
    data_ = reinterpret_cast<void*>(begin);
    bytes_ = reinterpret_cast<uintptr_t>(data) + bytes - begin;
    if (mlock(data_, bytes_) != 0) {
      fail("the weights cannot be locked into memory (", std::strerror(errno),
           "); raise the limit of locked memory (ulimit -l) or use --weights load");
    }
  }
  // Weights share their first and last pages with their neighbours, which go at the same time.
  ~LockedPages() { munlock(data_, bytes_); }
  LockedPages(const LockedPages&) = delete;
  LockedPages& operator=(const LockedPages&) = delete;

 private:
  std::shared_ptr<void> map_;  // outlives the lock
  void* data_;
  size_t bytes_;
};

}  // namespace

ModelWeights::ModelWeights(const ov::Model& ir, WeightMemory memory) : constants_(ir), memory_(memory) {
  if (memory_ != WeightMemory::kLoad && memory_ != WeightMemory::kStream) return;
  int64_t total = 0;
  constants_.for_each([&](const Constant& constant) { total += aligned(static_cast<int64_t>(constant.get_byte_size())); });
  if (memory_ == WeightMemory::kLoad && static_cast<uint64_t>(total) > available_memory()) {
    fail("--weights load copies ", total / 1000000, " MB of weights into memory and ", available_memory() / 1000000,
         " MB are available; use --weights map");
  }
  copies_ = std::make_shared<LazyMemory>(total, "a copy of the weights", LazyMemory::Pages::kHuge);
}

std::shared_ptr<ov::op::v0::Constant> ModelWeights::placed(const Constant& constant, ov::element::Type type, const ov::Shape& shape,
                                                           WeightMemory memory) {
  const void* data = constant.get_data_ptr();
  const size_t bytes = constant.get_byte_size();
  if ((ov::shape_size(shape) * type.bitwidth() + 7) / 8 != bytes) {
    fail("the constant ", constant.get_friendly_name(), " has ", bytes, " bytes, expected those of ", type.get_type_name(), " ",
         ov::PartialShape(shape).to_string(), "; convert the checkpoint again");
  }
  std::shared_ptr<void> owner = std::const_pointer_cast<ov::Node>(constant.shared_from_this());
  if (memory == WeightMemory::kLoad || memory == WeightMemory::kStream) {
    std::byte* copy = copies_->data() + copied_;
    std::memcpy(copy, data, bytes);
    copied_ += aligned(static_cast<int64_t>(bytes));
    if (memory == WeightMemory::kStream) leave_to_the_kernel(data, bytes);
    data = copy;
    owner = copies_;
  } else if (memory == WeightMemory::kLock) {
    owner = std::make_shared<LockedPages>(data, bytes, owner);
  }
  const auto result = std::make_shared<Constant>(type, shape, data, owner);
  result->set_friendly_name(constant.get_friendly_name());
  return result;
}

ov::OutputVector ModelWeights::stored(const std::string& name) { return stored_in(name, memory_); }

ov::OutputVector ModelWeights::stored_in(const std::string& name, WeightMemory memory) {
  ov::OutputVector parts;
  for (const char* suffix : {"", "/scale", "/zero_point"}) {
    const auto constant = constants_.find(name + suffix);
    if (!constant) break;
    parts.push_back(placed(*constant, constant->get_element_type(), constant->get_shape(), memory));
  }
  if (parts.empty()) fail("the constant ", name, " is not there; convert the checkpoint again");
  return parts;
}

ov::OutputVector ModelWeights::stored_stack(const std::string& name, int64_t count, int64_t rows, int64_t cols) {
  const auto codes = constants_.find(name);
  const WeightMemory memory = memory_ == WeightMemory::kStream ? WeightMemory::kMap : memory_;
  if (!codes || !is_byte_stack(*codes)) return stored_in(name, memory);
  const auto dim = [](int64_t n) { return static_cast<size_t>(n); };
  const StoredFormat format = byte_stack_format(constants_, name, *codes, {dim(count), dim(rows), dim(cols)});
  const ov::element::Type type = element_type(format.type);
  const ov::Shape shape = values_shape({dim(count), dim(rows), dim(cols)}, format), scale_shape = scales_shape(shape, format.type);
  ov::OutputVector parts = {placed(*codes, type, shape, memory),
                            placed(*constants_.find(name + "/scale"), element_type(scale_type(format)), scale_shape, memory)};
  if (is_asymmetric(format.type)) parts.push_back(placed(*constants_.find(name + "/zero_point"), type, scale_shape, memory));
  return parts;
}

}  // namespace dsv4
