// Writing .npy files.
#include "runtime/npy.h"

#include <fstream>
#include <string>

#include "dsv4/error.h"

namespace dsv4 {

void write_npy(const std::filesystem::path& path, std::span<const float> values, int64_t rows, int64_t columns) {
  if (static_cast<int64_t>(values.size()) != rows * columns) fail(path.string(), ": ", values.size(), " values for ", rows, " x ", columns);
  std::string header = concat("{'descr': '<f4', 'fortran_order': False, 'shape': (", rows, ", ", columns, "), }");
  constexpr size_t kPreamble = 10;  // magic, version, header length
  header.append((64 - (kPreamble + header.size() + 1) % 64) % 64, ' ');
  header += '\n';
  std::ofstream out(path, std::ios::binary);
  const char length[2] = {static_cast<char>(header.size() & 0xFF), static_cast<char>(header.size() >> 8)};
  out.write("\x93NUMPY\x01\x00", 8).write(length, 2).write(header.data(), static_cast<std::streamsize>(header.size()));
  out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
  out.close();
  if (!out) fail("cannot write ", path.string(), ": does its directory exist, is the disk full?");
}

}  // namespace dsv4
