// Header checks and the memory map of one safetensors file.
#include "checkpoint/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "checkpoint/foreign_content.h"
#include "checkpoint/header_parser.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "files/descriptor.h"

namespace dsv4 {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian");

constexpr uint64_t kLengthField = 8;
constexpr uint64_t kMaxHeader = 100'000'000;  // the limit of the reference implementation

/// The header's length, checked against the file.
uint64_t header_length(std::span<const std::byte> head, uint64_t file_size, const std::string& file) {
  if (file_size == 0) fail(file, ": the file is empty, expected safetensors; download it again");
  uint64_t length = 0;
  if (head.size() >= kLengthField) std::memcpy(&length, head.data(), kLengthField);
  if (head.size() <= kLengthField || length > head.size() - kLengthField || head[kLengthField] != std::byte{'{'}) {
    const std::string other = foreign_to_safetensors({reinterpret_cast<const char*>(head.data()), head.size()});
    if (!other.empty()) fail(file, ": ", other);
  }
  if (file_size < kLengthField || head.size() < kLengthField) {
    fail(file, ": the file has ", file_size, " bytes, too few for a safetensors header; download it again");
  }
  if (length == 0) fail(file, ": the header length is 0, expected at least 2 bytes of JSON; the file is damaged");
  if (length > kMaxHeader) {
    fail(file, ": the header length is ", length, " bytes, more than the limit of ", kMaxHeader,
         "; the file is damaged or not safetensors");
  }
  if (length > file_size - kLengthField || length > head.size() - kLengthField) {
    fail(file, ": the header of ", length, " bytes ends past the end of the file (", file_size,
         " bytes); the file is truncated, download it again");
  }
  return length;
}

/// Every data byte belongs to exactly one tensor.
void check_layout(const SafetensorsHeader& header, uint64_t data_size, const std::string& file) {
  std::vector<std::pair<const std::string*, const TensorEntry*>> order;
  order.reserve(header.tensors.size());
  for (const auto& [name, entry] : header.tensors) order.emplace_back(&name, &entry);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
  });
  // Before holes and overlaps: a file cut short is by far the most common damage, and this is its message.
  for (const auto& [name, entry] : order) {
    if (entry->end > data_size) {
      fail(file, ": tensor ", quote(*name), ": its data end at byte ", entry->end, " but the file has only ", data_size,
           " bytes of data; the file is truncated, download it again");
    }
  }
  uint64_t covered = 0;
  const std::string* previous = nullptr;
  for (const auto& [name, entry] : order) {
    if (entry->begin < covered) {
      fail(file, ": tensor ", quote(*name), ": its data begin at byte ", entry->begin, ", inside tensor ", quote(*previous),
           ", which ends at ", covered, "; the file is damaged");
    }
    if (entry->begin > covered) {
      fail(file, ": tensor ", quote(*name), ": its data begin at byte ", entry->begin, " but the tensors before it end at ", covered,
           ", a hole; the file is damaged");
    }
    covered = entry->end;
    previous = name;
  }
  if (covered < data_size) {
    fail(file, ": ", data_size - covered, " trailing bytes after the last tensor", previous ? " " + quote(*previous) : "",
         " belong to no tensor; the file is damaged");
  }
}

std::string errno_text(int error) { return std::strerror(error); }

int64_t nanoseconds(const struct timespec& time) { return int64_t{time.tv_sec} * 1000000000 + time.tv_nsec; }

FileIdentity identity_of(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .bytes = static_cast<uint64_t>(status.st_size),
          .modified = nanoseconds(status.st_mtim),
          .changed = nanoseconds(status.st_ctim)};
}

std::vector<std::byte> read_head(int fd, uint64_t file_size, const std::string& file) {
  // read() and not the map: if the file shrinks meanwhile, this ends early instead of in SIGBUS.
  const auto read_at_most = [&](std::vector<std::byte>& buffer, size_t size) {
    size_t have = buffer.size();
    buffer.resize(size);
    while (have < size) {
      const ssize_t got = ::pread(fd, buffer.data() + have, size - have, static_cast<off_t>(have));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail(file, ": cannot read: ", errno_text(errno));
      if (got == 0) break;
      have += static_cast<size_t>(got);
    }
    buffer.resize(have);
  };
  std::vector<std::byte> head;
  read_at_most(head, std::min<uint64_t>(file_size, 64));
  const uint64_t length = [&]() -> uint64_t {
    if (head.size() < kLengthField) return 0;
    uint64_t value = 0;
    std::memcpy(&value, head.data(), kLengthField);
    return std::min(value, kMaxHeader);
  }();
  read_at_most(head, std::min<uint64_t>(file_size, std::max<uint64_t>(head.size(), kLengthField + length)));
  return head;
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> head, uint64_t file_size, const std::string& file) {
  const uint64_t length = header_length(head, file_size, file);
  SafetensorsHeader header = parse_header_json(head.subspan(kLengthField, length), file);
  header.data_offset = kLengthField + length;
  check_layout(header, file_size - header.data_offset, file);
  return header;
}

