// XXH3-128 against published values, in parts and behind writers; dsv4_files.json and what check_files finds.
#include "checkpoint/content_hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/bin_file.h"
#include "convert/file_list.h"
#include "convert/following_hash.h"
#include "convert/inspect_folder.h"
#include "support/files.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace testing_support;
namespace fs = std::filesystem;

TEST(ContentHash, IsXxh3Of128Bits) {  // the values of `xxhsum -H128`
  EXPECT_EQ(content_hash("").hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(content_hash("a").hex(), "a96faf705af16834e6c632b61e964e1f");
  EXPECT_EQ(content_hash("abc").hex(), "06b05ab6733a618578af5f94892f3950");
}

TEST(ContentHash, IsReadBackFromItsDigitsOnly) {
  const ContentHash hash = content_hash("abc");
  EXPECT_EQ(ContentHash::parse(hash.hex()), hash);
  for (const std::string& text :
       {std::string(), std::string(31, '0'), std::string(33, '0'), std::string(32, 'g'), "0x" + std::string(30, '0'),
        "-" + std::string(31, '0'), std::string(15, '0') + " " + std::string(16, '0')}) {
    EXPECT_FALSE(ContentHash::parse(text)) << text;
  }
}

std::string pattern(size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 2654435761u >> 13);
  return text;
}

TEST(FollowingHash, IsThatOfTheWholeFileInWhateverSteps) {
  const std::string bytes = pattern(23'456'789);
  for (const bool direct : {false, true}) {
    const TemporaryDirectory directory;
    BinFile file(directory.path() / "file", bytes.size(), direct);
    file.write_at(0, bytes.data(), bytes.size());
    FollowingHash hash(file, std::make_shared<ContentHasher>(), 0);
    for (const uint64_t end : {0u, 1u, 1'000'000u, 1'048'577u, 20'000'000u, 20'000'001u}) {
      hash.follow(end);
      EXPECT_LE(hash.so_far().first, end);
      EXPECT_EQ(hash.so_far().second, content_hash(std::string_view(bytes).substr(0, hash.so_far().first)));
      file.finished_before(hash.hashed());
    }
    hash.catch_up(bytes.size(), [](uint64_t) {});
    EXPECT_EQ(hash.so_far(), (std::pair<uint64_t, ContentHash>(bytes.size(), content_hash(bytes))));
    EXPECT_THAT(error_of([&] { hash.catch_up(bytes.size() + 1, [](uint64_t) {}); }), HasSubstr("shorter"));
    file.close();
    EXPECT_TRUE(read_file(directory.path() / "file") == bytes);
  }
}

TEST(FollowingHash, IsOfWhatWasHashedWhenItIsStoppedInTheMiddle) {
  const std::string bytes = pattern(23'456'789);
  for (const bool direct : {false, true}) {
    const TemporaryDirectory directory;
    BinFile file(directory.path() / "file", bytes.size(), direct);
    file.write_at(0, bytes.data(), bytes.size());
    FollowingHash hash(file, std::make_shared<ContentHasher>(), 0);
    EXPECT_THROW(hash.catch_up(bytes.size(), [](uint64_t) { throw Interrupted("stop"); }), Interrupted);
    EXPECT_GT(hash.hashed(), 0u);
    EXPECT_EQ(hash.so_far().second, content_hash(std::string_view(bytes).substr(0, hash.so_far().first)));
    hash.catch_up(bytes.size(), [](uint64_t) {});
    EXPECT_EQ(hash.so_far().second, content_hash(bytes));
  }
}

class FileList : public testing::Test {
 protected:
  FileList() {
    write_file(folder() / "a", "first");
    write_file(folder() / "b", pattern(3'000'000));
    std::vector<ListedFile> files;
    for (const char* name : {"b", "a"}) {
      const std::string bytes = read_file(folder() / name);
      files.push_back({name, bytes.size(), content_hash(bytes)});
    }
    write_file(folder() / kFileListName, file_list_text(files));
  }

  const fs::path& folder() const { return directory_.path(); }
  std::vector<std::string> faults() const {
    std::vector<std::string> texts;
    for (const FileFault& fault : check_files(folder(), read_file_list(folder()).value(), nullptr))
      texts.push_back(fault.name + " " + fault.text);
    return texts;
  }

  TemporaryDirectory directory_;
};

TEST_F(FileList, IsPlainJsonByName) {
  EXPECT_EQ(read_file(folder() / kFileListName).substr(0, 90),
            std::string("{\n  \"files\": {\n    \"a\": {\n      \"bytes\": 5,\n      \"xxh3_128\": \"" + content_hash("first").hex())
                .substr(0, 90));
  EXPECT_THAT(faults(), ElementsAre());
  EXPECT_THAT(unlisted_files(folder(), read_file_list(folder()).value()), ElementsAre());
}

