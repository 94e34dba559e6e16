// A snapshot: the state of a sequence, copied.
//
// It owns all that it needs: it outlives its session and its engine, is an ordinary value to copy and to keep, and may be restored many
// times, in any session of the same model folder with the same options of rounding. Session::save() makes it and Session::restore() goes on
// from it (dsv4/session.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace dsv4 {

struct Snapshot {
  int64_t position = 0;         ///< tokens so far
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

}  // namespace dsv4
