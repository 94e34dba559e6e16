// .npy files, read again by a parser that follows the format's description.
#include "runtime/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <limits>

#include "support/files.h"

namespace dsv4 {
namespace {

using testing::HasSubstr;
using namespace testing_support;

struct Array {
  int64_t rows = 0, columns = 0;
  std::vector<float> values;
};

Array parse(const std::string& bytes) {
  Array array;
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const size_t length = static_cast<unsigned char>(bytes.at(8)) + 256u * static_cast<unsigned char>(bytes.at(9));
  EXPECT_EQ((10 + length) % 64, 0u) << "the data are to begin at a multiple of 64";
  const std::string header = bytes.substr(10, length);
  EXPECT_EQ(header.back(), '\n');
  EXPECT_THAT(header, HasSubstr("'descr': '<f4'"));
  EXPECT_THAT(header, HasSubstr("'fortran_order': False"));
  const size_t shape = header.find("'shape': (");
  long long rows = -1, columns = -1;
  int end = 0;
  if (shape == std::string::npos || std::sscanf(header.c_str() + shape, "'shape': (%lld, %lld)%n", &rows, &columns, &end) != 2 ||
      end == 0) {
    ADD_FAILURE() << header;
    return array;
  }
  array.rows = rows;
  array.columns = columns;
  const std::string data = bytes.substr(10 + length);
  EXPECT_EQ(data.size() % sizeof(float), 0u);
  array.values.resize(data.size() / sizeof(float));
  for (size_t i = 0; i < array.values.size(); ++i) {
    uint32_t bits = 0;
    for (size_t byte = 0; byte < 4; ++byte) bits |= static_cast<uint32_t>(static_cast<unsigned char>(data[4 * i + byte])) << (8 * byte);
    std::memcpy(&array.values[i], &bits, sizeof bits);
  }
  return array;
}

TEST(Npy, IsReadBackAsWritten) {
  const TemporaryDirectory directory;
  for (const auto& [rows, columns] : {std::pair{1, 1}, {3, 5}, {1, 1000}, {1000, 1}, {0, 7}, {12, 129280}}) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(columns));
    std::vector<float> values(static_cast<size_t>(rows) * static_cast<size_t>(columns));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) * 0.37f - 100.0f;
    const std::filesystem::path file = directory.path() / "logits.npy";
    write_npy(file, values, rows, columns);
    const Array array = parse(read_file(file));
    EXPECT_EQ(array.rows, rows);
    EXPECT_EQ(array.columns, columns);
    EXPECT_EQ(array.values, values);
  }
}

TEST(Npy, KeepsEveryBit) {
  const TemporaryDirectory directory;
  const std::vector<float> values = {-0.0f, std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::infinity(),
                                     std::numeric_limits<float>::quiet_NaN()};
  write_npy(directory.path() / "x.npy", values, 2, 2);
  const std::vector<float> read = parse(read_file(directory.path() / "x.npy")).values;
  ASSERT_EQ(read.size(), values.size());
  EXPECT_EQ(std::memcmp(read.data(), values.data(), sizeof(float) * values.size()), 0);
}

TEST(Npy, RefusesASizeThatIsNotTheShape) {
  const TemporaryDirectory directory;
  const std::vector<float> values(6);
  EXPECT_THAT(error_of([&] { write_npy(directory.path() / "x.npy", values, 2, 4); }), HasSubstr("6 values for 2 x 4"));
  EXPECT_TRUE(names_in(directory.path()).empty());
}

TEST(Npy, RefusesADirectoryThatIsNotThere) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "missing/x.npy";
  EXPECT_THAT(error_of([&] { write_npy(file, std::vector<float>(1), 1, 1); }), HasSubstr(file.string()));
}

}  // namespace
}  // namespace dsv4
