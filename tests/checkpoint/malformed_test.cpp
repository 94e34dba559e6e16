// Damaged files, indexes and checkpoints, one row each: every one is refused with a line of its own that names the file and the tensor.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>

#include "checkpoint/checkpoint.h"
#include "checkpoint/tiny_checkpoint.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

using nlohmann::json;
using test::RawTensor;
using test::TempDir;

namespace fs = std::filesystem;

constexpr const char* kModel = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kFirst = "model-00001-of-00002.safetensors";
constexpr const char* kSecond = "model-00002-of-00002.safetensors";

struct Malformed {
  const char* name;
  std::function<void(const fs::path&)> build;  ///< writes the broken checkpoint into an empty directory
  const char* file;                            ///< that the message names; "" for the directory itself
  const char* tensor;                          ///< that the message names; "" for none
  const char* message;                         ///< a part of it that no other row has
};

void PrintTo(const Malformed& row, std::ostream* out) { *out << row.name; }

void expect_refused(const Malformed& row) {
  const TempDir dir;
  row.build(dir.path());
  try {
    Checkpoint::open(dir.path());
    FAIL() << "accepted";
  } catch (const Error& error) {
    const std::string line = error.what();
    EXPECT_EQ(line.find((*row.file ? dir.path() / row.file : dir.path()).string()), 0u) << line;
    if (*row.tensor) {
      EXPECT_NE(line.find("\"" + std::string(row.tensor) + "\""), std::string::npos) << line;
    }
    EXPECT_NE(line.find(row.message), std::string::npos) << line;
    for (const char c : line) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << line;
    EXPECT_LT(line.size(), 700u);
  }
}

// ---- one file: its bytes, then its header

std::function<void(const fs::path&)> model_bytes(const std::string& bytes) {
  return [bytes](const fs::path& dir) {
    test::write_file(dir / "config.json", test::tiny_config());
    test::write_file(dir / kModel, bytes);
  };
}

std::function<void(const fs::path&)> header(const std::string& text, size_t data_bytes = 8) {
  return model_bytes(test::safetensors_bytes(text, std::string(data_bytes, 'd')));
}

/// A header with the one tensor "t" of eight bytes, its fields replaced.
std::function<void(const fs::path&)> entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return header(R"({"t":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}");
}

const std::string kGood = R"("g":{"dtype":"I8","shape":[4],"data_offsets":[0,4]})";

void not_a_file(const fs::path& dir, mode_t kind) {
  test::write_file(dir / "config.json", test::tiny_config());
  if (kind == S_IFDIR) {
    fs::create_directory(dir / kModel);
  } else {
    ASSERT_EQ(mkfifo((dir / kModel).c_str(), 0600), 0);
  }
}

