// Weights in the forms of other tools and under other labels, compared with values by definition.
#include "checkpoint/weight_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <optional>

#include "checkpoint/tiny_checkpoint.h"
#include "dsv4/error.h"
#include "support/independent_numbers.h"

namespace dsv4 {
namespace {

using nlohmann::json;
using test::RawTensor;
using test::TempDir;
using testing::HasSubstr;

uint32_t byte_at(const std::string& data, int64_t index) { return static_cast<unsigned char>(data[static_cast<size_t>(index)]); }

/// A matrix of the tiny checkpoint, and its values where it is stored otherwise.
struct Rewritten {
  std::string name;  ///< without ".weight"
  std::vector<RawTensor> tensors;
  std::vector<float> values;
};

using Rewrite = std::function<Rewritten(const std::string& module, int64_t rows, int64_t cols, test::RandomBytes& random)>;

std::string random_codes(int64_t bytes, test::RandomBytes& random) { return random.data("I8", static_cast<uint64_t>(bytes), 1); }

/// NVFP4 with any finite scales, in the spelling of one tool.
Rewritten nvfp4(const std::string& module, int64_t rows, int64_t cols, test::RandomBytes& random, bool compressed_tensors) {
  const std::string codes = random_codes(rows * cols / 2, random),
                    scales = random.data("F8_E4M3", static_cast<uint64_t>(rows * cols / 16), 1);
  const float global = compressed_tensors ? 1733.0f : 0.000731f;
  Rewritten out{module, {}, {}};
  for (int64_t i = 0; i < rows * cols; ++i) {
    const uint32_t pair = byte_at(codes, i / 2);
    const double value = test::e2m1_value(i % 2 == 0 ? pair : pair >> 4) * test::e4m3_value(byte_at(scales, i / 16));
    out.values.push_back(static_cast<float>(compressed_tensors ? value / global : value * global));
  }
  out.tensors = {{module + (compressed_tensors ? ".weight_packed" : ".weight"), "U8", {rows, cols / 2}, codes},
                 {module + ".weight_scale", "F8_E4M3", {rows, cols / 16}, scales},
                 {module + (compressed_tensors ? ".weight_global_scale" : ".weight_scale_2"), "F32", {1}, test::bytes_of<float>({global})},
                 {module + (compressed_tensors ? ".input_global_scale" : ".input_scale"), "F32", {1}, test::bytes_of<float>({2.0f})}};
  return out;
}

enum class Zeros { kNone, kPacked, kBytes };

double scale_value(const std::string& dtype, const std::string& data, int64_t index) {
  if (dtype == "F32") {
    float value;
    std::memcpy(&value, data.data() + 4 * index, 4);
    return value;
  }
  const uint32_t bits = byte_at(data, 2 * index) | byte_at(data, 2 * index + 1) << 8;
  return dtype == "BF16" ? test::bf16_value(bits) : test::f16_value(bits);
}

/// INT4: eight codes a word, lowest first; `group` inputs share a scale.
Rewritten int4(const std::string& module, int64_t rows, int64_t cols, int64_t group, const std::string& scale_dtype, Zeros zeros,
               test::RandomBytes& random) {
  const int64_t groups = cols / group;
  const std::string codes = random_codes(rows * cols / 2, random);
  const std::string scales = random.data(scale_dtype, static_cast<uint64_t>(rows * groups), 1);
  std::string zero_bytes;
  if (zeros == Zeros::kPacked) zero_bytes = random_codes((rows + 7) / 8 * 4 * groups, random);
  if (zeros == Zeros::kBytes) {
    for (int64_t i = 0; i < rows * groups; ++i) zero_bytes += static_cast<char>(static_cast<int>(random.below(16)) - 8);
  }
  Rewritten out{module, {}, {}};
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t col = 0; col < cols; ++col) {
      const uint32_t pair = byte_at(codes, (row * cols + col) / 2);
      const int64_t g = col / group;
      int zero = 8;
      if (zeros == Zeros::kPacked) {
        uint32_t word;
        std::memcpy(&word, zero_bytes.data() + 4 * (row / 8 * groups + g), 4);
        zero = static_cast<int>(word >> (4 * (row % 8)) & 15u);
      } else if (zeros == Zeros::kBytes) {
        zero = 8 + static_cast<signed char>(zero_bytes[static_cast<size_t>(row * groups + g)]);
      }
      const int code = static_cast<int>(col % 2 == 0 ? pair & 15u : pair >> 4);
      out.values.push_back(static_cast<float>((code - zero) * scale_value(scale_dtype, scales, row * groups + g)));
    }
  }
  out.tensors = {{module + ".weight_packed", "I32", {rows, cols / 8}, codes},
                 {module + ".weight_scale", scale_dtype, {rows, groups}, scales},
                 {module + ".weight_shape", "I64", {2}, test::bytes_of<int64_t>({rows, cols})}};
  if (zeros == Zeros::kPacked) out.tensors.push_back({module + ".weight_zero_point", "I32", {(rows + 7) / 8, groups}, zero_bytes});
  if (zeros == Zeros::kBytes) out.tensors.push_back({module + ".weight_zero_point", "I8", {rows, groups}, zero_bytes});
  return out;
}

