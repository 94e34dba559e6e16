// Holding, reading back and writing regions of a file.
#include "convert/file_regions.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "checkpoint/quote.h"
#include "convert/errors.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr size_t kRegionBytes = 4 << 20;  // a write of less is slower on most drives
constexpr size_t kBlock = 4096;           // of what is written past the page cache
constexpr size_t kLeastRegions = 24;      // where threads write (values, scales, zero points), and what waits for the drive

}  // namespace

FileRegions::FileRegions(int direct, int buffered, const std::filesystem::path& path, uint64_t bytes, bool written_before)
    : direct_(direct),
      buffered_(buffered),
      path_(path),
      bytes_(bytes),
      file_(path, path_text(path)),
      most_(kLeastRegions + std::thread::hardware_concurrency() / 2),
      stored_(static_cast<size_t>((bytes + kRegionBytes - 1) / kRegionBytes), written_before) {}

size_t FileRegions::bytes_of(uint64_t index) const {
  return static_cast<size_t>(std::min<uint64_t>(kRegionBytes, bytes_ - index * kRegionBytes));
}

template <class F>
void FileRegions::each(uint64_t begin, uint64_t end, bool write, const F& part) {
  while (begin < end) {
    const uint64_t index = begin / kRegionBytes, stop = std::min(end, (index + 1) * kRegionBytes);
    Region& region = hold(index);
    part(std::span(region.memory + begin % kRegionBytes, static_cast<size_t>(stop - begin)));
    let_go(region, write);
    begin = stop;
  }
}

void FileRegions::write_at(uint64_t offset, const std::byte* data, size_t bytes) {
  each(offset, offset + bytes, true, [&](std::span<std::byte> part) {
    std::memcpy(part.data(), data, part.size());
    data += part.size();
  });
}

void FileRegions::change_byte(uint64_t offset, const std::function<std::byte(std::byte)>& change) {
  each(offset, offset + 1, true, [&](std::span<std::byte> part) { part.front() = change(part.front()); });
}

void FileRegions::visit(uint64_t begin, uint64_t end, const std::function<void(std::span<const std::byte>)>& part) {
  each(begin, end, false, part);
}

FileRegions::Region& FileRegions::hold(uint64_t index) {
  Lock lock(mutex_);
  for (;;) {
    const auto found = regions_.find(index);
    if (found != regions_.end() && !found->second.busy) {
      ++found->second.users;
      found->second.last_use = ++clock_;
      return found->second;
    }
    if (found == regions_.end()) {
      if (regions_.size() < most_) break;
      if (const auto other = to_put_away(); other != regions_.end()) {
        put_away(lock, other);
        continue;
      }
    }
    changed_.wait(lock);
  }
  Region& region = regions_[index];
  region.busy = true;
  try {
    if (spare_.empty()) {
      memory_.emplace_back(kRegionBytes);
      spare_.push_back(memory_.back().data());
    }
    region.memory = spare_.back();
    spare_.pop_back();
    const bool stored = stored_[static_cast<size_t>(index)];
    lock.unlock();
    if (stored) {
      read_region(index, region.memory);
    } else {
      std::memset(region.memory, 0, kRegionBytes);  // gaps between the constants
    }
    lock.lock();
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    if (region.memory != nullptr) spare_.push_back(region.memory);
    regions_.erase(index);
    changed_.notify_all();
    throw;
  }
  region.busy = false;
  region.users = 1;
  region.last_use = ++clock_;
  changed_.notify_all();
  return region;
}

void FileRegions::let_go(Region& region, bool written) {
  const std::lock_guard lock(mutex_);
  region.dirty |= written;
  if (--region.users == 0) changed_.notify_all();
}

FileRegions::Regions::iterator FileRegions::to_put_away() {
  // The first that nobody needs, else the one that was not touched for longest: of scales, which lie far behind the values that are being written.
  auto best = regions_.end();
  for (auto it = regions_.begin(); it != regions_.end(); ++it) {
    if (it->second.busy || it->second.users > 0) continue;
    if ((it->first + 1) * kRegionBytes <= unneeded_) return it;
    if (best == regions_.end() || it->second.last_use < best->second.last_use) best = it;
  }
  return best;
}

void FileRegions::put_away(Lock& lock, Regions::iterator region) {
  write_region(lock, region->first, region->second);
  spare_.push_back(region->second.memory);
  regions_.erase(region);
  changed_.notify_all();
}

void FileRegions::write_region(Lock& lock, uint64_t index, Region& region) {
  if (!region.dirty) return;
  region.busy = true;
  region.dirty = false;
  lock.unlock();
  try {
    write_bytes(index * kRegionBytes, region.memory, bytes_of(index));
  } catch (...) {
    lock.lock();
    region.dirty = true;
    region.busy = false;
    changed_.notify_all();
    throw;
  }
  lock.lock();
  stored_[static_cast<size_t>(index)] = true;
  region.busy = false;
  changed_.notify_all();
}

void FileRegions::write_one_before(uint64_t end) {
  Lock lock(mutex_);
  unneeded_ = std::max(unneeded_, end);
  const auto region = to_put_away();
  if (region != regions_.end() && (region->first + 1) * kRegionBytes <= unneeded_) put_away(lock, region);
}

void FileRegions::write_all() {
  Lock lock(mutex_);
  std::vector<uint64_t> indices;
  for (const auto& [index, region] : regions_) {
    if (region.dirty || region.busy || region.users > 0) indices.push_back(index);
  }
  for (const uint64_t index : indices) {
    const auto idle = [&] {
      const auto found = regions_.find(index);
      return found == regions_.end() || (!found->second.busy && found->second.users == 0);
    };
    changed_.wait(lock, idle);
    const auto found = regions_.find(index);
    if (found != regions_.end()) write_region(lock, index, found->second);
  }
}

void FileRegions::read_region(uint64_t index, std::byte* to) const {
  const uint64_t begin = index * kRegionBytes, end = begin + bytes_of(index);
  try {
    file_.read(begin, (end + kBlock - 1) / kBlock * kBlock, end, to);
  } catch (const Error& error) {
    fail_write("cannot read back: ", error.what());
  }
}

void FileRegions::write_bytes(uint64_t offset, const std::byte* data, size_t bytes) {
  while (bytes > 0) {
    // Whole blocks go past the page cache; what the file has behind its last one does not.
    const bool direct = !refused_ && bytes >= kBlock && offset % kBlock == 0;
    const ssize_t n = ::pwrite(direct ? direct_.fd : buffered_, data, direct ? bytes / kBlock * kBlock : bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EINVAL || errno == EOPNOTSUPP) && direct) {
      refused_ = true;
      continue;
    }
    if (n <= 0) fail_write("cannot write ", path_text(path_), " at byte ", offset, ": ", write_error_text(n < 0 ? errno : EIO));
    data += n;
    offset += static_cast<uint64_t>(n);
    bytes -= static_cast<size_t>(n);
  }
}

}  // namespace dsv4
