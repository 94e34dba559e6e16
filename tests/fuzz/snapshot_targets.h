// What the fuzz target of snapshots runs: a file of any bytes; and, behind an odd first byte, a good snapshot with other fields whose digest is right, so that
// what is checked behind the digest is reached too.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "fuzz/folder_targets.h"
#include "runtime/snapshot_form.h"

namespace dsv4::fuzz {

inline bool snapshot_file(std::span<const uint8_t> bytes) {
  std::span<const std::byte> left = std::as_bytes(bytes);
  const auto get = [&](std::span<std::byte> part) {
    require(part.size() <= left.size(), "no more is read than there is");
    if (!part.empty()) std::memcpy(part.data(), left.data(), part.size());
    left = left.subspan(part.size());
  };
  try {
    const Snapshot snapshot = get_snapshot(std::ssize(bytes), get);
    std::vector<std::byte> again;
    put_snapshot(snapshot, [&](std::span<const std::byte> part) { again.insert(again.end(), part.begin(), part.end()); });
    require(std::ranges::equal(again, std::as_bytes(bytes)), "what is accepted is what would be written");
    return true;
  } catch (const Error& error) {
    require_one_line(error, "");
    return false;
  }
}

/// A session of the small folder and its state after some tokens; made once.
class SmallSession {
 public:
  static SmallSession& get() {
    static SmallSession session;
    return session;
  }
  Session session;
  Snapshot good;

 private:
  SmallSession() : session(Engine(folder(), options())) {
    session.feed(std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9});
    good = session.save();
  }
  static std::filesystem::path folder() {
    for (size_t i = 0; i < SmallFolder::get().files().size(); ++i)
      testing_support::write_file(SmallFolder::get().damaged() / SmallFolder::kFiles[i], SmallFolder::get().files()[i]);
    return SmallFolder::get().damaged();
  }
  static EngineOptions options() {
    EngineOptions options;
    options.program = Program::kCpu;
    options.threads = 1;
    options.context = 16;
    options.weights = WeightMemory::kLoad;
    return options;
  }
};

/// Ten bytes a change: of what, how, a number.
inline bool sealed_snapshot(std::span<const uint8_t> bytes) {
  SmallSession& small = SmallSession::get();
  Snapshot snapshot = small.good;
  for (; bytes.size() >= 10; bytes = bytes.subspan(10)) {
    int64_t number = 0;
    std::memcpy(&number, bytes.data() + 2, 8);
    const auto length = static_cast<size_t>(number) % 65536;
    if (snapshot.states.empty()) snapshot.states["cache"];
    Snapshot::State& state = snapshot.states.begin()->second;
    switch (bytes[0] % 8) {
      case 0:
        snapshot.position = number;
        break;
      case 1:
        snapshot.back = number;
        break;
      case 2:
        snapshot.tokens.assign(length % 32, number);
        break;
      case 3:
        state.shape.assign(bytes[1] % 4, static_cast<size_t>(number));
        break;
      case 4:
        state.bytes.resize(length, static_cast<std::byte>(bytes[1]));
        break;
      case 5:
        state.type = bytes[1] % 2 == 0 ? "f32" : std::string(length % 8, 'u');
        break;
      case 6:
        if (bytes[1] % 2 == 0) snapshot.states[std::string(length % 8, 'c')] = state;
        if (bytes[1] % 2 == 1) snapshot.states.clear();
        break;
      default:
        if (!state.bytes.empty()) state.bytes[length % state.bytes.size()] = static_cast<std::byte>(bytes[1]);
    }
  }
  snapshot.digest = digest_of(snapshot);
  try {
    small.session.restore(snapshot);
    require(small.session.position() == snapshot.position && small.session.rewindable() == snapshot.back,
            "the session is where the snapshot says");
    if (small.session.room() > 0) small.session.feed(std::vector<int64_t>{1});
    return true;
  } catch (const Error& error) {
    require_one_line(error, "");
    return false;
  }
}

/// Tells whether it was taken.
inline bool snapshot(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return false;
  return bytes[0] % 2 == 0 ? snapshot_file(bytes.subspan(1)) : sealed_snapshot(bytes.subspan(1));
}

}  // namespace dsv4::fuzz