Rewrite int4_of(int64_t group, const std::string& scale_dtype, Zeros zeros) {
  return [=](const std::string& module, int64_t rows, int64_t cols, test::RandomBytes& random) {
    return int4(module, rows, cols, group > 0 ? group : cols, scale_dtype, zeros, random);
  };
}

/// FP8 with a scale a row or one for the matrix.
Rewritten fp8(const std::string& module, int64_t rows, int64_t cols, test::RandomBytes& random, const std::string& scale_dtype,
              const std::vector<int64_t>& scale_shape) {
  const int64_t scales = test::count_of(scale_shape);
  const std::string codes = random.data("F8_E4M3", static_cast<uint64_t>(rows * cols), 1);
  const std::string data = random.data(scale_dtype, static_cast<uint64_t>(scales), 1);
  Rewritten out{
      module, {{module + ".weight", "F8_E4M3", {rows, cols}, codes}, {module + ".weight_scale", scale_dtype, scale_shape, data}}, {}};
  for (int64_t i = 0; i < rows * cols; ++i) {
    out.values.push_back(
        static_cast<float>(test::e4m3_value(byte_at(codes, i)) * scale_value(scale_dtype, data, scales == 1 ? 0 : i / cols)));
  }
  return out;
}

const char* const kModules[] = {"layers.0.ffn.experts.0.w1", "layers.0.ffn.experts.3.w2", "layers.1.ffn.experts.2.w3", "layers.1.attn.wq_b",
                                "head"};

/// Rewrites the modules, reads them and compares; `naming` renames the modules' tensors.
void expect_read(
    const Rewrite& rewrite, const json& changes = json::object(),
    const std::function<std::string(const std::string&)>& naming = [](const std::string& name) { return name; }) {
  const std::string config = test::tiny_config(changes);
  std::vector<RawTensor> tensors = test::random_tensors(test::tiny_config());
  test::RandomBytes random(7);
  std::vector<Rewritten> all;
  for (const std::string module : kModules) {
    const RawTensor weight = test::tensor_named(tensors, module + ".weight");
    const bool fp4 = weight.dtype == "I8";
    all.push_back(rewrite(module, weight.shape[0], weight.shape[1] * (fp4 ? 2 : 1), random));
    test::erase_named(tensors, module + ".weight");
    if (module != "head") test::erase_named(tensors, module + ".scale");
    for (RawTensor tensor : all.back().tensors) {
      tensor.name = naming(tensor.name);
      tensors.push_back(std::move(tensor));
    }
  }
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, tensors);
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  for (const Rewritten& module : all) {
    const std::string name = module.name + ".weight";
    ASSERT_EQ(checkpoint.read(name), module.values) << name;
    const Shape shape = checkpoint.shape(name);
    std::vector<float> row(static_cast<size_t>(shape[1]));
    checkpoint.read_rows(name, shape[0] - 3, shape[0] - 2, row.data());
    const auto begin = module.values.end() - 3 * shape[1];
    ASSERT_EQ(row, std::vector<float>(begin, begin + shape[1])) << name;
  }
}

