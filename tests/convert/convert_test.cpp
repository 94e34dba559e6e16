// Whole conversions of the goldens' checkpoints: every byte of the weights, the folder's files, and what is left behind by a failure.
#include "convert/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "checkpoint/safetensors_writer.h"
#include "support/files.h"
#include "support/independent_numbers.h"
#include "support/ir_scan.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace testing_support;
namespace fs = std::filesystem;

const fs::path kGoldens = fs::path(DSV4_TEST_DATA) / "goldens";

/// Weights of a checkpoint dequantised by the definitions of the formats.
class Dequantised {
 public:
  explicit Dequantised(const fs::path& directory) {
    for (const std::string& name : names_in(directory)) {
      if (name.ends_with(".safetensors") && name.starts_with("model")) files_.emplace_back(directory / name);
    }
  }

  /// Weights and tables; scales belong to their weights.
  std::set<std::string> names() const {
    std::set<std::string> names;
    for (const StoredTensors& file : files_) {
      for (const std::string& name : file.names()) {
        if (!name.ends_with(".scale")) names.insert(name);
      }
    }
    return names;
  }

  std::vector<double> values(const std::string& name) const {
    const StoredTensors& file = file_of(name);
    const std::string dtype = file.dtype(name);
    std::vector<double> values;
    if (dtype == "F32") {
      for (const float value : file.values<float>(name)) values.push_back(value);
    } else if (dtype == "BF16") {
      for (const uint16_t bits : file.values<uint16_t>(name)) values.push_back(test::bf16_value(bits));
    } else if (dtype == "I64") {
      for (const int64_t id : file.values<int64_t>(name)) values.push_back(static_cast<double>(id));
    } else {
      const std::vector<uint8_t> bytes = file.values<uint8_t>(name);
      const std::string scale = name.substr(0, name.size() - std::string("weight").size()) + "scale";
      const std::vector<uint8_t> scales = file_of(scale).values<uint8_t>(scale);
      const size_t rows = static_cast<size_t>(file.shape(name)[0]), bytes_a_row = static_cast<size_t>(file.shape(name)[1]);
      const size_t scale_columns = static_cast<size_t>(file_of(scale).shape(scale)[1]);
      for (size_t r = 0; r < rows; ++r) {
        for (size_t c = 0; c < bytes_a_row; ++c) {
          const uint8_t byte = bytes[r * bytes_a_row + c];
          if (dtype == "F8_E4M3") {  // one scale for 128 x 128
            values.push_back(test::e4m3_value(byte) * test::e8m0_value(scales[r / 128 * scale_columns + c / 128]));
          } else {  // two FP4 values a byte, one scale for 32 of a row
            const double s = test::e8m0_value(scales[r * scale_columns + 2 * c / 32]);
            values.push_back(test::e2m1_value(byte & 15) * s);
            values.push_back(test::e2m1_value(byte >> 4) * s);
          }
        }
      }
    }
    return values;
  }

 private:
  const StoredTensors& file_of(const std::string& name) const {
    for (const StoredTensors& file : files_) {
      if (file.contains(name)) return file;
    }
    throw std::runtime_error("no tensor " + name);
  }

  std::vector<StoredTensors> files_;
};

/// To the nearest float16, ties to even; no overflow here.
double nearest_f16(double x) {
  if (x == 0.0) return x;
  const double step = std::ldexp(1.0, std::max(std::ilogb(x), -14) - 10);
  return std::nearbyint(x / step) * step;
}

/// A constant of the .bin as numbers.
std::vector<double> stored_values(const std::string& bin, const IrConstant& constant) {
  std::vector<double> values;
  const size_t width = constant.type == "f16" ? 2 : 4;
  EXPECT_TRUE(constant.type == "f16" || constant.type == "f32" || constant.type == "i32") << constant.type;
  for (uint64_t at = constant.offset; at < constant.offset + constant.bytes; at += width) {
    if (constant.type == "f16") {
      uint16_t bits = 0;
      std::memcpy(&bits, &bin.at(at), sizeof bits);
      values.push_back(test::f16_value(bits));
    } else if (constant.type == "f32") {
      float value = 0.0f;
      std::memcpy(&value, &bin.at(at), sizeof value);
      values.push_back(value);
    } else {
      int32_t value = 0;
      std::memcpy(&value, &bin.at(at), sizeof value);
      values.push_back(value);
    }
  }
  return values;
}

