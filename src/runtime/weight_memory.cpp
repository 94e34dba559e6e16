// Where weights lie: map, lock or copy.
#include "runtime/weight_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "dsv4/error.h"
#include "runtime/expansion.h"

namespace dsv4 {

namespace {

constexpr int64_t kCopyAlignment = 64;

int64_t aligned(int64_t bytes) { return (bytes + kCopyAlignment - 1) / kCopyAlignment * kCopyAlignment; }

/// Pages locked into RAM while it lives.
class LockedPages {
 public:
  LockedPages(const void* data, size_t bytes, const std::string& where) {
    const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)), begin = reinterpret_cast<uintptr_t>(data) / page * page;
    data_ = reinterpret_cast<void*>(begin);
    bytes_ = reinterpret_cast<uintptr_t>(data) + bytes - begin;
    if (mlock(data_, bytes_) != 0) {
      fail(where, ": the weights cannot be locked into memory (", std::strerror(errno),
           "); raise the limit of locked memory (ulimit -l) or use --weights load");
    }
  }
  // Weights share their first and last pages with their neighbours, which go at the same time.
  ~LockedPages() { munlock(data_, bytes_); }
  LockedPages(const LockedPages&) = delete;
  LockedPages& operator=(const LockedPages&) = delete;

 private:
  void* data_;
  size_t bytes_;
};

}  // namespace

ModelWeights::ModelWeights(const ov::Model& ir, WeightMemory memory, std::string where)
    : constants_(ir), memory_(memory), where_(std::move(where)) {
  if (memory_ != WeightMemory::kLoad) return;
  int64_t total = 0;
  constants_.for_each([&](const Constant& constant) { total += aligned(static_cast<int64_t>(constant.get_byte_size())); });
  if (static_cast<uint64_t>(total) > available_memory()) {
    fail(where_, ": --weights load copies ", total / 1000000, " MB of weights into memory and ", available_memory() / 1000000,
         " MB are available; use --weights map");
  }
  copies_ = std::make_shared<LazyMemory>(total, "a copy of the weights", LazyMemory::Pages::kHuge);
}

std::shared_ptr<ov::op::v0::Constant> ModelWeights::placed(const Constant& constant, ov::element::Type type, const ov::Shape& shape) {
  const void* data = constant.get_data_ptr();
  const size_t bytes = constant.get_byte_size();
  std::shared_ptr<void> owner = std::const_pointer_cast<ov::Node>(constant.shared_from_this());
  if (memory_ == WeightMemory::kLoad) {
    std::byte* copy = copies_->data() + copied_;
    std::memcpy(copy, data, bytes);
    copied_ += aligned(static_cast<int64_t>(bytes));
    data = copy;
    owner = copies_;
  } else if (memory_ == WeightMemory::kLock) {
    // The lock goes before the map that it is on.
    owner = std::shared_ptr<void>(new LockedPages(data, bytes, where_), [owner](void* lock) { delete static_cast<LockedPages*>(lock); });
  }
  const auto result = std::make_shared<Constant>(type, shape, data, owner);
  result->set_friendly_name(constant.get_friendly_name());
  return result;
}

ov::OutputVector ModelWeights::stored(const std::string& name) {
  ov::OutputVector parts;
  for (const char* suffix : {"", "/scale", "/zero_point"}) {
    const auto constant = constants_.find(name + suffix);
    if (!constant) break;
    parts.push_back(placed(*constant, constant->get_element_type(), constant->get_shape()));
  }
  if (parts.empty()) fail(where_, ": openvino_model.xml has no constant ", name, "; convert the checkpoint again");
  return parts;
}

ov::OutputVector ModelWeights::stored_stack(const std::string& name, int64_t count, int64_t rows, int64_t cols) {
  const auto codes = constants_.find(name), scales = constants_.find(name + "/scale"), zero_points = constants_.find(name + "/zero_point");
  // `--experts gather` declares 4-bit stacks, and E8M0 scales, as bytes [E, bytes of a matrix]: the same bytes, and the shapes tell what they are.
  const bool as_bytes = codes && scales && codes->get_element_type() == ov::element::u8 && codes->get_shape().size() == 2;
  if (!as_bytes) return stored(name);
  const auto dim = [](int64_t n) { return static_cast<size_t>(n); };
  const bool fp4 = scales->get_element_type() == ov::element::u8;
  const int64_t scale_count = static_cast<int64_t>(ov::shape_size(scales->get_shape()));
  if (scale_count % (count * rows) != 0 || cols % (scale_count / (count * rows)) != 0 ||
      static_cast<int64_t>(codes->get_byte_size()) * 2 != count * rows * cols) {
    fail(where_, ": the constant ", name, " of openvino_model.xml is no stack of ", count, " x ", rows, " x ", cols,
         "; convert the checkpoint again");
  }
  const int64_t groups = scale_count / (count * rows);
  const bool grouped = fp4 || scales->get_shape().size() == 4;
  const ov::Shape shape =
      grouped ? ov::Shape{dim(count), dim(rows), dim(groups), dim(cols / groups)} : ov::Shape{dim(count), dim(rows), dim(cols)};
  ov::Shape scale_shape = shape;
  scale_shape.back() = 1;
  const ov::element::Type type = fp4 ? ov::element::f4e2m1 : zero_points ? ov::element::u4 : ov::element::i4;
  ov::OutputVector parts = {placed(*codes, type, shape),
                            placed(*scales, fp4 ? ov::element::f8e8m0 : scales->get_element_type(), scale_shape)};
  if (zero_points) parts.push_back(placed(*zero_points, type, scale_shape));
  return parts;
}

}  // namespace dsv4