json int4_config(const std::vector<json>& weights) {
  json groups;
  for (size_t i = 0; i < weights.size(); ++i) groups["group_" + std::to_string(i)] = {{"targets", {"Linear"}}, {"weights", weights[i]}};
  return {{"expert_dtype", nullptr},
          {"quantization_config",
           {{"quant_method", "compressed-tensors"}, {"format", "pack-quantized"}, {"fmt", nullptr}, {"config_groups", groups}}}};
}

std::string in_transformers_names(const std::string& name) {
  const std::map<std::string, std::string> modules = {{"layers.0.ffn.experts.0.w1", "model.layers.0.mlp.experts.0.gate_proj"},
                                                      {"layers.0.ffn.experts.3.w2", "model.layers.0.mlp.experts.3.down_proj"},
                                                      {"layers.1.ffn.experts.2.w3", "model.layers.1.mlp.experts.2.up_proj"},
                                                      {"layers.1.attn.wq_b", "model.layers.1.self_attn.q_b_proj"},
                                                      {"head", "lm_head"}};
  const size_t dot = name.rfind('.');
  return modules.at(name.substr(0, dot)) + name.substr(dot);
}

TEST(WeightForm, Nvfp4OfNvidiaIsMultipliedWithItsSecondScale) {
  const Rewrite rewrite = [](auto... args) { return nvfp4(args..., false); };
  expect_read(rewrite);
  expect_read(rewrite, {{"quantization_config", {{"quant_algo", "MIXED_PRECISION"}, {"moe_quant_algo", "NVFP4"}}}}, in_transformers_names);
  expect_read(rewrite, {{"quantization_config", {{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}, {"fmt", nullptr}}}});
}

TEST(WeightForm, Nvfp4OfCompressedTensorsIsDividedByItsGlobalScale) {
  const Rewrite rewrite = [](auto... args) { return nvfp4(args..., true); };
  json config = int4_config({{{"num_bits", 4}, {"type", "float"}, {"strategy", "tensor_group"}, {"group_size", 16}}});
  config["quantization_config"]["format"] = "nvfp4-pack-quantized";
  expect_read(rewrite, config);
  expect_read(rewrite, config, in_transformers_names);
  expect_read(rewrite);  // whatever the config says
}

TEST(WeightForm, Int4OfEveryGroupScaleAndZeroPoint) {
  for (const std::string scale : {"BF16", "F16", "F32"}) {
    for (const Zeros zeros : {Zeros::kNone, Zeros::kPacked, Zeros::kBytes}) {
      for (const int64_t group : {int64_t{8}, int64_t{16}, int64_t{32}, int64_t{-1}}) {
        SCOPED_TRACE(testing::Message() << scale << " scales, groups of " << group << ", zero points " << static_cast<int>(zeros));
        const json weights = {{"num_bits", 4},
                              {"type", "int"},
                              {"symmetric", zeros == Zeros::kNone},
                              {"group_size", group},
                              {"strategy", group > 0 ? "group" : "channel"}};
        expect_read(
            int4_of(group, scale, zeros), int4_config({weights}),
            group == 8 ? in_transformers_names : [](const std::string& n) { return n; });
      }
    }
  }
}

/// tests/data/compressed: the module's tensors as compressed-tensors packed them, and what it makes of them again.
Rewritten as_compressed_tensors_wrote(const std::string& form) {
  const std::string file = test::read_file(std::filesystem::path(DSV4_TEST_DATA) / "compressed" / (form + ".safetensors"));
  uint64_t length;
  std::memcpy(&length, file.data(), sizeof length);
  const json header = json::parse(file.substr(8, length));
  Rewritten out{"layers.0.ffn.experts.0.w1", {}, {}};
  for (const auto& [name, tensor] : header.items()) {
    const size_t begin = 8 + length + tensor.at("data_offsets")[0].get<size_t>(),
                 end = 8 + length + tensor.at("data_offsets")[1].get<size_t>();
    const std::string data = file.substr(begin, end - begin);
    if (name == "expected") {
      out.values.resize(data.size() / sizeof(float));
      std::memcpy(out.values.data(), data.data(), data.size());
    } else {
      out.tensors.push_back({out.name + "." + name, tensor.at("dtype"), tensor.at("shape").get<std::vector<int64_t>>(), data});
    }
  }
  return out;
}

