// How much of what a process reads came from the disk: the price of a model larger than the memory.
#pragma once

#include <cstdint>
#include <optional>

namespace dsv4 {

/// Bytes that the kernel has fetched from storage for this process so far, page faults of mapped files and read-ahead included; nothing where the kernel does
/// not count (/proc/self/io).
std::optional<int64_t> disk_bytes_read();

}  // namespace dsv4
