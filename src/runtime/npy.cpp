// Writing .npy files.
#include "runtime/npy.h"

#include <fstream>
#include <string>
#include <system_error>

#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

[[noreturn]] void refuse(const std::filesystem::path& path) {
  fail("cannot write ", path_text(path), ": does its directory exist, is the disk full?");
}

}  // namespace

void check_npy_path(const std::filesystem::path& path) {
  std::error_code ec;
  const bool there = std::filesystem::exists(path, ec);
  if (!std::ofstream(path, std::ios::binary | std::ios::app)) refuse(path);  // what the file holds stays
  if (!there) std::filesystem::remove(path, ec);
}

void write_npy(const std::filesystem::path& path, std::span<const float> values, int64_t rows, int64_t columns) {
  if (static_cast<int64_t>(values.size()) != rows * columns)
    fail(path_text(path), ": ", values.size(), " values for ", rows, " x ", columns);
  std::string header = concat("{'descr': '<f4', 'fortran_order': False, 'shape': (", rows, ", ", columns, "), }");
  constexpr size_t kPreamble = 10;  // magic, version, header length
  header.append((64 - (kPreamble + header.size() + 1) % 64) % 64, ' ');
  header += '\n';
  std::ofstream out(path, std::ios::binary);
  const char length[2] = {static_cast<char>(header.size() & 0xFF), static_cast<char>(header.size() >> 8)};
  out.write("\x93NUMPY\x01\x00", 8).write(length, 2).write(header.data(), static_cast<std::streamsize>(header.size()));
  out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
  out.close();
  if (!out) refuse(path);
}

}  // namespace dsv4