TEST(WeightForm, ReadsWhatCompressedTensorsWrites) {
  for (const std::string form : {"w4a16_symmetric", "w4a16_asymmetric", "w4a16_channel", "nvfp4"}) {
    const Rewritten module = as_compressed_tensors_wrote(form);
    std::vector<RawTensor> tensors = test::random_tensors(test::tiny_config());
    test::erase_named(tensors, module.name + ".weight");
    test::erase_named(tensors, module.name + ".scale");
    tensors.insert(tensors.end(), module.tensors.begin(), module.tensors.end());
    const TempDir dir;
    test::write_checkpoint(dir.path(), test::tiny_config(), tensors);
    const std::vector<float> values = Checkpoint::open(dir.path()).read(module.name + ".weight");
    ASSERT_EQ(values.size(), module.values.size()) << form;
    for (size_t i = 0; i < values.size(); ++i) {
      // The library divides an NVFP4 scale by the global one before the product, which rounds once more.
      const float tolerance = form == "nvfp4" ? 2e-7f * std::abs(module.values[i]) : 0.0f;
      ASSERT_NEAR(values[i], module.values[i], tolerance) << form << ", weight " << i;
    }
  }
}

TEST(WeightForm, Int4GroupsNeedNoConfig) {
  expect_read(int4_of(16, "BF16", Zeros::kPacked));
  expect_read(int4_of(-1, "F32", Zeros::kNone));
  const json preset = {{"quantization_config", {{"quant_method", "compressed-tensors"}, {"config_groups", {{"W4A16", {"Linear"}}}}}}};
  expect_read(int4_of(32, "BF16", Zeros::kNone), preset);
}

TEST(WeightForm, TheConfigsGroupsAreAllLookedThrough) {
  const json rows = {{"num_bits", 4}, {"type", "int"}, {"strategy", "channel"}},
             eights = {{"num_bits", 4}, {"type", "int"}, {"group_size", 8}};
  const json floats = {{"num_bits", 8}, {"type", "float"}, {"strategy", "channel"}};
  expect_read(int4_of(8, "BF16", Zeros::kNone), int4_config({floats, rows, eights}));
}

TEST(WeightForm, Fp8ScalesOfRowsAndOfTheMatrix) {
  for (const std::string dtype : {"BF16", "F16", "F32"}) {
    expect_read([&](auto module, auto rows, auto cols, auto& random) { return fp8(module, rows, cols, random, dtype, {rows, 1}); });
    expect_read([&](auto module, auto rows, auto cols, auto& random) { return fp8(module, rows, cols, random, dtype, {rows}); });
    expect_read([&](auto module, auto rows, auto cols, auto& random) { return fp8(module, rows, cols, random, dtype, {1}); });
    expect_read([&](auto module, auto rows, auto cols, auto& random) { return fp8(module, rows, cols, random, dtype, {}); });
  }
}

std::vector<float> all_values(const Checkpoint& checkpoint) {
  std::vector<float> values;
  for (const TensorSpec& spec : checkpoint.table()) {
    if (spec.published == NumberFormat::kI64) continue;
    const std::vector<float> weight = checkpoint.read(spec.name);
    values.insert(values.end(), weight.begin(), weight.end());
  }
  return values;
}

