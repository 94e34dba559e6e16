// How much memory there is to take.
#pragma once

#include <cstdint>
#include <filesystem>

namespace dsv4 {

/// Memory that this process may still take: of the system and of every control group that it is in, versions 1 and 2, up to the outermost one that can be seen;
/// the least of all. Page cache counts as free, as the kernel counts it for the system (MemAvailable); swap does not count. /proc and the groups' files are looked
/// for below `root`.
uint64_t available_memory(const std::filesystem::path& root = "/");

}  // namespace dsv4