class Converted : public testing::Test {
 protected:
  fs::path output() const { return directory_.path() / "model"; }

  ConvertOptions options(const fs::path& checkpoint, WeightFormat format = WeightFormat::kFp32) const {
    ConvertOptions o;
    o.checkpoint = checkpoint;
    o.output = output();
    o.compression.format = format;
    return o;
  }

  /// A copy of the toy in which a test may change things.
  fs::path toy_copy() const {
    const fs::path copy = directory_.path() / "checkpoint";
    fs::copy(kGoldens / "toy", copy);
    return copy;
  }

  TemporaryDirectory directory_;
};

struct Whole {
  const char* golden;
  WeightFormat format;
};

class EveryWeight : public Converted, public testing::WithParamInterface<Whole> {};

TEST_P(EveryWeight, IsInTheBinAsDequantised) {
  const auto [golden, format] = GetParam();
  const Dequantised checkpoint(kGoldens / golden);
  convert(options(kGoldens / golden, format));
  const std::string bin = read_file(output() / "openvino_model.bin");
  const auto constants = scan_constants(read_file(output() / "openvino_model.xml"));

  // Checkpoint tensors of each constant, in the order in which they lie there.
  std::set<std::string> left = checkpoint.names();
  std::map<std::string, std::vector<std::string>> parts;
  for (const std::string& name : left) {
    const size_t at = name.find(".ffn.experts.");
    if (at == std::string::npos) {
      parts[name] = {name};
      continue;
    }
    const std::string prefix = name.substr(0, at) + ".ffn.experts.";
    if (parts.contains(prefix + "w2.weight")) continue;
    for (int e = 0; checkpoint.names().contains(prefix + std::to_string(e) + ".w1.weight"); ++e) {
      const std::string expert = prefix + std::to_string(e);
      parts[prefix + "w1w3.weight"].insert(parts[prefix + "w1w3.weight"].end(), {expert + ".w1.weight", expert + ".w3.weight"});
      parts[prefix + "w2.weight"].push_back(expert + ".w2.weight");
    }
  }

  for (const auto& [name, tensors] : parts) {
    SCOPED_TRACE(name);
    std::vector<double> actual;
    std::string type;
    if (constants.contains(name)) {
      actual = stored_values(bin, constants.at(name));
      type = constants.at(name).type;
    } else {  // a matrix that the graph takes in groups of rows
      for (int g = 0; constants.contains(name + "/rows." + std::to_string(g)); ++g) {
        const IrConstant& rows = constants.at(name + "/rows." + std::to_string(g));
        const std::vector<double> values = stored_values(bin, rows);
        actual.insert(actual.end(), values.begin(), values.end());
        type = rows.type;
      }
    }
    std::vector<double> expected;
    for (const std::string& tensor : tensors) {
      for (const double value : checkpoint.values(tensor)) expected.push_back(type == "f16" ? nearest_f16(value) : value);
      left.erase(tensor);
    }
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) ASSERT_EQ(actual[i], expected[i]) << "element " << i;
    EXPECT_TRUE(type != "f16" || format == WeightFormat::kFp16);
    EXPECT_TRUE(type == "f16" || format == WeightFormat::kFp32 || tensors.size() == 1) << "experts are stored as asked";
  }
  EXPECT_THAT(left, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Goldens, EveryWeight,
                         testing::Values(Whole{"toy", WeightFormat::kFp32}, Whole{"toy", WeightFormat::kFp16},
                                         Whole{"hash", WeightFormat::kFp32}),
                         [](const testing::TestParamInfo<Whole>& p) {
                           return std::string(p.param.golden) + "_" + weight_format_name(p.param.format);
                         });