const Malformed kFiles[] = {
    {"EmptyFile", model_bytes(""), kModel, "", "the file is empty"},
    {"SevenBytes", model_bytes("1234567"), kModel, "", "has 7 bytes, too few"},
    {"Directory", [](const fs::path& dir) { not_a_file(dir, S_IFDIR); }, kModel, "", "is a directory"},
    {"Fifo", [](const fs::path& dir) { not_a_file(dir, S_IFIFO); }, kModel, "", "is not a regular file"},
    {"GitLfsPointer", model_bytes("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"), kModel, "",
     "Git LFS pointer"},
    {"HeaderLengthZero", model_bytes(test::length_field(0) + "{}"), kModel, "", "header length is 0"},
    {"HeaderLengthPastTheEnd", model_bytes(test::length_field(3) + "{}"), kModel, "",
     "header of 3 bytes ends past the end of the file (10 bytes)"},
    {"HeaderLengthAboveTheLimit", model_bytes(test::length_field(100'000'001) + "{}"), kModel, "",
     "header length is 100000001 bytes, more than"},
    {"HeaderLengthOverflows", model_bytes(test::length_field(UINT64_MAX) + "{}"), kModel, "",
     "header length is 18446744073709551615 bytes"},
    {"HeaderLengthNegative", model_bytes(test::length_field(UINT64_MAX - 7) + "{}"), kModel, "",
     "header length is 18446744073709551608 bytes"},
    {"HeaderIsNotJson", header("hello"), kModel, "", "not JSON at byte"},
    {"HeaderIsCutJson", header(R"({"t":{"dtype":"I8")"), kModel, "", "not JSON at byte 19"},
    {"HeaderHasJunkBehindIt", header("{" + kGood + "}x"), kModel, "", "not JSON at byte"},
    {"HeaderIsNotUtf8", header("{\"\xFF\xFE\":{}}"), kModel, "", "not JSON at byte 3"},
    {"HeaderHasAControlCharacter", header("{\"a\nb\":{}}"), kModel, "", "not JSON at byte 4"},
    {"HeaderIsArray", header("[1]"), kModel, "", "must be a JSON object, found an array"},
    {"HeaderIsNumber", header("17"), kModel, "", "must be a JSON object, found a number"},
    {"HeaderIsString", header("\"text\""), kModel, "", "must be a JSON object, found a string"},
    {"HeaderIsNull", header("null"), kModel, "", "must be a JSON object, found null"},
    {"HeaderIsEmptyText", header("  "), kModel, "", "not JSON at byte 3"},
    {"EntryIsNumber", header(R"({"t":1})"), kModel, "t", "must be a JSON object, found a number"},
    {"EntryIsArray", header(R"({"t":[]})"), kModel, "t", "must be a JSON object, found an array"},
    {"EntryIsNull", header(R"({"t":null})"), kModel, "t", "must be a JSON object, found null"},
    {"DtypeMissing", header(R"({"t":{"shape":[8],"data_offsets":[0,8]}})"), kModel, "t", "\"dtype\" is missing"},
    {"ShapeMissing", header(R"({"t":{"dtype":"I8","data_offsets":[0,8]}})"), kModel, "t", "\"shape\" is missing"},
    {"OffsetsMissing", header(R"({"t":{"dtype":"I8","shape":[8]}})"), kModel, "t", "\"data_offsets\" is missing"},
    {"EntryIsEmpty", header(R"({"t":{}})"), kModel, "t", "\"dtype\" is missing"},
    {"UnknownField", header(R"({"t":{"dtype":"I8","shape":[8],"data_offsets":[0,8],"x":1}})"), kModel, "t", "unknown field \"x\""},
    {"FieldTwice", header(R"({"t":{"dtype":"I8","dtype":"I8","shape":[8],"data_offsets":[0,8]}})"), kModel, "t",
     "field \"dtype\" is there twice"},
    {"DtypeIsNumber", entry("8", "[8]", "[0,8]"), kModel, "t", "\"dtype\" must be a string, found a number"},
    {"DtypeIsArray", entry("[\"I8\"]", "[8]", "[0,8]"), kModel, "t", "\"dtype\" must be a string, found an array"},
    {"DtypeIsObject", entry("{}", "[8]", "[0,8]"), kModel, "t", "\"dtype\" must be a string, found an object"},
    {"DtypeIsBool", entry("true", "[8]", "[0,8]"), kModel, "t", "\"dtype\" must be a string, found true or false"},
    {"ShapeIsNumber", entry("\"I8\"", "8", "[0,8]"), kModel, "t", "\"shape\" must be an array of whole numbers, found a number"},
    {"ShapeIsString", entry("\"I8\"", "\"[8]\"", "[0,8]"), kModel, "t", "\"shape\" must be an array of whole numbers, found a string"},
    {"ShapeHoldsString", entry("\"I8\"", "[\"8\"]", "[0,8]"), kModel, "t", "\"shape\" must hold whole numbers only, found a string"},
    {"ShapeHoldsArray", entry("\"I8\"", "[[8]]", "[0,8]"), kModel, "t", "\"shape\" must hold whole numbers only, found an array"},
    {"ShapeHoldsNull", entry("\"I8\"", "[null]", "[0,8]"), kModel, "t", "\"shape\" must hold whole numbers only, found null"},
    {"ShapeNegative", entry("\"I8\"", "[-8]", "[0,8]"), kModel, "t", "negative dim -8"},
    {"ShapeFractional", entry("\"I8\"", "[8.0]", "[0,8]"), kModel, "t", "\"shape\" has \"8.0\""},
    {"ShapeAboveInt64", entry("\"I8\"", "[9223372036854775808]", "[0,8]"), kModel, "t", "dim 9223372036854775808, more than 2^63 - 1"},
    {"ShapeAboveUint64", entry("\"I8\"", "[18446744073709551624]", "[0,8]"), kModel, "t", "\"shape\" has \"18446744073709551624\""},
    {"ShapeProductOverflows", entry("\"I8\"", "[4294967296,4294967296]", "[0,8]"), kModel, "t",
     "size of shape [4294967296,4294967296] does not fit"},
    {"ShapeProductWrapsToTheRightSize", entry("\"I8\"", "[4611686018427387906,4]", "[0,8]"), kModel, "t", "does not fit 63 bits"},
    {"ShapeTimesDtypeOverflows", entry("\"I64\"", "[2305843009213693952]", "[0,8]"), kModel, "t", "[2305843009213693952] does not fit"},
    {"OffsetsIsObject", entry("\"I8\"", "[8]", "{}"), kModel, "t", "\"data_offsets\" must be an array of whole numbers, found an object"},
    {"OffsetsEmpty", entry("\"I8\"", "[8]", "[]"), kModel, "t", "must be two numbers, found 0"},
    {"OffsetsOne", entry("\"I8\"", "[8]", "[0]"), kModel, "t", "must be two numbers, found 1"},
    {"OffsetsThree", entry("\"I8\"", "[8]", "[0,8,8]"), kModel, "t", "must be two numbers, found more"},
    {"OffsetsHoldString", entry("\"I8\"", "[8]", "[0,\"8\"]"), kModel, "t",
     "\"data_offsets\" must hold whole numbers only, found a string"},
    {"OffsetsNegative", entry("\"I8\"", "[8]", "[-8,0]"), kModel, "t", "\"data_offsets\" has the negative number -8"},
    {"OffsetsFractional", entry("\"I8\"", "[8]", "[0,8.5]"), kModel, "t", "\"data_offsets\" has \"8.5\""},
    {"OffsetsAboveUint64", entry("\"I8\"", "[8]", "[0,1e30]"), kModel, "t", "\"data_offsets\" has \"1e30\""},
    {"OffsetsReversed", entry("\"I8\"", "[8]", "[8,0]"), kModel, "t", "data_offsets [8,0] are reversed"},
    {"OffsetsTooFewForTheShape", entry("\"F32\"", "[8]", "[0,8]"), kModel, "t", "hold 8 bytes, but F32 [8] needs 32"},
    {"OffsetsTooManyForTheShape", entry("\"I8\"", "[7]", "[0,8]"), kModel, "t", "hold 8 bytes, but I8 [7] needs 7"},
    {"OffsetsPastTheEnd", entry("\"I8\"", "[8]", "[1,9]"), kModel, "t", "data end at byte 9 but the file has only 8 bytes"},
    {"OffsetsAtTheTopOfUint64", entry("\"I8\"", "[8]", "[18446744073709551607,18446744073709551615]"), kModel, "t",
     "data end at byte 18446744073709551615"},
    {"Overlap", header("{" + kGood + R"(,"t":{"dtype":"I8","shape":[6],"data_offsets":[2,8]}})"), kModel, "t",
     "begin at byte 2, inside tensor \"g\", which ends at 4"},
    {"SameBytesTwice", header("{" + kGood + R"(,"t":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}})", 4), kModel, "t",
     "begin at byte 0, inside tensor \"g\""},
    {"HoleBetween", header("{" + kGood + R"(,"t":{"dtype":"I8","shape":[3],"data_offsets":[5,8]}})"), kModel, "t",
     "begin at byte 5 but the tensors before it end at 4, a hole"},
    {"HoleAtTheStart", header(R"({"t":{"dtype":"I8","shape":[7],"data_offsets":[1,8]}})"), kModel, "t", "begin at byte 1 but"},
    {"TrailingBytes", header("{" + kGood + "}"), kModel, "g", "4 trailing bytes after the last tensor"},
    {"TrailingBytesWithoutTensors", header("{}"), kModel, "", "8 trailing bytes after the last tensor belong"},
    {"NameTwice", header("{" + kGood + "," + kGood + "}"), kModel, "g", "lists this name twice"},
    {"NameTwiceInOtherSpelling", header("{" + kGood + R"(,"\u0067":{"dtype":"I8","shape":[4],"data_offsets":[4,8]}})"), kModel, "g",
     "lists this name twice"},
    {"NameWithLineBreakIsEscaped", header(R"({"a\nb":1})"), kModel, "a\\x0ab", "found a number"},
    {"NameOfMegabytesIsCut", header("{\"" + std::string(5'000'000, 'n') + "\":1}"), kModel, "", "nnn...\": must be"},
    {"MetadataIsCut", header(R"({"__metadata__":{"a":[{"b":)"), kModel, "", "not JSON at byte"},
    {"MetadataTwice", header(R"({"__metadata__":{},"__metadata__":{}})"), kModel, "", "__metadata__: the header lists this name twice"},
    {"NestedAMillionDeep", header(std::string(1'000'000, '[')), kModel, "", "must be a JSON object, found an array"},
    {"NestedAMillionDeepInAShape", header(R"({"t":{"shape":)" + std::string(1'000'000, '[')), kModel, "t",
     "must hold whole numbers only, found an array"},
    {"ShapeOfAMillionDims", entry("\"I8\"", "[" + json(std::vector<int>(1'000'000, 9)).dump().substr(1), "[0,8]"), kModel, "t",
     "... does not fit"},
};

