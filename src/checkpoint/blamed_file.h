// Which file is to blame where a library crashes on what it says.
#pragma once

#include <filesystem>
#include <string>

namespace dsv4 {

/// While it lives, a library does what `file` says: if it crashes, whatever it was doing, the line that says so names the file (cli/crash_guard.h). They may be
/// nested, and live in several threads: the last one made is the one that is named.
class BlamedFile {
 public:
  explicit BlamedFile(const std::filesystem::path& file);
  ~BlamedFile();
  BlamedFile(const BlamedFile&) = delete;
  BlamedFile& operator=(const BlamedFile&) = delete;

  /// As messages have it, or nullptr. For signal handlers.
  static const char* name();

 private:
  std::string text_;
  const char* before_;
};

}  // namespace dsv4