TEST_F(FileList, EveryKindOfDamageIsFound) {
  std::string bytes = read_file(folder() / "b");
  bytes[2'999'999] = static_cast<char>(bytes[2'999'999] ^ 1);
  write_file(folder() / "b", bytes);
  EXPECT_THAT(faults(), ElementsAre(HasSubstr("b has other contents")));
  write_file(folder() / "b", bytes + "x");
  fs::remove(folder() / "a");
  EXPECT_THAT(faults(), ElementsAre("a is missing", "b has 3000001 bytes instead of 3000000"));
  fs::create_directory(folder() / "a");
  EXPECT_THAT(faults(), ElementsAre("a is not a regular file", HasSubstr("b has")));
  write_file(folder() / "c", "");
  EXPECT_THAT(unlisted_files(folder(), read_file_list(folder()).value()), ElementsAre("c"));
}

TEST_F(FileList, APartHasAHashOfItsOwn) {
  std::string bytes = read_file(folder() / "b");
  const ListedPart part = {2'000'000, 500, content_hash(bytes.substr(2'000'000, 500))};
  const ListedFile listed = {"b", bytes.size(), content_hash(bytes), part};
  write_file(folder() / kFileListName, file_list_text({listed}));
  const std::vector<ListedFile> again = read_file_list(folder()).value();
  ASSERT_EQ(again.size(), 1u);
  ASSERT_TRUE(again[0].graph_constants);
  EXPECT_EQ(again[0].graph_constants->offset, part.offset);
  EXPECT_EQ(again[0].graph_constants->bytes, part.bytes);
  EXPECT_EQ(again[0].graph_constants->hash, part.hash);
  EXPECT_EQ(file_list_text(again), read_file(folder() / kFileListName));
  EXPECT_THAT(faults(), ElementsAre());

  const auto quick = [&] { return fault_of_file(folder() / "b", &again[0], Extent::kQuick, nullptr).value_or("nothing"); };
  for (const size_t at : {1'999'999u, 2'000'000u, 2'000'499u, 2'000'500u}) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write_file(folder() / "b", damaged);
    EXPECT_THAT(faults(), ElementsAre(HasSubstr("b has other contents"))) << at;
    const bool inside = at >= part.offset && at < part.offset + part.bytes;
    EXPECT_THAT(quick(), inside ? HasSubstr("has other graph constants") : HasSubstr("nothing")) << at;
  }
  write_file(folder() / "b", bytes.substr(1));
  EXPECT_EQ(quick(), "has 2999999 bytes instead of 3000000");
  fs::remove(folder() / "b");
  EXPECT_EQ(quick(), "is missing");
  EXPECT_EQ(fault_of_file(folder() / "b", nullptr, Extent::kWhole, nullptr), "is missing");
  fs::create_directory(folder() / "b");
  EXPECT_EQ(fault_of_file(folder() / "b", nullptr, Extent::kWhole, nullptr), "is not a regular file");
}

TEST_F(FileList, ADamagedListIsNamed) {
  const std::string hash = content_hash("x").hex();
  const auto with_part = [&](const std::string& part) {
    return R"({"files": {"a": {"bytes": 9, "xxh3_128": ")" + hash + R"(", "graph_constants": )" + part + "}}}";
  };
  for (const std::string& text : {std::string(), std::string("{"), std::string("[]"), std::string("{}"), std::string(R"({"files": []})"),
                                  std::string(R"({"files": {"a": 1}})"), R"({"files": {"a": {"bytes": -1, "xxh3_128": ")" + hash + "\"}}}",
                                  R"({"files": {"../a": {"bytes": 1, "xxh3_128": ")" + hash + "\"}}}",
                                  std::string(R"({"files": {"a": {"bytes": 1, "xxh3_128": "0"}}})"), with_part("1"), with_part("{}"),
                                  with_part(R"({"offset": 1, "bytes": 9, "xxh3_128": ")" + hash + "\"}"),
                                  with_part(R"({"offset": 10, "bytes": 0, "xxh3_128": ")" + hash + "\"}"),
                                  with_part(R"({"offset": 0, "bytes": 9, "xxh3_128": "0"})")}) {
    write_file(folder() / kFileListName, text);
    EXPECT_THAT(error_of([&] { read_file_list(folder()); }), HasSubstr(kFileListName)) << text;
  }
  fs::remove(folder() / kFileListName);
  EXPECT_FALSE(read_file_list(folder()));
}

}  // namespace
}  // namespace dsv4