/// Bytes of a tensor of the golden as stored.
std::string stored_bytes(const fs::path& directory, const std::string& tensor) {
  for (const std::string& name : names_in(directory)) {
    if (!name.ends_with(".safetensors") || !name.starts_with("model")) continue;
    const StoredTensors file(directory / name);
    if (file.contains(tensor)) {
      const std::vector<uint8_t> bytes = file.values<uint8_t>(tensor);
      return {bytes.begin(), bytes.end()};
    }
  }
  throw std::runtime_error("no tensor " + tensor);
}

TEST_F(Converted, Mxfp4KeepsThePublishedBitsOfTheExperts) {
  convert(options(kGoldens / "hash", WeightFormat::kMxfp4));
  const std::string bin = read_file(output() / "openvino_model.bin");
  const auto constants = scan_constants(read_file(output() / "openvino_model.xml"));
  const Config config = read_config(kGoldens / "hash");
  const auto bytes_of = [&](const std::string& name, const char* type) {
    const IrConstant& constant = constants.at(name);
    EXPECT_EQ(constant.type, type) << name;
    return bin.substr(constant.offset, constant.bytes);
  };
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const std::string prefix = "layers." + std::to_string(layer) + ".ffn.experts.";
    for (const auto& [stack, matrices] : {std::pair<std::string, std::vector<std::string>>{"w1w3", {"w1", "w3"}}, {"w2", {"w2"}}}) {
      std::string codes, scales;
      for (int64_t e = 0; e < config.n_routed_experts; ++e) {
        for (const std::string& matrix : matrices) {
          codes += stored_bytes(kGoldens / "hash", prefix + std::to_string(e) + "." + matrix + ".weight");
          scales += stored_bytes(kGoldens / "hash", prefix + std::to_string(e) + "." + matrix + ".scale");
        }
      }
      EXPECT_TRUE(bytes_of(prefix + stack + ".weight", "f4e2m1") == codes) << prefix << stack;
      EXPECT_TRUE(bytes_of(prefix + stack + ".weight/scale", "f8e8m0") == scales) << prefix << stack;
    }
  }
}

TEST_F(Converted, Mxfp4NeedsExpertsPublishedInFp4) {
  // The toy with its first expert matrix told to be BF16: the header says so, the bytes are as many as BF16 needs.
  const fs::path checkpoint = toy_copy();
  const StoredTensors stored(checkpoint / "model.safetensors");
  std::vector<test::RawTensor> tensors;
  for (const std::string& name : stored.names()) {
    if (name.find(".ffn.experts.") == std::string::npos) {
      tensors.push_back({name, stored.dtype(name), stored.shape(name), stored.bytes(name)});
    } else if (name.ends_with(".weight")) {
      std::vector<int64_t> shape = stored.shape(name);
      shape.back() *= 2;
      tensors.push_back({name, "BF16", shape, std::string(static_cast<size_t>(shape[0] * shape[1]) * 2, '\0')});
    }
  }
  write_file(checkpoint / "model.safetensors", test::safetensors_bytes(tensors));
  fs::remove(checkpoint / "model.safetensors.index.json");
  EXPECT_THAT(error_of([&] { convert(options(checkpoint, WeightFormat::kMxfp4)); }),
              AllOf(HasSubstr("mxfp4"), HasSubstr("layers.0.ffn.experts.0.w1.weight"), HasSubstr("BF16"), HasSubstr("int4")));
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("checkpoint"));
}

TEST_F(Converted, HasTheFilesOfAModelFolder) {
  const fs::path checkpoint = toy_copy();
  write_file(checkpoint / "tokenizer.json", "{\"a tokenizer\": 1}");
  ConvertOptions without_tokenizer = options(checkpoint);
  without_tokenizer.tokenizer = false;
  convert(without_tokenizer);
  EXPECT_THAT(names_in(output()),
              ElementsAre("README.md", "chat_template.jinja", "config.json", "configuration_deepseek_v4.py", "dsv4_files.json",
                          "generation_config.json", "openvino_config.json", "openvino_model.bin", "openvino_model.xml", "tokenizer.json"));
  EXPECT_EQ(read_file(output() / "tokenizer.json"), read_file(checkpoint / "tokenizer.json"));
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("checkpoint", "model"));
}

