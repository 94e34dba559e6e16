// A file that appears under its name only when it is complete and on the disk.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "files/descriptor.h"

namespace dsv4 {

/// Most bytes of one read or write, which the kernel limits to 2 GiB.
constexpr size_t kMostAtOnce = size_t{1} << 30;

/// Written beside its name and renamed; gone with this object unless that was done. Through links, which a rename would replace. Error, naming the file, when it
/// cannot be written, or something else than a regular file has the name.
class NewFile {
 public:
  explicit NewFile(const std::filesystem::path& file);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(std::span<const std::byte> bytes);
  /// Flushes it to the disk and gives it its name; one that was there is replaced.
  void finish();

 private:
  [[noreturn]] void refuse() const;

  std::filesystem::path file_, partial_;
  Descriptor open_;
  bool renamed_ = false;
};

}  // namespace dsv4
