// A snapshot: the state of a sequence, copied.
//
// It owns all that it needs: it outlives its session and its engine, is an ordinary value to copy and to keep, and may be restored many
// times, in any session of the same model folder with the same options of rounding. Session::save() makes it and Session::restore() goes on
// from it (dsv4/session.h). As a file it outlives the process too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace dsv4 {

struct Snapshot {
  int64_t position = 0;         ///< tokens so far
  int64_t back = 0;             ///< how many of them Session::rewind() can take back
  std::vector<int64_t> tokens;  ///< of the prefill-only form, which has no other state
  struct State {
    std::string type;  ///< OpenVINO's name of the element type
    std::vector<size_t> shape;
    std::vector<std::byte> bytes;
  };
  std::map<std::string, State> states;
  std::string model;   ///< which folder it is of, and which of the options that a state depends on
  std::string digest;  ///< of all of the above: a damaged snapshot is refused
};

/// Writes a snapshot to a file, which appears under its name only when it is complete and on the disk; one that was there is replaced. Error
/// when it cannot be written: there is no new file then.
void write_snapshot(const Snapshot& snapshot, const std::filesystem::path& file);
/// Reads such a file. Error naming it when it is none, is damaged, or is of another version of the form.
Snapshot read_snapshot(const std::filesystem::path& file);

}  // namespace dsv4