TEST_F(Converted, MakesTokenizerModelsUnlessAskedNotTo) {
  convert(options(fs::path(DSV4_TEST_DATA) / "../../models/mini"));
  for (const char* name : {"openvino_tokenizer.xml", "openvino_tokenizer.bin", "openvino_detokenizer.xml", "openvino_detokenizer.bin"}) {
    EXPECT_TRUE(fs::exists(output() / name)) << name;
  }
}

TEST_F(Converted, RefusesATokenizerThatItCannotConvertBeforeAnythingIsWritten) {
  const fs::path checkpoint = toy_copy();
  write_file(checkpoint / "tokenizer.json", "{\"model\": {\"type\": \"Unigram\"}}");
  EXPECT_THAT(error_of([&] { convert(options(checkpoint)); }), AllOf(HasSubstr("tokenizer.json"), HasSubstr("decoder")));
  EXPECT_THAT(error_of([&] { plan_conversion(options(checkpoint)); }), HasSubstr("tokenizer.json"));
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("checkpoint"));
}

TEST_F(Converted, ReportsWhatItDid) {
  uint64_t last_done = 0, last_total = 0, calls = 0;
  ConvertOptions o = options(kGoldens / "toy", WeightFormat::kFp16);
  o.progress = [&](uint64_t done, uint64_t total) {
    EXPECT_GE(done, last_done);
    EXPECT_LE(done, total);
    last_done = done;
    last_total = total;
    ++calls;
  };
  const ConvertReport planned = plan_conversion(o);
  EXPECT_EQ(calls, 0u);
  EXPECT_THAT(names_in(directory_.path()), IsEmpty()) << "a plan writes nothing";
  const ConvertReport report = convert(o);
  EXPECT_GT(calls, 0u);
  EXPECT_EQ(last_done, last_total) << "progress ends short of the whole";
  EXPECT_EQ(report.bin_bytes, fs::file_size(output() / "openvino_model.bin"));
  EXPECT_EQ(report.xml_bytes, fs::file_size(output() / "openvino_model.xml"));

  const StoredTensors stored(kGoldens / "toy/model.safetensors");
  uint64_t bytes = 0;
  for (const std::string& name : stored.names()) bytes += stored.bytes(name).size();
  EXPECT_EQ(report.checkpoint_bytes, bytes);
  EXPECT_EQ(planned.weights, report.weights);
  EXPECT_EQ(planned.checkpoint_bytes, report.checkpoint_bytes);
  EXPECT_EQ(planned.bin_bytes, report.bin_bytes);
}

TEST_F(Converted, IsTheSameEveryTime) {
  ConvertOptions o = options(kGoldens / "toy");
  convert(o);
  o.output = directory_.path() / "again";
  convert(o);
  EXPECT_TRUE(read_file(output() / "openvino_model.bin") == read_file(o.output / "openvino_model.bin"));
  // OpenVINO numbers nodes without a name through the life of the process.
  const auto without_numbers = [](const fs::path& folder) {
    std::string kept;
    for (const char c : read_file(folder / "openvino_model.xml")) {
      if (c == '"') {
        const size_t before = kept.find_last_not_of("0123456789");
        if (before != std::string::npos && kept[before] == '_') kept.erase(before);
      }
      kept += c;
    }
    return kept;
  };
  EXPECT_TRUE(without_numbers(output()) == without_numbers(o.output));
}

TEST_F(Converted, RefusesFloat16ForValuesBeyondItsRange) {
  const fs::path checkpoint = toy_copy();
  const StoredTensors stored(checkpoint / "model.safetensors");
  const std::string tensor = "layers.1.attn.wq_b";
  std::string bytes = read_file(checkpoint / "model.safetensors");
  bytes[stored.place(tensor + ".scale")] = static_cast<char>(127 + 20);
  write_file(checkpoint / "model.safetensors", bytes);

  const std::string message = error_of([&] { convert(options(checkpoint, WeightFormat::kFp16)); });
  EXPECT_THAT(message, AllOf(HasSubstr(tensor + ".weight"), HasSubstr("float16"), HasSubstr("--weight-format fp32")));
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("checkpoint")) << "something was left behind";

  // float32 holds them, and the same output name is free.
  convert(options(checkpoint, WeightFormat::kFp32));
  const std::string bin = read_file(output() / "openvino_model.bin");
  const auto constants = scan_constants(read_file(output() / "openvino_model.xml"));
  EXPECT_EQ(stored_values(bin, constants.at(tensor + ".weight")), Dequantised(checkpoint).values(tensor + ".weight"));
}