// ---- the index and its shards

std::vector<RawTensor> tiny_tensors() { return test::random_tensors(test::tiny_config()); }

/// A good sharded checkpoint, then damaged.
std::function<void(const fs::path&)> sharded(const std::function<void(const fs::path&)>& damage) {
  return [damage](const fs::path& dir) {
    test::write_sharded_checkpoint(dir, test::tiny_config(), tiny_tensors());
    damage(dir);
  };
}

std::function<void(const fs::path&)> index(const std::string& text) {
  return sharded([text](const fs::path& dir) { test::write_file(dir / kIndex, text); });
}

/// The index with its JSON tree changed.
std::function<void(const fs::path&)> edited_index(const std::function<void(json&)>& edit) {
  return sharded([edit](const fs::path& dir) {
    json tree = json::parse(test::read_file(dir / kIndex));
    edit(tree);
    test::write_file(dir / kIndex, tree.dump());
  });
}

std::function<void(const fs::path&)> shard_name(const std::string& name) {
  return edited_index([name](json& tree) { tree["weight_map"]["norm.weight"] = name; });
}

/// The tensors of a shard changed, the index left as it was.
std::function<void(const fs::path&)> edited_shard(const char* shard, const std::function<void(std::vector<RawTensor>&)>& edit) {
  return sharded([shard, edit](const fs::path& dir) {
    std::vector<RawTensor> tensors = test::read_raw_file(dir / shard);
    edit(tensors);
    test::write_file(dir / shard, test::safetensors_bytes(tensors));
  });
}