TEST(WeightForm, LabelsThatMeanTheSameAreTheSame) {
  const std::pair<const char*, std::function<void(RawTensor&)>> labels[] = {
      {"E8M0 as U8", [](RawTensor& t) { t.dtype = t.dtype == "F8_E8M0" ? "U8" : t.dtype; }},
      {"FP4 as U8", [](RawTensor& t) { t.dtype = t.dtype == "I8" ? "U8" : t.dtype; }},
      {"FP8 as U8", [](RawTensor& t) { t.dtype = t.dtype == "F8_E4M3" ? "U8" : t.dtype; }},
      {"FP4 as F4",
       [](RawTensor& t) {
         if (t.dtype != "I8") return;
         t.dtype = "F4";
         t.shape[1] *= 2;
       }},
      {"FP4 as compressed-tensors packs it",
       [](RawTensor& t) {
         if (t.name.find(".experts.") == std::string::npos || t.name.find("shared") != std::string::npos) return;
         const bool scale = t.name.ends_with(".scale");
         t.name = t.name.substr(0, t.name.rfind('.')) + (scale ? ".weight_scale" : ".weight_packed");
         t.dtype = "U8";
       }},
      {"expert ids in 32 bits",
       [](RawTensor& t) {
         if (t.dtype != "I64") return;
         std::vector<int32_t> ids;
         for (size_t at = 0; at < t.data.size(); at += 8) ids.push_back(static_cast<unsigned char>(t.data[at]));
         t.dtype = "I32";
         t.data = test::bytes_of(ids);
       }},
  };
  const TempDir dir;
  const std::string config = test::tiny_config();
  test::write_checkpoint(dir / "plain", config, test::random_tensors(config));
  const Checkpoint plain = Checkpoint::open(dir / "plain");
  for (const auto& [what, relabel] : labels) {
    std::vector<RawTensor> tensors = test::random_tensors(config);
    for (RawTensor& tensor : tensors) relabel(tensor);
    test::write_checkpoint(dir / what, config, tensors);
    const Checkpoint other = Checkpoint::open(dir / what);
    EXPECT_EQ(all_values(other), all_values(plain)) << what;
    EXPECT_EQ(other.read_i64("layers.0.ffn.gate.tid2eid"), plain.read_i64("layers.0.ffn.gate.tid2eid")) << what;
    EXPECT_EQ(other.encoding("layers.0.ffn.experts.0.w1.weight"), Encoding::kFp4) << what;
    EXPECT_EQ(other.stored("layers.0.ffn.experts.0.w1.weight").dtype, DType::kI8) << what;
  }
}

TEST(WeightForm, ConfigsMayCallTheFormsOtherwise) {
  const TempDir dir;
  const json changes[] = {{{"expert_dtype", "mxfp4"}},
                          {{"expert_dtype", "MXFP4"}},
                          {{"quantization_config", {{"fmt", "float8_e4m3fn"}}}},
                          {{"quantization_config", {{"fmt", "e4m3fn"}}}},
                          {{"quantization_config", {{"quant_algo", "FP8"}}}}};
  int i = 0;
  for (const json& change : changes) {
    const std::string name = "checkpoint" + std::to_string(i++);
    test::write_checkpoint(dir / name, test::tiny_config(change), test::random_tensors(test::tiny_config()));
    EXPECT_THAT(Checkpoint::open(dir / name).notices(), testing::IsEmpty()) << change;
  }
}

struct Refused {
  const char* name;
  std::function<void(std::vector<RawTensor>&)> damage;
  const char* tensor;
  const char* message;
};

RawTensor& part(std::vector<RawTensor>& tensors, const std::string& leaf) {
  return test::tensor_named(tensors, "layers.0.ffn.experts.0.w1" + leaf);
}

void replace(std::vector<RawTensor>& tensors, const std::string& leaf, const std::string& dtype, const std::vector<int64_t>& shape,
             size_t bytes) {
  RawTensor& tensor = part(tensors, leaf);
  tensor = {tensor.name, dtype, shape, std::string(bytes, '\1')};
}