std::string_view SafetensorsHeader::dtype_text(const std::string& tensor) const {
  const auto unknown = unknown_dtypes.find(tensor);
  return unknown != unknown_dtypes.end() ? std::string_view(unknown->second) : dtype_name(tensors.at(tensor).dtype);
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path) {
  const std::string file = path_text(path);
  // Not blocking: a FIFO in place of the file must be refused, not waited for.
  Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a constructor that throws runs no destructor
  if (descriptor.fd < 0) fail(file, ": cannot open: ", errno_text(errno));
  struct stat status {};
  if (::fstat(descriptor.fd, &status) != 0) fail(file, ": cannot read its size: ", errno_text(errno));
  if (S_ISDIR(status.st_mode)) fail(file, ": is a directory, expected a safetensors file");
  if (!S_ISREG(status.st_mode)) fail(file, ": is not a regular file, expected a safetensors file");
  identity_ = identity_of(status);
  header_ = parse_safetensors_header(read_head(descriptor.fd, size(), file), size(), file);

  void* map = ::mmap(nullptr, size(), PROT_READ, MAP_PRIVATE, descriptor.fd, 0);
  if (map == MAP_FAILED) fail(file, ": cannot map ", size(), " bytes: ", errno_text(errno));
  map_ = static_cast<const std::byte*>(map);
  fd_ = std::exchange(descriptor.fd, -1);
}

SafetensorsFile::~SafetensorsFile() {
  if (map_) ::munmap(const_cast<std::byte*>(map_), size());
  if (fd_ >= 0) ::close(fd_);
}

std::span<const std::byte> SafetensorsFile::bytes(const std::string& tensor) const {
  const auto found = header_.tensors.find(tensor);
  if (found == header_.tensors.end()) fail(path_text(path_), ": there is no tensor ", quote(tensor));
  return bytes(found->second);
}

std::span<const std::byte> SafetensorsFile::bytes(const TensorEntry& entry) const {
  const std::span<const std::byte> range(map_ + header_.data_offset + entry.begin, entry.end - entry.begin);
  check_present(range);
  return range;
}

void SafetensorsFile::check_present(std::span<const std::byte> range) const {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) fail(path_text(path_), ": cannot read its size: ", errno_text(errno));
  const uint64_t end = static_cast<uint64_t>(range.data() - map_) + range.size();
  if (static_cast<uint64_t>(status.st_size) < end) {
    fail(path_text(path_), ": the file was ", size(), " bytes when it was opened and is now ", status.st_size,
         "; it was truncated while in use, restore it and start again");
  }
}

FileIdentity SafetensorsFile::identity_now() const {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) fail(path_text(path_), ": cannot read its size: ", errno_text(errno));
  return identity_of(status);
}

void SafetensorsFile::check_unchanged() const {
  const FileIdentity now = identity_now();
  check_present({map_, size()});
  if (now.bytes != identity_.bytes || now.modified != identity_.modified) {
    fail(path_text(path_), ": the file was changed while it was read; start again when nothing writes to it");
  }
}

bool SafetensorsFile::touched() const { return identity_now() != identity_; }

void SafetensorsFile::prefetch(std::span<const std::byte> range) const {
  static const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto offset = static_cast<uint64_t>(range.data() - map_);
  const uint64_t begin = offset / page * page;  // outwards: whole pages
  ::madvise(const_cast<std::byte*>(map_) + begin, offset + range.size() - begin, MADV_WILLNEED);
}

uint64_t SafetensorsFile::pages_in_memory(uint64_t begin, uint64_t end) const {
  static const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages((end - begin + page - 1) / page, 1);
  if (::mincore(const_cast<std::byte*>(map_) + begin, end - begin, pages.data()) != 0) return pages.size();
  return static_cast<uint64_t>(std::count_if(pages.begin(), pages.end(), [](unsigned char flags) { return (flags & 1) != 0; }));
}

std::filesystem::path SafetensorsFile::path_of_descriptor() const { return concat("/proc/self/fd/", fd_); }

void SafetensorsFile::show(const SharedMemory& memory, uint64_t begin, uint64_t end, uint64_t from) const {
  memory.show_at(const_cast<std::byte*>(map_) + begin, end - begin, from);
}

void SafetensorsFile::show_file(uint64_t begin, uint64_t end) const {
  if (::mmap(const_cast<std::byte*>(map_) + begin, end - begin, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd_, static_cast<off_t>(begin)) ==
      MAP_FAILED) {
    fail(path_text(path_), ": cannot map ", end - begin, " bytes: ", errno_text(errno));
  }
}

void SafetensorsFile::release() const { ::madvise(const_cast<std::byte*>(map_), size(), MADV_DONTNEED); }

void SafetensorsFile::release(std::span<const std::byte> range) const {
  static const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  // Inwards: a page at the edge may hold the neighbour's bytes, which somebody may be reading.
  const auto offset = static_cast<uint64_t>(range.data() - map_);
  const uint64_t begin = (offset + page - 1) / page * page;
  const uint64_t end = (offset + range.size()) / page * page;
  if (begin < end) ::madvise(const_cast<std::byte*>(map_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace dsv4
