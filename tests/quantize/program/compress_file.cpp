// compress_rows and pack_nibbles as a program, for the comparison with NNCF: float32 on standard input; codes, scales, zero points and packed codes on output.
// Usage: compress_file int8_asym|int8_sym|int4_asym|int4_sym GROUP_SIZE ROWS COLUMNS, or compress_file row_errors -1 ROWS COLUMNS
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "quantize/compress.h"

namespace {

template <class T>
bool write_all(const std::vector<T>& values) {
  return std::fwrite(values.data(), sizeof(T), values.size(), stdout) == values.size();
}

}  // namespace

int main(int argc, char** argv) {
  using dsv4::NumberFormat;
  const std::array<std::pair<std::string, NumberFormat>, 4> modes = {{{"int8_asym", NumberFormat::kU8},
                                                                      {"int8_sym", NumberFormat::kI8},
                                                                      {"int4_asym", NumberFormat::kU4},
                                                                      {"int4_sym", NumberFormat::kI4}}};
  if (argc != 5) return 2;
  const int64_t group_size = std::atoll(argv[2]), rows = std::atoll(argv[3]), columns = std::atoll(argv[4]);
  std::vector<float> weights(static_cast<size_t>(rows * columns));
  if (std::fread(weights.data(), sizeof(float), weights.size(), stdin) != weights.size()) return 1;
  if (argv[1] == std::string("row_errors")) {
    std::vector<float> errors(static_cast<size_t>(rows));
    dsv4::int8_row_errors(weights.data(), rows, columns, errors.data());
    return write_all(errors) ? 0 : 1;
  }
  size_t mode = 0;
  while (mode < modes.size() && modes[mode].first != argv[1]) ++mode;
  if (mode == modes.size()) return 2;
  const dsv4::StoredFormat how{modes[mode].second, group_size};
  const auto groups = static_cast<size_t>(rows * (group_size == -1 ? 1 : columns / group_size));
  std::vector<uint8_t> codes(weights.size()), zero_points(groups), packed((weights.size() + 1) / 2);
  std::vector<uint16_t> scales(groups);
  dsv4::compress_rows(weights.data(), rows, columns, how, {codes.data(), scales.data(), zero_points.data()});
  dsv4::pack_nibbles(codes.data(), static_cast<int64_t>(codes.size()), packed.data());
  return write_all(codes) && write_all(scales) && write_all(zero_points) && write_all(packed) ? 0 : 1;
}