void expect_refusal(const Rewrite& rewrite, const Refused& refused, const json& changes = json::object()) {
  SCOPED_TRACE(refused.name);
  std::vector<RawTensor> tensors = test::random_tensors(test::tiny_config());
  const std::string module = "layers.0.ffn.experts.0.w1";
  test::erase_named(tensors, module + ".weight");
  test::erase_named(tensors, module + ".scale");
  test::RandomBytes random(9);
  for (RawTensor& tensor : rewrite(module, 32, 64, random).tensors) tensors.push_back(std::move(tensor));
  refused.damage(tensors);
  const TempDir dir;
  test::write_checkpoint(dir.path(), test::tiny_config(changes), tensors);
  try {
    Checkpoint::open(dir.path()).read(module + ".weight");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::StartsWith(dir.path().string()), HasSubstr(refused.tensor), HasSubstr(refused.message)));
    EXPECT_THAT(error.what(), testing::Not(HasSubstr("\n")));
  }
}

TEST(WeightForm, DamagedNvfp4IsRefused) {
  const auto set_second = [](float value) {
    return [value](auto& all) { part(all, ".weight_scale_2").data = test::bytes_of<float>({value}); };
  };
  const Refused cases[] = {
      {"no scale", [](auto& all) { test::erase_named(all, "layers.0.ffn.experts.0.w1.weight_scale"); }, "w1.weight", "is missing; NVFP4"},
      {"no second scale", [](auto& all) { test::erase_named(all, "layers.0.ffn.experts.0.w1.weight_scale_2"); }, "w1.weight",
       "NVFP4, whose second scale \"weight_scale_2\" or \"weight_global_scale\" is missing"},
      {"scales in F32",
       [](auto& all) {
         replace(all, ".weight_scale", "F32", {32, 4}, 512);
       },
       "w1.weight_scale", "expected F8_E4M3 for the scale of an NVFP4"},
      {"scales of 32",
       [](auto& all) {
         replace(all, ".weight_scale", "F8_E4M3", {32, 2}, 64);
       },
       "w1.weight_scale", "its shape is [32,2], expected [32,4]"},
      {"second scale a row", [](auto& all) { replace(all, ".weight_scale_2", "F32", {32}, 128); }, "w1.weight_scale_2", "expected F32 [1]"},
      {"second scale in BF16", [](auto& all) { replace(all, ".weight_scale_2", "BF16", {1}, 2); }, "w1.weight_scale_2", "expected F32 [1]"},
      {"second scale 0", set_second(0.0f), "w1.weight_scale_2", "it is 0, expected a finite number above 0"},
      {"second scale NaN", set_second(std::nanf("")), "w1.weight_scale_2", "it is nan"},
      {"both second scales",
       [](auto& all) {
         all.push_back({"layers.0.ffn.experts.0.w1.weight_global_scale", "F32", {1}, std::string(4, '\1')});
       },
       "w1.weight_global_scale", "is the same weight as"},
      {"NaN scale", [](auto& all) { part(all, ".weight_scale").data[77] = '\x7F'; }, "w1.weight_scale",
       "row 19 holds a scale that is not a finite number"},
      {"codes of another shape",
       [](auto& all) {
         replace(all, ".weight", "U8", {32, 16}, 512);
       },
       "w1.weight", "its shape is [32,16], expected [32,32]"},
      {"packed twice",
       [](auto& all) {
         all.push_back({"layers.0.ffn.experts.0.w1.weight_packed", "U8", {1}, "1"});
       },
       "w1.weight_packed", "is the same weight as"},
  };
  for (const Refused& refused : cases) expect_refusal([](auto... args) { return nvfp4(args..., false); }, refused);
}

