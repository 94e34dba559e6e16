// Well-formed safetensors files and indexes: what is read from them, and the map's edges. Damaged ones are in malformed_test.cpp.
#include "checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "checkpoint/safetensors_writer.h"
#include "checkpoint/shard_index.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

using test::RawTensor;
using test::TempDir;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

SafetensorsHeader parsed(const std::string& file) {
  return parse_safetensors_header(std::as_bytes(std::span(file)), file.size(), "x.safetensors");
}

std::string text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

TEST(Safetensors, TensorsHaveTheirTypeShapeAndBytes) {
  const TempDir dir;
  const std::vector<RawTensor> tensors = {
      {"odd", "I8", {3}, "abc"},  // the next tensors lie at odd addresses
      {"weight", "BF16", {2, 3}, "0123456789AB"},
      {"scale", "F8_E8M0", {1, 1}, "x"},
      {"table", "I64", {2, 1}, "0123456789abcdef"},
      {"half", "F16", {1}, "hi"},
      {"f8", "F8_E4M3", {2, 1, 2}, "wxyz"},
      {"f32", "F32", {1}, "FLOA"},
  };
  test::write_file(dir / "m.safetensors", test::safetensors_bytes(tensors));
  const SafetensorsFile file(dir / "m.safetensors");
  ASSERT_EQ(file.header().tensors.size(), tensors.size());
  for (const RawTensor& tensor : tensors) {
    const TensorEntry& entry = file.header().tensors.at(tensor.name);
    EXPECT_EQ(dtype_name(entry.dtype), tensor.dtype);
    EXPECT_EQ(entry.shape, tensor.shape);
    EXPECT_EQ(text_of(file.bytes(tensor.name)), tensor.data);
  }
  EXPECT_EQ(file.size(), std::filesystem::file_size(dir / "m.safetensors"));
  EXPECT_EQ(file.path(), dir / "m.safetensors");
}

TEST(Safetensors, MetadataAreKept) {
  const SafetensorsHeader header = parsed(test::safetensors_bytes(std::vector<RawTensor>{}, R"({"format":"pt","a":"b\nc"})"));
  EXPECT_THAT(header.metadata, ElementsAre(Pair("a", "b\nc"), Pair("format", "pt")));
  EXPECT_TRUE(header.tensors.empty());
}

TEST(Safetensors, HeaderMayBePaddedAndOutOfOrder) {
  const std::string text =
      R"({"b":{"data_offsets":[4,5],"dtype":"I8","shape":[1]},"a":{"shape":[2,2],"dtype":"I8","data_offsets":[0,4]}}      )";
  const SafetensorsHeader header = parsed(test::safetensors_bytes(text, "12345"));
  EXPECT_EQ(header.data_offset, 8 + text.size());
  EXPECT_EQ(header.tensors.at("a").end, 4u);
  EXPECT_EQ(header.tensors.at("b").begin, 4u);
}

TEST(Safetensors, ScalarsAndEmptyTensorsAreAllowed) {
  const SafetensorsHeader header =
      parsed(test::safetensors_bytes({{"empty", "F32", {0, 7}, ""}, {"scalar", "F32", {}, "1234"}, {"none", "I8", {0}, ""}}));
  EXPECT_EQ(element_count(header.tensors.at("scalar").shape), 1);
  EXPECT_EQ(element_count(header.tensors.at("empty").shape), 0);
}

TEST(Safetensors, NamesMayHoldAnyText) {
  const SafetensorsHeader header = parsed(test::safetensors_bytes({{"a\\n\\u00e9 \\\"", "I8", {1}, "1"}}));
  EXPECT_TRUE(header.tensors.contains("a\n\xC3\xA9 \""));
}

TEST(Safetensors, EveryPrefixOfAFileIsRefused) {
  const std::string file = test::safetensors_bytes({{"a", "BF16", {2}, "1234"}, {"b", "F32", {1}, "1234"}}, R"({"format":"pt"})");
  for (size_t size = 0; size < file.size(); ++size) EXPECT_THROW(parsed(file.substr(0, size)), Error) << size;
  EXPECT_NO_THROW(parsed(file));
}

TEST(Safetensors, UnknownTensorIsNamed) {
  const TempDir dir;
  test::write_file(dir / "m.safetensors", test::safetensors_bytes({{"a", "I8", {1}, "1"}}));
  const SafetensorsFile file(dir / "m.safetensors");
  try {
    file.bytes("b");
    FAIL() << "there is no tensor b";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("m.safetensors: there is no tensor \"b\""));
  }
}

TEST(Safetensors, OnlyTensorsBehindTheCutAreLostWhenAFileShrinks) {
  const TempDir dir;
  const std::string bytes =
      test::safetensors_bytes({{"a", "I8", {1000}, std::string(1000, 'a')}, {"b", "I8", {9000}, std::string(9000, 'b')}});
  test::write_file(dir / "m.safetensors", bytes);
  const SafetensorsFile file(dir / "m.safetensors");
  std::filesystem::resize_file(dir / "m.safetensors", bytes.size() - 9000);
  EXPECT_EQ(text_of(file.bytes("a")), std::string(1000, 'a'));
  EXPECT_THROW(file.bytes("b"), Error);
}

TEST(Safetensors, DeletedFileStaysReadable) {
  const TempDir dir;
  test::write_file(dir / "m.safetensors", test::safetensors_bytes({{"a", "I8", {4}, "abcd"}}));
  const SafetensorsFile file(dir / "m.safetensors");
  std::filesystem::remove(dir / "m.safetensors");
  EXPECT_EQ(text_of(file.bytes("a")), "abcd");
}

/// Bytes of this process in memory.
size_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  size_t all = 0, resident = 0;
  in >> all >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