const Malformed kShards[] = {
    {"IndexEmpty", index(""), kIndex, "", "not JSON at byte"},
    {"IndexNotJson", index("weight_map"), kIndex, "", "not JSON at byte 1"},
    {"IndexCut", index(R"({"weight_map":{"a":"m.safeten)"), kIndex, "", "not JSON at byte 30"},
    {"IndexIsArray", index("[]"), kIndex, "", "the index must be a JSON object, found an array"},
    {"IndexIsString", index("\"x\""), kIndex, "", "the index must be a JSON object, found a string"},
    {"IndexIsDirectory", sharded([](const fs::path& dir) {
       fs::remove(dir / kIndex);
       fs::create_directory(dir / kIndex);
     }),
     kIndex, "", "is a directory, expected the checkpoint's index"},
    {"IndexIsADeadLink", sharded([](const fs::path& dir) {
       fs::remove(dir / kIndex);
       fs::create_symlink("nowhere", dir / kIndex);
     }),
     kIndex, "", "a link to a file that is missing, expected the checkpoint's index"},
    {"IndexMissing", sharded([](const fs::path& dir) { fs::remove(dir / kIndex); }), kIndex, "",
     "the index is missing, but there are shards"},
    {"WeightMapMissing", index(R"({"metadata":{}})"), kIndex, "", "there is no \"weight_map\""},
    {"WeightMapEmpty", index(R"({"weight_map":{}})"), kIndex, "", "\"weight_map\" is empty"},
    {"WeightMapIsArray", index(R"({"weight_map":["a"]})"), kIndex, "", "\"weight_map\" must be an object, found an array"},
    {"WeightMapIsString", index(R"({"weight_map":"a"})"), kIndex, "", "\"weight_map\" must be an object, found a string"},
    {"WeightMapTwice", index(R"({"weight_map":{},"weight_map":{}})"), kIndex, "", "\"weight_map\" is there twice"},
    {"WeightMapHoldsNumber", index(R"({"weight_map":{"a":1}})"), kIndex, "a", "its shard must be a file name, found a number"},
    {"WeightMapHoldsArray", index(R"({"weight_map":{"a":[]}})"), kIndex, "a", "its shard must be a file name, found an array"},
    {"WeightMapHoldsObject", index(R"({"weight_map":{"a":{}}})"), kIndex, "a", "its shard must be a file name, found an object"},
    {"IndexMetadataIsArray", index(R"({"metadata":[1],"weight_map":{}})"), kIndex, "", "\"metadata\" must be an object, found an array"},
    {"IndexNestedDeeply", index(R"({"metadata":{"a":)" + std::string(1'000'000, '[')), kIndex, "", "nested more than 32 levels"},
    {"TensorListedTwice", index(R"({"weight_map":{"a":"m.safetensors","a":"m.safetensors"}})"), kIndex, "a", "is listed twice"},
    {"ShardNameWithParent", shard_name("../model.safetensors"), kIndex, "norm.weight", "\"../model.safetensors\" is not the plain name"},
    {"ShardNameAbsolute", shard_name("/etc/model.safetensors"), kIndex, "norm.weight", "\"/etc/model.safetensors\" is not the plain name"},
    {"ShardNameWithDirectory", shard_name("sub/model.safetensors"), kIndex, "norm.weight",
     "\"sub/model.safetensors\" is not the plain name"},
    {"ShardNameWithBackslash", shard_name("sub\\model.safetensors"), kIndex, "norm.weight", "is not the plain name"},
    {"ShardNameOfAnotherType", shard_name("pytorch_model.bin"), kIndex, "norm.weight", "\"pytorch_model.bin\" is not the plain name"},
    {"ShardNameEmpty", shard_name(""), kIndex, "norm.weight", "\"\" is not the plain name"},
    {"ShardNameOnlySuffix", shard_name(".safetensors"), kIndex, "norm.weight", "\".safetensors\" is not the plain name"},
    {"ShardNameWithNul", shard_name(std::string("a\0.safetensors", 14)), kIndex, "norm.weight",
     "\"a\\x00.safetensors\" is not the plain name"},
    {"ShardMissing", sharded([](const fs::path& dir) { fs::remove(dir / kSecond); }), kSecond, "", "the shard is missing (1 of 2"},
    {"AllShardsMissing", sharded([](const fs::path& dir) {
       fs::remove(dir / kFirst);
       fs::remove(dir / kSecond);
     }),
     kFirst, "", "the shard is missing (2 of 2"},
    {"ShardEmpty", sharded([](const fs::path& dir) { test::write_file(dir / kSecond, ""); }), kSecond, "", "the file is empty"},
    {"ShardCutInItsHeader", sharded([](const fs::path& dir) { fs::resize_file(dir / kSecond, 500); }), kSecond, "",
     "ends past the end of the file (500"},
    {"ShardCutInItsData", sharded([](const fs::path& dir) { fs::resize_file(dir / kSecond, fs::file_size(dir / kSecond) - 1); }), kSecond,
     "head.weight", "the file is truncated"},
    {"ShardWithOneByteMore", sharded([](const fs::path& dir) { fs::resize_file(dir / kSecond, fs::file_size(dir / kSecond) + 1); }),
     kSecond, "", "1 trailing bytes"},
    {"TensorNotInItsShard", edited_shard(kFirst, [](auto& tensors) { test::erase_named(tensors, "embed.weight"); }), kFirst, "embed.weight",
     "is missing from this shard"},
    {"TensorInAnotherShard", edited_index([](json& tree) { tree["weight_map"]["embed.weight"] = kSecond; }), kFirst, "embed.weight",
     "points to model-00002-of-00002.safetensors"},
    {"TensorNotInTheIndex", edited_index([](json& tree) { tree["weight_map"].erase("embed.weight"); }), kFirst, "embed.weight",
     "is in this shard but not in model.safetensors.index.json"},
    {"TensorInTwoShards",
     edited_shard(kSecond,
                  [](auto& tensors) {
                    tensors.push_back({"embed.weight", "I8", {1}, "1"});
                  }),
     kSecond, "embed.weight", "is in this shard and in model-00001-of-00002.safetensors too"},
    {"TensorOnlyInTheIndex", edited_index([](json& tree) { tree["weight_map"]["extra.weight"] = kFirst; }), kFirst, "extra.weight",
     "is missing from this shard"},
    {"NoWeightsAtAll", [](const fs::path& dir) { test::write_file(dir / "config.json", test::tiny_config()); }, "", "",
     "there is neither model.safetensors nor"},
};

// ---- tensors that do not fit the config

/// A checkpoint in one file with its tensors changed.
std::function<void(const fs::path&)> tensors(const std::function<void(std::vector<RawTensor>&)>& edit,
                                             const json& config_changes = json::object()) {
  return [edit, config_changes](const fs::path& dir) {
    std::vector<RawTensor> all = tiny_tensors();
    edit(all);
    test::write_checkpoint(dir, test::tiny_config(config_changes), all);
  };
}

std::function<void(const fs::path&)> erased(const std::string& name) {
  return tensors([name](auto& all) { test::erase_named(all, name); });
}

/// One tensor replaced by zeros of another dtype or shape.
std::function<void(const fs::path&)> retyped(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape,
                                             size_t bytes) {
  return tensors([=](auto& all) { test::tensor_named(all, name) = {name, dtype, shape, std::string(bytes, '\0')}; });
}

std::function<void(const fs::path&)> added(const RawTensor& tensor) {
  return tensors([tensor](auto& all) { all.push_back(tensor); });
}

std::function<void(const fs::path&)> hash_entry(int64_t expert) {
  return tensors(
      [expert](auto& all) { std::memcpy(test::tensor_named(all, "layers.0.ffn.gate.tid2eid").data.data() + 5 * 16, &expert, 8); });
}

std::function<void(const fs::path&)> f32_scale(float value) {
  return tensors([value](auto& all) {
    test::tensor_named(all, "layers.0.attn.wq_a.scale") = {"layers.0.attn.wq_a.scale", "F32", {1, 1}, test::bytes_of<float>({value})};
  });
}

const Malformed kTensors[] = {
    {"OneTensorMissing", erased("layers.1.attn.kv_norm.weight"), "", "layers.1.attn.kv_norm.weight", "[16] is missing"},
    {"SeveralTensorsMissing", tensors([](auto& all) {
       test::erase_named(all, "layers.1.attn.attn_sink");
       test::erase_named(all, "norm.weight");
     }),
     "", "layers.1.attn.attn_sink", "[2] and 1 more are missing"},
    {"OneExpertMissing", tensors([](auto& all) {
       test::erase_named(all, "layers.1.ffn.experts.3.w2.weight");
       test::erase_named(all, "layers.1.ffn.experts.3.w2.scale");
     }),
     "", "layers.1.ffn.experts.3.w2.weight", "[64,32] is missing"},
    {"FewerLayersThanConfigSays", tensors([](auto&) {}, {{"num_hidden_layers", 3}, {"compress_ratios", {0, 4, 0}}}), "",
     "layers.2.hc_attn_fn", "more are missing"},
    {"MoreLayersThanConfigSays", tensors([](auto&) {}, {{"num_hidden_layers", 1}, {"compress_ratios", {0}}}), kModel,
     "layers.1.attn.attn_sink", "more layers than config.json says (num_hidden_layers 1)"},
    {"MoreExpertsThanConfigSays",
     [](const fs::path& dir) {
       test::write_checkpoint(dir, test::tiny_config({{"num_hash_layers", 0}}),
                              test::random_tensors(test::tiny_config({{"num_hash_layers", 0}})));
       std::vector<RawTensor> all = test::read_raw_file(dir / kModel);
       all.push_back({"layers.0.ffn.experts.4.w1.weight", "I8", {1}, "1"});
       test::write_file(dir / kModel, test::safetensors_bytes(all));
     },
     kModel, "layers.0.ffn.experts.4.w1.weight", "not a tensor of the model that config.json describes (1 such"},
    {"UnknownTensors", tensors([](auto& all) {
       all.push_back({"extra.patch.weight", "BF16", {1}, "12"});
       all.push_back({"extra.patch.bias", "BF16", {1}, "12"});
     }),
     kModel, "extra.patch.bias", "not a tensor of the model that config.json describes (2 such tensors)"},
    {"KnownNameInTheWrongLayer", added({"layers.0.attn.compressor.ape", "F32", {1}, "1234"}), kModel, "layers.0.attn.compressor.ape",
     "not a tensor of the model"},
    {"SameWeightInBothSchemes", added({"model.embed_tokens.weight", "BF16", {1}, "12"}), kModel, "model.embed_tokens.weight",
     "is the same weight as \"embed.weight\""},
    {"SameScaleInBothSpellings", added({"layers.0.attn.wq_a.weight_scale_inv", "F8_E8M0", {1, 1}, "1"}), kModel,
     "layers.0.attn.wq_a.weight_scale_inv", "is the same weight as \"layers.0.attn.wq_a.scale\""},
    {"ExpertsSingleAndStacked", added({"model.layers.0.mlp.experts.down_proj", "BF16", {1}, "12"}), kModel,
     "model.layers.0.mlp.experts.down_proj", "is the same weight as"},
    {"ShapeTransposed", retyped("layers.0.attn.wq_a.weight", "F8_E4M3", {64, 32}, 2048), kModel, "layers.0.attn.wq_a.weight",
     "its shape is [64,32], expected [32,64] as F8_E4M3"},
    {"ShapeOfAnotherRank", retyped("norm.weight", "BF16", {1, 64}, 128), kModel, "norm.weight",
     "its shape is [1,64], expected [64] as BF16"},
    {"Fp4NotPacked", retyped("layers.0.ffn.experts.0.w1.weight", "I8", {32, 64}, 2048), kModel, "layers.0.ffn.experts.0.w1.weight",
     "INT8, which is not supported; expected FP4 (two values a byte), FP8"},
    {"Fp4OfTheWrongShape", retyped("layers.0.ffn.experts.0.w1.weight", "I8", {32, 48}, 1536), kModel, "layers.0.ffn.experts.0.w1.weight",
     "its shape is [32,48], expected [32,32] as I8"},
    {"DenseWeightAsInt8", retyped("layers.0.attn.wq_a.weight", "I8", {32, 64}, 2048), kModel, "layers.0.attn.wq_a.weight",
     "INT8, which is not supported; expected FP8, BF16, F16 or F32"},
    {"Fp64", retyped("norm.weight", "F64", {64}, 512), kModel, "norm.weight", "its dtype is F64, expected BF16, F16 or F32"},
    {"UnknownType", retyped("layers.0.attn.wq_a.weight", "Q4_K", {32, 64}, 1152), kModel, "layers.0.attn.wq_a.weight",
     "its dtype is Q4_K, expected F8_E4M3, BF16, F16 or F32"},
    {"TypeOfManyKilobytes", retyped("norm.weight", std::string(100000, 'F'), {64}, 128), kModel, "norm.weight", "its dtype is FFFFFFFF"},
    {"OtherFp8", retyped("layers.0.attn.wq_a.weight", "F8_E5M2", {32, 64}, 2048), kModel, "layers.0.attn.wq_a.weight",
     "its dtype is F8_E5M2, expected F8_E4M3"},
    {"NormAsFp8", retyped("norm.weight", "F8_E4M3", {64}, 64), kModel, "norm.weight", "its dtype is F8_E4M3, expected BF16, F16 or F32"},
    {"SinkAsI64", retyped("layers.0.attn.attn_sink", "I64", {2}, 16), kModel, "layers.0.attn.attn_sink",
     "its dtype is I64, expected F32, BF16 or F16"},
    {"ExpertAsE8m0", retyped("layers.0.ffn.experts.0.w1.weight", "F8_E8M0", {32, 64}, 2048), kModel, "layers.0.ffn.experts.0.w1.weight",
     "its dtype is F8_E8M0, expected I8 (FP4)"},
    {"HashTableAsF32", retyped("layers.0.ffn.gate.tid2eid", "F32", {24, 2}, 192), kModel, "layers.0.ffn.gate.tid2eid",
     "its dtype is F32, expected I64"},
    {"HashTableTooShort", retyped("layers.0.ffn.gate.tid2eid", "I64", {23, 2}, 368), kModel, "layers.0.ffn.gate.tid2eid",
     "its shape is [23,2], expected [24,2]"},
    {"HashTableNamesAnExpertThatIsNotThere", hash_entry(4), kModel, "layers.0.ffn.gate.tid2eid", "row 5 names expert 4, expected 0 to 3"},
    {"HashTableNamesANegativeExpert", hash_entry(-1), kModel, "layers.0.ffn.gate.tid2eid", "row 5 names expert -1"},
    {"HashTableNamesExpert2To32", hash_entry(int64_t{1} << 32), kModel, "layers.0.ffn.gate.tid2eid", "row 5 names expert 4294967296"},
    {"Fp8ScaleMissing", erased("layers.0.attn.wo_b.scale"), kModel, "layers.0.attn.wo_b.weight",
     "its scale \"layers.0.attn.wo_b.scale\" is missing; FP8"},
    {"Fp4ScaleMissing", erased("layers.0.ffn.experts.2.w2.scale"), kModel, "layers.0.ffn.experts.2.w2.weight", "is missing; FP4"},
    {"ScaleOfNoWeight", added({"layers.0.attn.wq_c.scale", "F8_E8M0", {1}, "1"}), kModel, "layers.0.attn.wq_c.scale",
     "not a tensor of the model"},
    {"Fp8ScaleOfTheWrongShape", retyped("layers.0.attn.wq_a.scale", "F8_E8M0", {1, 2}, 2), kModel, "layers.0.attn.wq_a.scale",
     "its shape is [1,2], expected [1,1]"},
    {"Fp4ScaleOfTheWrongShape", retyped("layers.0.ffn.experts.0.w1.scale", "F8_E8M0", {32, 4}, 128), kModel,
     "layers.0.ffn.experts.0.w1.scale", "its shape is [32,4], expected [32,2]"},
    {"Fp8ScaleAsI64", retyped("layers.0.attn.wq_a.scale", "I64", {1, 1}, 8), kModel, "layers.0.attn.wq_a.scale",
     "expected F8_E8M0, F32, BF16 or F16 for the scale of an FP8"},
    {"Fp4ScaleAsF32", retyped("layers.0.ffn.experts.0.w1.scale", "F32", {32, 2}, 256), kModel, "layers.0.ffn.experts.0.w1.scale",
     "expected F8_E8M0 for the scale of an FP4"},
    {"F32ScaleNan", f32_scale(std::numeric_limits<float>::quiet_NaN()), kModel, "layers.0.attn.wq_a.scale", "scale number 0 is nan"},
    {"F32ScaleInfinite", f32_scale(-HUGE_VALF), kModel, "layers.0.attn.wq_a.scale", "scale number 0 is -inf"},
    {"MtpBlockWithoutOneTensor",
     [](const fs::path& dir) {
       const std::string config = test::tiny_config({{"num_nextn_predict_layers", 1}, {"compress_ratios", {0, 4, 0}}});
       std::vector<RawTensor> all = test::random_tensors(config);
       test::erase_named(all, "mtp.0.enorm.weight");
       test::write_checkpoint(dir, config, all);
     },
     "", "mtp.0.enorm.weight", "[64] is missing"},
    {"MtpTensorOfTheWrongShape",
     [](const fs::path& dir) {
       const std::string config = test::tiny_config({{"num_nextn_predict_layers", 1}, {"compress_ratios", {0, 4, 0}}});
       std::vector<RawTensor> all = test::random_tensors(config);
       test::tensor_named(all, "mtp.0.enorm.weight") = {"mtp.0.enorm.weight", "BF16", {32}, std::string(64, '\0')};
       test::write_checkpoint(dir, config, all);
     },
     kModel, "mtp.0.enorm.weight", "its shape is [32], expected [64]"},
    {"StackedExpertsOfTheWrongNumber", tensors([](auto& all) {
       std::erase_if(all, [](const RawTensor& t) { return t.name.starts_with("layers.0.ffn.experts."); });
       all.push_back({"model.layers.0.mlp.experts.gate_up_proj", "BF16", {3, 64, 64}, std::string(3 * 64 * 64 * 2, '\0')});
       all.push_back({"model.layers.0.mlp.experts.down_proj", "BF16", {4, 64, 32}, std::string(4 * 64 * 32 * 2, '\0')});
     }),
     kModel, "model.layers.0.mlp.experts.gate_up_proj", "its shape is [3,64,64], expected [4,64,64]"},
    {"StackedExpertsTransposed", tensors([](auto& all) {
       std::erase_if(all, [](const RawTensor& t) { return t.name.starts_with("layers.0.ffn.experts."); });
       all.push_back({"model.layers.0.mlp.experts.gate_up_proj", "BF16", {4, 64, 64}, std::string(4 * 64 * 64 * 2, '\0')});
       all.push_back({"model.layers.0.mlp.experts.down_proj", "BF16", {4, 32, 64}, std::string(4 * 64 * 32 * 2, '\0')});
     }),
     kModel, "model.layers.0.mlp.experts.down_proj", "its shape is [4,32,64], expected [4,64,32]"},
    {"StackedFp8ScalesAcrossW1AndW3", tensors([](auto& all) {
       std::erase_if(all, [](const RawTensor& t) { return t.name.starts_with("layers.0.ffn.experts."); });
       all.push_back({"model.layers.0.mlp.experts.gate_up_proj", "F8_E4M3", {4, 64, 64}, std::string(4 * 64 * 64, '\0')});
       all.push_back({"model.layers.0.mlp.experts.gate_up_proj_scale_inv", "F32", {4, 1, 1}, std::string(16, '\0')});
       all.push_back({"model.layers.0.mlp.experts.down_proj", "BF16", {4, 64, 32}, std::string(4 * 64 * 32 * 2, '\0')});
     }),
     kModel, "model.layers.0.mlp.experts.gate_up_proj_scale_inv", "a scale block would belong to w1 and w3"},
};

class MalformedCheckpoint : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedCheckpoint, IsRefusedInOneLineThatNamesIt) { expect_refused(GetParam()); }

constexpr auto row_name = [](const auto& instance) { return std::string(instance.param.name); };
INSTANTIATE_TEST_SUITE_P(File, MalformedCheckpoint, testing::ValuesIn(kFiles), row_name);
INSTANTIATE_TEST_SUITE_P(Shards, MalformedCheckpoint, testing::ValuesIn(kShards), row_name);
INSTANTIATE_TEST_SUITE_P(Tensors, MalformedCheckpoint, testing::ValuesIn(kTensors), row_name);

TEST(Malformed, TheUndamagedCheckpointIsAccepted) {
  const TempDir single, sharded_dir;
  tensors([](auto&) {})(single.path());
  sharded([](const fs::path&) {})(sharded_dir.path());
  EXPECT_NO_THROW(Checkpoint::open(single.path()));
  EXPECT_NO_THROW(Checkpoint::open(sharded_dir.path()));
}

}  // namespace
}  // namespace dsv4
