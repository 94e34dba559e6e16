// Writing openvino_model.bin at offsets.
#include "convert/bin_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "checkpoint/quote.h"
#include "quantize/compress.h"

namespace dsv4 {

BinFile::BinFile(const std::filesystem::path& path, uint64_t bytes, bool direct) : path_(path), bytes_(bytes) {
  fd_ = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (fd_ < 0) fail_write("cannot create ", path_text(path), ": ", write_error_text(errno));
  struct stat before {};
  const bool written_before = ::fstat(fd_, &before) != 0 || before.st_size > 0;
  int error = ::posix_fallocate(fd_, 0, static_cast<off_t>(bytes));
  if (error == EOPNOTSUPP || error == EINVAL) error = 0;
  if (error == 0 && ::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) error = errno;
  if (error == 0) {
    const int direct_fd = direct ? ::open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC) : -1;
    if (direct_fd >= 0) regions_ = std::make_unique<FileRegions>(direct_fd, fd_, path, bytes, written_before);
    return;
  }
  ::close(std::exchange(fd_, -1));
  if (error == ENOSPC) fail_write(path_text(path), ": the disk has no room for ", bytes, " bytes; free some or choose another output");
  fail_write("cannot reserve ", bytes, " bytes for ", path_text(path), ": ", write_error_text(error));
}

BinFile::~BinFile() {
  if (fd_ >= 0) ::close(fd_);
}

void BinFile::write_at(uint64_t offset, const void* data, size_t bytes) {
  if (regions_) return regions_->write_at(offset, static_cast<const std::byte*>(data), bytes);
  // The kernel lets one thread at a time write to a file, and the others spin meanwhile; here they sleep, and leave the core to one that computes.
  const std::lock_guard lock(writing_);
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::pwrite(fd_, p, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail_write("cannot write ", path_text(path_), " at byte ", offset, ": ", write_error_text(n < 0 ? errno : EIO));
    p += n;
    offset += static_cast<uint64_t>(n);
    bytes -= static_cast<size_t>(n);
  }
}

void BinFile::write_nibbles(uint64_t offset, uint64_t first, const uint8_t* codes, size_t count) {
  if (count > 0 && first % 2 != 0) {
    write_half_byte(offset, first, *codes);
    ++first;
    ++codes;
    --count;
  }
  if (count % 2 != 0) {
    --count;
    write_half_byte(offset, first + count, codes[count]);
  }
  if (count == 0) return;
  std::vector<uint8_t> packed(count / 2);
  pack_nibbles(codes, static_cast<int64_t>(count), packed.data());
  write_at(offset + first / 2, packed.data(), packed.size());
}

void BinFile::write_half_byte(uint64_t offset, uint64_t nibble, uint8_t code) {
  // Two pieces of a weight with an odd number of codes meet in one byte.
  const std::lock_guard lock(shared_bytes_);
  const uint64_t at = offset + nibble / 2;
  const auto with_code = [&](std::byte byte) {
    const std::byte value{code};
    return nibble % 2 == 0 ? (byte & std::byte{0xF0}) | (value & std::byte{0x0F}) : (byte & std::byte{0x0F}) | value << 4;
  };
  if (regions_) return regions_->change_byte(at, with_code);
  std::byte byte{};
  if (::pread(fd_, &byte, 1, static_cast<off_t>(at)) < 0) fail_write("cannot read back ", path_text(path_), ": ", write_error_text(errno));
  byte = with_code(byte);
  write_at(at, &byte, 1);
}

void BinFile::hash(uint64_t begin, uint64_t end, ContentHasher& hasher, const std::function<void(uint64_t bytes)>& passed) {
  if (end > bytes_ || (!regions_ && !hash_file_range(fd_, path_, begin, end, hasher, passed))) {
    fail_write(path_text(path_), " became shorter while it was written; does another program write to it?");
  }
  if (!regions_) return;
  regions_->visit(begin, end, [&](std::span<const std::byte> part) {
    hasher.update(part);
    passed(part.size());
  });
}

void BinFile::finished_before(uint64_t end) {
  if (regions_) regions_->write_one_before(end);
}

void BinFile::sync() {
  if (regions_) regions_->write_all();
  if (::fdatasync(fd_) != 0) fail_write("cannot finish ", path_text(path_), ": ", write_error_text(errno));
}

void BinFile::close() {
  if (regions_) regions_->write_all();
  regions_.reset();
  const int fd = std::exchange(fd_, -1);
  struct stat status {};
  const bool known = ::fstat(fd, &status) == 0;
  if (::fsync(fd) != 0 || ::close(fd) != 0 || !known) fail_write("cannot finish ", path_text(path_), ": ", write_error_text(errno));
  const auto length = static_cast<uint64_t>(status.st_size);
  if (length != bytes_) fail_write(path_text(path_), " has ", length, " bytes instead of ", bytes_, "; does another program write to it?");
}

}  // namespace dsv4
