// Files that go wrong: short reads, failing drives, file systems without direct reads. Tests link faulty_io.cpp, or start a program with it as a preloaded library.
#pragma once

#include <string>

namespace dsv4::testing_support {

/// What happens to reads (pread) of the chosen files, and to writes (pwrite).
struct Faults {
  bool short_reads = false;           ///< each read ends early by chance, at any byte, after at least one
  bool refuse_direct_open = false;    ///< open with O_DIRECT: EINVAL
  bool refuse_direct_reads = false;   ///< a read of a file with O_DIRECT: EINVAL
  bool hide_alignment = false;        ///< statx does not know STATX_DIOALIGN
  int eio = 0;                        ///< so many reads fail with EIO; -1: all
  int after = 0;                      ///< reads that go well before the first that fails with EIO
  bool short_writes = false;          ///< each write ends early by chance, after at least one byte
  bool refuse_direct_writes = false;  ///< a write to a file with O_DIRECT: EINVAL
  int writes_until_full = -1;         ///< writes before the disk is full (ENOSPC); -1: it has room
  int delay = 0;                      ///< each read or write waits up to so many microseconds, by chance
};

/// While it lives, files whose path ends with `suffix` have these faults in this program. One at a time.
class FaultyIo {
 public:
  FaultyIo(const std::string& suffix, const Faults& faults);
  ~FaultyIo();
  FaultyIo(const FaultyIo&) = delete;
  FaultyIo& operator=(const FaultyIo&) = delete;

  /// Reads of the chosen files until now.
  int reads() const;
  /// Those that had O_DIRECT.
  int direct_reads() const;
  /// The same of writes.
  int writes() const;
  int direct_writes() const;
};

}  // namespace dsv4::testing_support