TEST(Safetensors, ReleasedPagesLeaveMemoryAndComeBack) {
  constexpr size_t kSize = 32u << 20;
  const TempDir dir;
  test::write_file(dir / "m.safetensors",
                   test::safetensors_bytes({{"a", "I8", {10}, std::string(10, 'a')}, {"b", "I8", {kSize}, std::string(kSize, 'b')}}));
  const SafetensorsFile file(dir / "m.safetensors");
  const std::span<const std::byte> bytes = file.bytes("b");
  size_t sum = 0;
  for (const std::byte b : bytes) sum += std::to_integer<size_t>(b);
  const size_t before = resident_bytes();
  file.release(bytes);
  const size_t after = resident_bytes();
  EXPECT_LT(after + kSize / 2, before);
  size_t again = 0;
  for (const std::byte b : bytes) again += std::to_integer<size_t>(b);
  EXPECT_EQ(again, sum);
  const size_t whole = resident_bytes();
  file.release();
  EXPECT_LT(resident_bytes() + kSize / 2, whole);
  EXPECT_EQ(text_of(file.bytes("a")), std::string(10, 'a'));
}

TEST(Safetensors, ReleaseOfPartsOfPagesIsHarmless) {
  const TempDir dir;
  test::write_file(dir / "m.safetensors", test::safetensors_bytes({{"a", "I8", {9000}, std::string(9000, 'a')}}));
  const SafetensorsFile file(dir / "m.safetensors");
  const std::span<const std::byte> bytes = file.bytes("a");
  for (size_t size = 0; size <= bytes.size(); size += 100) file.release(bytes.subspan(bytes.size() - size));
  EXPECT_EQ(text_of(bytes), std::string(9000, 'a'));
}

TEST(ShardIndex, ShardsAreSortedAndTensorsFindTheirs) {
  const ShardIndex index =
      parse_index(test::index_text({{"x", "b.safetensors"}, {"y", "a.safetensors"}, {"z", "b.safetensors"}}), "i.json");
  EXPECT_THAT(index.shards, ElementsAre("a.safetensors", "b.safetensors"));
  EXPECT_THAT(index.tensors, ElementsAre(Pair("x", 1), Pair("y", 0), Pair("z", 1)));
}

TEST(ShardIndex, OtherFieldsAreSkippedWhateverTheyHold) {
  const ShardIndex index =
      parse_index(R"({"metadata":{"total_size":1.5,"x":[{"weight_map":[null,true]}],"weight_map":{"q":3}},"format":null,
      "list":[1,[2,{}]],"weight_map":{"a":"m.safetensors"},"n":-3,"s":"t"})",
                  "i.json");
  EXPECT_THAT(index.shards, ElementsAre("m.safetensors"));
  EXPECT_THAT(index.tensors, ElementsAre(Pair("a", 0)));
}

TEST(Safetensors, TypesThatNoWeightHasAreReadByTheirSize) {
  const TempDir dir;
  test::write_file(dir / "m.safetensors", test::safetensors_bytes({{"a", "F64", {2}, std::string(16, 'a')},
                                                                   {"b", "F4", {3, 2}, std::string(3, 'b')},
                                                                   {"c", "Q4_K", {7}, std::string(5, 'c')},
                                                                   {"d", "bf16", {}, "dd"}}));
  const SafetensorsFile file(dir / "m.safetensors");
  EXPECT_EQ(file.header().dtype_text("a"), "F64");
  EXPECT_EQ(file.header().dtype_text("b"), "F4");
  EXPECT_EQ(file.header().dtype_text("c"), "Q4_K");
  EXPECT_EQ(file.header().dtype_text("d"), "bf16");
  EXPECT_EQ(file.header().tensors.at("c").dtype, DType::kUnknown);
  EXPECT_EQ(text_of(file.bytes("c")), "ccccc");
}

TEST(Safetensors, HalfABytesTooMuchIsRefused) {
  const TempDir dir;
  test::write_file(dir / "m.safetensors", test::safetensors_bytes({{"b", "F4", {5}, std::string(2, 'b')}}));
  try {
    const SafetensorsFile file(dir / "m.safetensors");
    FAIL() << "five nibbles were accepted in two bytes";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("hold 2 bytes, but F4 [5] needs 20 bits; the file is damaged"));
  }
}

TEST(DType, SpellingsSizesAndShapesAgree) {
  const std::pair<const char*, size_t> types[] = {
      {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"I8", 8},   {"BF16", 16},   {"F16", 16},        {"F32", 32},       {"I64", 64}, {"F4", 4},
      {"U8", 8},      {"I32", 32},    {"BOOL", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"F8_E5M2", 8},    {"I16", 16}, {"U16", 16},
      {"U32", 32},    {"F64", 64},    {"U64", 64}, {"C64", 64},    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}};
  for (const auto& [name, bits] : types) {
    const std::optional<DType> dtype = parse_dtype(name);
    ASSERT_TRUE(dtype) << name;
    EXPECT_EQ(dtype_name(*dtype), name);
    EXPECT_EQ(dtype_bits(*dtype), bits) << name;
    if (bits % 8 == 0) {
      EXPECT_EQ(dtype_size(*dtype), bits / 8) << name;
    } else {
      EXPECT_THROW(dtype_size(*dtype), Error) << name;
    }
  }
  for (const char* name : {"", "f32", "F65", "u8", "unknown", "F32 "}) EXPECT_FALSE(parse_dtype(name)) << name;
  EXPECT_EQ(shape_string({}), "[]");
  EXPECT_EQ(shape_string({24, 16384}), "[24,16384]");
  EXPECT_EQ(element_count({3, 0, 5}), 0);
  EXPECT_EQ(element_count({3, 4, 5}), 60);
}

}  // namespace
}  // namespace dsv4