TEST_F(Converted, RefusesAnOutputThatExists) {
  fs::create_directory(output());
  write_file(output() / "precious", "data");
  EXPECT_THAT(error_of([&] { convert(options(kGoldens / "toy")); }), AllOf(HasSubstr(output().string()), HasSubstr("exists")));
  EXPECT_THAT(names_in(output()), ElementsAre("precious"));

  fs::remove_all(output());
  write_file(output(), "a file");
  EXPECT_THAT(error_of([&] { convert(options(kGoldens / "toy")); }), HasSubstr("exists"));
  EXPECT_EQ(read_file(output()), "a file");
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("model"));
}

TEST_F(Converted, TakesAnEmptyDirectoryAndMissingParents) {
  fs::create_directory(output());
  convert(options(kGoldens / "toy"));
  EXPECT_TRUE(fs::exists(output() / "openvino_model.xml"));

  ConvertOptions o = options(kGoldens / "toy");
  o.output = directory_.path() / "a/b/model";
  convert(o);
  EXPECT_TRUE(fs::exists(o.output / "openvino_model.xml"));
}

TEST_F(Converted, TakesATrailingSlash) {
  ConvertOptions o = options(kGoldens / "toy");
  o.output = output().string() + "/";
  convert(o);
  EXPECT_TRUE(fs::exists(output() / "openvino_model.xml"));
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("model"));
}

TEST_F(Converted, LeavesNothingBehindWhenTheCheckpointIsBroken) {
  const fs::path checkpoint = toy_copy();
  fs::resize_file(checkpoint / "model.safetensors", fs::file_size(checkpoint / "model.safetensors") - 100);
  EXPECT_THAT(error_of([&] { convert(options(checkpoint)); }), HasSubstr("model.safetensors"));
  fs::remove(checkpoint / "model.safetensors");
  EXPECT_THAT(error_of([&] { convert(options(checkpoint)); }), HasSubstr("model.safetensors"));
  EXPECT_THAT(error_of([&] { convert(options(directory_.path() / "missing")); }), HasSubstr("missing"));
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("checkpoint"));
}

TEST_F(Converted, LayersCutsTheConfigAndTheModel) {
  ConvertOptions o = options(kGoldens / "toy");
  o.layers = 3;
  const ConvertReport report = convert(o);
  EXPECT_LT(report.bin_bytes, plan_conversion(options(kGoldens / "toy")).bin_bytes);
  const auto config = nlohmann::json::parse(read_file(output() / "config.json"));
  EXPECT_EQ(config.at("num_hidden_layers"), 3);
  EXPECT_EQ(config.at("compress_ratios"), nlohmann::json({0, 0, 4}));
  EXPECT_EQ(config.at("hidden_size"), 128) << "the rest stays";
  EXPECT_EQ(read_config(output()).layers.size(), 3u);
  const auto constants = scan_constants(read_file(output() / "openvino_model.xml"));
  EXPECT_TRUE(constants.contains("layers.2.attn.wq_a.weight"));
  for (const auto& [name, constant] : constants) EXPECT_NE(name.substr(0, 9), "layers.3.") << name;
}

TEST_F(Converted, LayersOutOfRangeAreRefused) {
  for (const int64_t layers : {0, 5, 1000}) {
    ConvertOptions o = options(kGoldens / "toy");
    o.layers = layers;
    EXPECT_THAT(error_of([&] { convert(o); }), HasSubstr("--layers " + std::to_string(layers))) << layers;
  }
  EXPECT_THAT(names_in(directory_.path()), IsEmpty());
}

}  // namespace
}  // namespace dsv4
