// Images of caches and their mapping.
#include "ops/attention/cache_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dsv4/error.h"
#include "files/descriptor.h"

namespace dsv4::ops {

namespace {

/// Images that the lists of one cache are mapped from, at most: more would be many mappings, of which a process may have 65,530.
constexpr size_t kMostImages = 12;

using Range = CacheLayout::Range;

Range whole_pages(int64_t begin, int64_t end) {
  static const int64_t page = sysconf(_SC_PAGESIZE);
  return {begin / page * page, (end + page - 1) / page * page};
}

/// Where a list has the rows of positions [from, to).
Range pages_of(const CacheLayout::List& list, int64_t from, int64_t to) {
  if (list.end(from) == list.end(to)) return {};
  return whole_pages(list.end(from), list.end(to));
}

[[noreturn]] void refuse(const char* what) { fail("no memory to share the cache of a sequence (", what, "): ", std::strerror(errno)); }

}  // namespace

/// Pages of a cache at the places that they have in it; the others are holes, which take nothing.
class CacheImage {
 public:
  explicit CacheImage(int64_t size) : file_(::memfd_create("dsv4-cache", MFD_CLOEXEC)) {
    if (file_.fd < 0 || ::ftruncate(file_.fd, size) != 0) refuse("memfd_create");
  }

  void write(const std::byte* cache, Range pages) {
    while (pages.begin < pages.end) {
      const ssize_t written = ::pwrite(file_.fd, cache + pages.begin, static_cast<size_t>(pages.end - pages.begin), pages.begin);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) refuse("pwrite");
      pages.begin += written;
    }
  }

  /// False where it cannot be mapped; what was there before is there still.
  bool map(std::byte* cache, Range pages) const {
    if (pages.begin >= pages.end) return true;
    return ::mmap(cache + pages.begin, static_cast<size_t>(pages.end - pages.begin), PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file_.fd, pages.begin) != MAP_FAILED;
  }

 private:
  Descriptor file_;
};

CacheMemory::CacheMemory(const CacheShape& shape)
    : layout_(shape), memory_(layout_.bytes(), "the cache of a sequence; a smaller context (--context) needs less") {
  layout_.write_header(memory_.data());
}

void CacheMemory::will_write(int64_t position) {
  frozen_to_ = std::min(frozen_to_, position);
  last_.reset();
}

std::shared_ptr<const FrozenCache> CacheMemory::freeze(int64_t position, int64_t back) {
  if (last_ && last_->position == position) return last_;
  auto frozen = std::make_shared<FrozenCache>();
  frozen->position = position;

  auto rings = std::make_shared<CacheImage>(layout_.lists_begin());
  Range pages = whole_pages(0, layout_.layer(0).window);  // the header
  for (const Range& used : layout_.used(position, back)) {
    if (used.begin >= layout_.lists_begin()) break;
    const Range next = whole_pages(used.begin, used.end);
    if (next.begin > pages.end) {
      rings->write(memory_.data(), pages);
      pages = next;
    }
    pages.end = std::max(pages.end, next.end);
  }
  rings->write(memory_.data(), pages);
  frozen->rings = std::move(rings);

  std::vector<FrozenCache::Lists> lists = lists_;
  int64_t from = std::min(frozen_to_, position);
  while (!lists.empty() && lists.back().from >= from) lists.pop_back();
  if (lists.size() >= kMostImages) {
    lists.clear();
    from = 0;
  }
  if (!lists.empty()) lists.back().to = std::min(lists.back().to, from);
  if (from < position) {
    auto image = std::make_shared<CacheImage>(layout_.bytes());
    for (const auto& list : layout_.lists()) image->write(memory_.data(), pages_of(list, from, position));
    lists.push_back({image, from, position});
    // From here on it has these pages in common with the image. Where that fails it keeps its own, with the same in them.
    for (const auto& list : layout_.lists()) {
      if (!image->map(memory_.data(), pages_of(list, from, position))) break;
    }
  }
  lists_ = lists;
  frozen_to_ = position;
  frozen->lists = std::move(lists);
  last_ = frozen;
  return frozen;
}

void CacheMemory::go_on_from(const std::shared_ptr<const FrozenCache>& frozen) {
  std::vector<FrozenCache::Lists> lists = frozen->lists;
  will_write(0);
  memory_.discard();
  bool mapped = frozen->rings->map(memory_.data(), {0, layout_.lists_begin()});
  for (const auto& part : lists) {
    for (const auto& list : layout_.lists()) mapped = mapped && part.image->map(memory_.data(), pages_of(list, part.from, part.to));
  }
  if (!mapped) refuse("mmap; vm.max_map_count says how many mappings a process may have");
  lists_ = std::move(lists);
  frozen_to_ = frozen->position;
  last_ = frozen;
}

}  // namespace dsv4::ops
