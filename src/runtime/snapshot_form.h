// A snapshot as bytes, and the hash that tells whether it is whole.
//
// All numbers are 64 bits, little-endian: magic, version, number of all bytes; position, back; tokens; model; number of states; of each, in
// the order of their names, name, type, shape, bytes; digest. Lists and texts begin with their length. The digest is of everything between
// the first three numbers and itself, the lengths included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "dsv4/snapshot.h"

namespace dsv4 {

/// Of all members but itself.
std::string digest_of(const Snapshot& snapshot);

/// Hands the bytes to `put`, part by part.
void put_snapshot(const Snapshot& snapshot, const std::function<void(std::span<const std::byte>)>& put);

/// From `bytes` bytes, which `get` fills in one part after another. Error when they are no snapshot, one of another version, or damaged. Nothing larger than
/// `bytes` is asked for.
Snapshot get_snapshot(int64_t bytes, const std::function<void(std::span<std::byte>)>& get);

}  // namespace dsv4