TEST(WeightForm, DamagedInt4IsRefused) {
  const std::string module = "layers.0.ffn.experts.0.w1";
  const json groups = int4_config({{{"num_bits", 4}, {"type", "int"}, {"symmetric", false}, {"group_size", 16}}});
  const auto add_groups = [&](int32_t last) {
    return [=](auto& all) {
      std::vector<int32_t> index(64);
      for (size_t i = 0; i < 64; ++i) index[i] = static_cast<int32_t>(i / 16);
      index[63] = last;
      all.push_back({module + ".weight_g_idx", "I32", {64}, test::bytes_of(index)});
    };
  };
  const Refused cases[] = {
      {"no scale", [&](auto& all) { test::erase_named(all, module + ".weight_scale"); }, "w1.weight_packed", "is missing; INT4"},
      {"no zero points", [&](auto& all) { test::erase_named(all, module + ".weight_zero_point"); }, "w1.weight_packed",
       "its zero points are missing"},
      {"zero points in F32",
       [](auto& all) {
         replace(all, ".weight_zero_point", "F32", {4, 4}, 64);
       },
       "w1.weight_zero_point", "expected I32"},
      {"too few zero points",
       [](auto& all) {
         replace(all, ".weight_zero_point", "I32", {3, 4}, 48);
       },
       "w1.weight_zero_point", "its shape is [3,4], expected [4,4]"},
      {"scales in F8",
       [](auto& all) {
         replace(all, ".weight_scale", "F8_E4M3", {32, 4}, 128);
       },
       "w1.weight_scale", "expected BF16, F16 or F32"},
      {"scales of other groups",
       [](auto& all) {
         replace(all, ".weight_scale", "BF16", {32, 8}, 512);
       },
       "w1.weight_scale", "its shape is [32,8], expected [32,4]"},
      {"8-bit codes",
       [](auto& all) {
         replace(all, ".weight_packed", "I32", {32, 16}, 2048);
       },
       "w1.weight_packed", "its shape is [32,16], expected [32,8]"},
      {"another shape stated",
       [](auto& all) {
         part(all, ".weight_shape").data = test::bytes_of<int64_t>({32, 65});
       },
       "w1.weight_shape", "says [32,65], expected [32,64]"},
      {"a shape of three", [](auto& all) { replace(all, ".weight_shape", "I64", {3}, 24); }, "w1.weight_shape",
       "its shape is [3], expected [2]"},
      {"infinite scale",
       [](auto& all) {
         part(all, ".weight_scale").data[2 * 9 + 1] = '\x7F';
         part(all, ".weight_scale").data[2 * 9] = '\x80';
       },
       "w1.weight_scale", "row 2 holds a scale that is not a finite number"},
      {"groups out of order", add_groups(0), "w1.weight_g_idx", "input 63 belongs to group 0: groups in the order of activations"},
  };
  const Rewrite rewrite = [](const std::string& name, int64_t rows, int64_t cols, test::RandomBytes& random) {
    return int4(name, rows, cols, 16, "BF16", Zeros::kPacked, random);
  };
  for (const Refused& refused : cases) expect_refusal(rewrite, refused, groups);
}

TEST(WeightForm, GroupsInOrderMayBeStated) {
  expect_read([](const std::string& module, int64_t rows, int64_t cols, test::RandomBytes& random) {
    Rewritten out = int4(module, rows, cols, 16, "BF16", Zeros::kNone, random);
    std::vector<int32_t> index(static_cast<size_t>(cols));
    for (size_t i = 0; i < index.size(); ++i) index[i] = static_cast<int32_t>(i / 16);
    out.tensors.push_back({module + ".weight_g_idx", "I32", {cols}, test::bytes_of(index)});
    return out;
  });
}

TEST(WeightForm, TypesOfTensorsThatAreNotNeededDoNotMatter) {
  const TempDir dir;
  const std::string config = test::tiny_config({{"num_nextn_predict_layers", 1}, {"compress_ratios", {0, 4, 0}}});
  std::vector<RawTensor> tensors = test::random_tensors(test::tiny_config());
  tensors.push_back({"mtp.0.main_proj.weight", "F64", {1}, std::string(8, '\0')});
  tensors.push_back({"mtp.0.other", "Q4_K", {256}, std::string(144, '\0')});
  tensors.push_back({"layers.0.attn.wq_a.input_scale", "F8_E5M2", {1}, "1"});
  test::write_checkpoint(dir.path(), config, tensors);
  EXPECT_THAT(Checkpoint::open(dir.path()).notices(),
              testing::ElementsAre("DSpark draft stages, 2 tensors, not converted: they are only for speculative decoding"));
}

}  // namespace
}  // namespace dsv4
