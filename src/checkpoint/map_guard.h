// Mapped files that become unreadable while they are read: one line that names the file, instead of a crash by SIGBUS.
#pragma once

#include <cstddef>
#include <string>

namespace dsv4 {

/// While it lives, [begin, begin + bytes) is known to be a map of `path`. Up to 1,024 at once; more are not known.
class MapGuard {
 public:
  MapGuard(const void* begin, size_t bytes, const std::string& path);
  ~MapGuard();
  MapGuard(const MapGuard&) = delete;
  MapGuard& operator=(const MapGuard&) = delete;

 private:
  int slot_ = -1;
};

/// From now on a read of a guarded map that the file no longer backs (truncated, or its disk fails) ends the process with exit code 1 and one line on
/// stderr that names the file. Checks before each read (SafetensorsFile::check_present) leave a moment in which the file may still change.
void report_unreadable_maps();

}  // namespace dsv4
