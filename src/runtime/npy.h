// Writing float32 matrices as NumPy .npy files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

namespace dsv4 {

/// Error when no file can be written there; for the time before a long computation. Leaves what is there as it is.
void check_npy_path(const std::filesystem::path& path);

/// Version 1.0, little-endian float32, C order, shape (rows, columns). Error when it cannot be written.
void write_npy(const std::filesystem::path& path, std::span<const float> values, int64_t rows, int64_t columns);

}  // namespace dsv4
