// What is given in place of a checkpoint or a model folder: the table of things and of the lines that name them.
#include "checkpoint/form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <map>

#include "checkpoint/checkpoint.h"
#include "checkpoint/tiny_checkpoint.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;
using test::RawTensor;
using test::TempDir;
using test::write_file;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kModel = "model.safetensors";

void touch(const fs::path& file, const std::string& bytes = "x") {
  fs::create_directories(file.parent_path());
  write_file(file, bytes);
}

/// A thing that is made in an empty directory, what is given of it, and the ends of the lines for the three things expected; nullptr: it passes.
struct Thing {
  const char* name;
  std::function<void(const fs::path&)> make;
  const char* given;
  const char* as_checkpoint;
  const char* as_folder;
};

void PrintTo(const Thing& thing, std::ostream* out) { *out << thing.name; }

std::function<void(const fs::path&)> files(const std::vector<std::string>& names, const std::string& bytes = "x") {
  return [=](const fs::path& dir) {
    for (const std::string& name : names) touch(dir / name, bytes);
  };
}

void nothing(const fs::path&) {}

const Thing kThings[] = {
    {"Nothing", nothing, "none", ": no such directory, expected a checkpoint directory",
     ": no such directory, expected a folder that `dsv4 convert` made"},
    {"DeadLink", [](const fs::path& dir) { fs::create_symlink("nowhere", dir / "link"); }, "link",
     ": is a link to a place that is missing, expected a checkpoint directory",
     ": is a link to a place that is missing, expected a folder that `dsv4 convert` made"},
    {"SafetensorsFile", files({"a.safetensors"}), "a.safetensors",
     ": is a file, expected a checkpoint directory; give the directory that it lies in, DIR",
     ": is a file, expected a folder that `dsv4 convert` made; give the directory that it lies in, DIR"},
    {"ConfigFile", files({"config.json"}, "{}"), "config.json",
     ": is a file, expected a checkpoint directory; give the directory that it lies in, DIR",
     ": is a file, expected a folder that `dsv4 convert` made; give the directory that it lies in, DIR"},
    {"GgufFile", files({"q4.gguf"}, "GGUF\3"), "q4.gguf",
     ": is a GGUF file, which is not read; take the safetensors release and give its directory",
     ": is a GGUF file, which is not read; take the safetensors release, convert it and give the folder that was made"},
    {"GgufUnderAnotherName", files({"weights"}, std::string("GGUF\3\0\0\0", 8)), "weights",
     ": is a GGUF file, which is not read; take the safetensors release that it was made from",
     ": is a GGUF file, which is not read; take the safetensors release that it was made from"},
    {"IrFile", files({"openvino_model.xml"}), "openvino_model.xml", ": is a file of a model folder; give the folder, DIR",
     ": is a file of a model folder; give the folder, DIR"},
    {"ZipFile", files({"release.zip"}, "PK\3\4...."), "release.zip",
     ": is a ZIP archive, as PyTorch's pickles and NumPy's .npz are; unpack an archive, take the safetensors files of the release for the "
     "others",
     ": is a ZIP archive, as PyTorch's pickles and NumPy's .npz are; unpack an archive, take the safetensors files of the release for the "
     "others"},
    {"AnyFile", files({"notes.txt"}), "notes.txt", ": is a file, expected a checkpoint directory",
     ": is a file, expected a folder that `dsv4 convert` made"},
    {"Fifo", [](const fs::path& dir) { ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0); }, "fifo",
     ": is no directory, expected a checkpoint directory", ": is no directory, expected a folder that `dsv4 convert` made"},
    {"EmptyDirectory", nothing, "", ": is an empty directory, expected a checkpoint directory",
     ": is an empty directory, expected a folder that `dsv4 convert` made"},
    {"ModelFolder", files({"openvino_model.xml", "openvino_model.bin", "config.json", "dsv4_files.json"}), "",
     ": is a model folder that was converted already, expected a checkpoint directory; give the directory that it was made from", nullptr},
    {"ModelFolderWithoutItsIr", files({"config.json", "dsv4_files.json"}), "",
     ": is a model folder that was converted already, expected a checkpoint directory; give the directory that it was made from", nullptr},
    {"Checkpoint", files({"config.json", kModel}), "", nullptr,
     ": is a checkpoint, there is no openvino_model.xml; convert it first (dsv4 convert -m DIR OUT) and give OUT"},
    {"ShardedCheckpoint", files({"config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors"}), "", nullptr,
     ": is a checkpoint, there is no openvino_model.xml; convert it first (dsv4 convert -m DIR OUT) and give OUT"},
    {"CheckpointWithAnIrBesideIt", files({"config.json", kModel, "openvino_model.xml"}), "", nullptr, nullptr},
    {"CheckpointWithPicklesAndGgufBesideIt", files({"config.json", kModel, "pytorch_model.bin", "q4.gguf", "adapter_config.json"}), "",
     nullptr, "convert it first (dsv4 convert -m DIR OUT) and give OUT"},
    {"InterruptedConversion", files({"openvino_model.bin", ".dsv4-progress.json"}), "",
     ": is a conversion that has not finished; run its `dsv4 convert` again, which goes on where it was",
     ": is a conversion that has not finished; run its `dsv4 convert` again, which goes on where it was"},
    {"GgufDirectory", files({"README.md", "model-Q4-00001-of-00002.gguf", "model-Q4-00002-of-00002.gguf"}), "",
     ": holds GGUF (\"model-Q4-00001-of-00002.gguf\"), which is not read; take the safetensors release and give its directory",
     ": holds GGUF (\"model-Q4-00001-of-00002.gguf\"), which is not read; take the safetensors release, convert it and give the folder "
     "that was made"},
    {"GpuShards", files({"config.json", "model0-mp2.safetensors", "model1-mp2.safetensors", "tokenizer.json"}), "",
     ": is a release cut for GPUs by DeepSeek's convert.py (\"model0-mp2.safetensors\"); take the release itself",
     ": is a release cut for GPUs by DeepSeek's convert.py (\"model0-mp2.safetensors\"); take the release itself"},
    {"Pickles", files({"config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"}), "",
     ": holds Python pickles (\"pytorch_model-00001-of-00002.bin\"), which run code when they are read; take the safetensors release",
     ": holds Python pickles (\"pytorch_model-00001-of-00002.bin\"), which run code when they are read; take the safetensors release"},
    {"PickleOfTraining", files({"consolidated.00.pth", "params.json"}), "",
     ": holds Python pickles (\"consolidated.00.pth\"), which run code when they are read; take the safetensors release",
     ": holds Python pickles (\"consolidated.00.pth\"), which run code when they are read; take the safetensors release"},
    {"Adapter", files({"adapter_config.json", "adapter_model.safetensors"}), "",
     ": is an adapter (\"adapter_config.json\"), not a model; merge it into the model that it was trained on (merge_and_unload) and save "
     "that",
     ": is an adapter (\"adapter_config.json\"), not a model; merge it into the model that it was trained on (merge_and_unload) and save "
     "that"},
    {"OldMlx", files({"config.json", "weights.00.npz"}), "", ": holds weights of MLX (\"weights.00.npz\"); take the safetensors release",
     ": holds weights of MLX (\"weights.00.npz\"); take the safetensors release"},
    {"Onnx", files({"config.json", "model.onnx"}), "", ": holds a model in another format (\"model.onnx\"); take the safetensors release",
     ": holds a model in another format (\"model.onnx\"); take the safetensors release"},
    {"Archive", files({"v4-flash.tar.zst"}), "", ": holds an archive (\"v4-flash.tar.zst\"); unpack it first",
     ": holds an archive (\"v4-flash.tar.zst\"); unpack it first"},
    {"UnfinishedDownload", files({"config.json", "abc.incomplete"}), "",
     ": holds an unfinished download (\"abc.incomplete\"); finish it first",
     ": holds an unfinished download (\"abc.incomplete\"); finish it first"},
    {"OneFileOfAFreeName", files({"config.json", "deepseek-v4-merged.safetensors"}), "",
     ": there is \"deepseek-v4-merged.safetensors\", but neither model.safetensors nor model.safetensors.index.json; if it is the whole "
     "model, rename it to "
     "model.safetensors",
     nullptr},
    {"FilesOfFreeNames", files({"config.json", "part1.safetensors", "part2.safetensors"}), "",
     ": there are 2 safetensors files (\"part1.safetensors\" first), but no model.safetensors.index.json; download the index too", nullptr},
    {"HubRepository",
     [](const fs::path& dir) {
       touch(dir / "refs/main", "0bcd");
       touch(dir / "blobs/x");
       touch(dir / "snapshots/0abc/config.json");
       touch(dir / "snapshots/0bcd/config.json");
     },
     "", ": is a repository of a Hugging Face cache, expected a checkpoint directory; give its snapshot, DIR/snapshots/0bcd",
     ": is a repository of a Hugging Face cache, expected a folder that `dsv4 convert` made; give its snapshot, DIR/snapshots/0bcd"},
    {"HubRepositoryWithoutAReference",
     [](const fs::path& dir) {
       fs::create_directories(dir / "refs");
       touch(dir / "snapshots/0abc/config.json");
     },
     "", "give its snapshot, DIR/snapshots/0abc", "give its snapshot, DIR/snapshots/0abc"},
    {"HubRepositoryWithAReferenceThatLeadsAway",
     [](const fs::path& dir) {
       touch(dir / "refs/main", "../../..");
       touch(dir / "snapshots/0abc/config.json");
     },
     "", "give its snapshot, DIR/snapshots/0abc", "give its snapshot, DIR/snapshots/0abc"},
    {"HubRepositoryWithoutASnapshot",
     [](const fs::path& dir) {
       touch(dir / "blobs/x");
       fs::create_directories(dir / "snapshots");
     },
     "", ": is a repository of a Hugging Face cache without a snapshot; download it again",
     ": is a repository of a Hugging Face cache without a snapshot; download it again"},
    {"HubCache", files({"models--o--n/refs/main", "version.txt"}), "",
     ": is a Hugging Face cache, expected a checkpoint directory; give a snapshot in it, such as DIR/models--o--n/snapshots/...",
     ": is a Hugging Face cache, expected a folder that `dsv4 convert` made; give a snapshot in it, such as "
     "DIR/models--o--n/snapshots/..."},
    {"TheDirectoryAbove", files({"notes.txt", "flash/config.json", "flash/model.safetensors"}), "",
     ": there is no model in it, but in DIR/flash; give that directory", nullptr},
    {"TheDirectoryAboveAModelFolder", files({"flash-int4/config.json", "flash-int4/openvino_model.xml"}), "", nullptr,
     ": there is no model in it, but in DIR/flash-int4; give that directory"},
};

class Things : public testing::TestWithParam<Thing> {};

TEST_P(Things, AreNamedInOneLine) {
  const TempDir dir;
  const Thing& thing = GetParam();
  thing.make(dir.path());
  const fs::path given = *thing.given ? dir / thing.given : dir.path();
  for (const auto& [expected, line] :
       {std::pair(Expected::kCheckpoint, thing.as_checkpoint), std::pair(Expected::kModelFolder, thing.as_folder)}) {
    if (line == nullptr) {
      EXPECT_NO_THROW(check_form(given, expected));
      continue;
    }
    std::string end = line;
    for (size_t at; (at = end.find("DIR")) != end.npos;) end.replace(at, 3, dir.path().string());
    try {
      check_form(given, expected);
      ADD_FAILURE() << "passes, expected: " << end;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), StartsWith(given.string()));
      EXPECT_THAT(error.what(), EndsWith(end));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Form, Things, testing::ValuesIn(kThings), [](const auto& row) { return row.param.name; });

std::string line_of(const fs::path& path, Expected expected = Expected::kCheckpoint) {
  try {
    check_form(path, expected);
    return "passes";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Form, NamesOfRepositoriesAndAddressesAreToBeDownloaded) {
  EXPECT_EQ(
      line_of("deepseek-ai/DeepSeek-V4-Flash"),
      "deepseek-ai/DeepSeek-V4-Flash: no such directory; if it is the name of a Hugging Face repository, download it first (hf download "
      "deepseek-ai/DeepSeek-V4-Flash --local-dir DeepSeek-V4-Flash) and give its directory");
  EXPECT_THAT(line_of("deepseek-ai/DeepSeek-V4-Flash", Expected::kModelFolder), EndsWith("convert it and give the folder that was made"));
  for (const char* address :
       {"https://huggingface.co/deepseek-ai/DeepSeek-V4-Flash", "hf://deepseek-ai/DeepSeek-V4-Flash", "s3://bucket/flash"}) {
    EXPECT_EQ(line_of(address), std::string(address) + ": is an address; download the checkpoint first and give its directory");
  }
  const TempDir dir;
  for (const fs::path& path :
       {dir / "none", fs::path("/none/none"), fs::path("../none/none"), fs::path("./a/b"), fs::path("a/b/c"), fs::path("one")}) {
    EXPECT_EQ(line_of(path), path.string() + ": no such directory, expected a checkpoint directory");
  }
}

TEST(Form, EitherIsAskedForByInspect) {
  const TempDir dir;
  touch(dir / "checkpoint/model.safetensors");
  touch(dir / "folder/openvino_model.xml");
  EXPECT_EQ(line_of(dir / "checkpoint", Expected::kEither), "passes");
  EXPECT_EQ(line_of(dir / "folder", Expected::kEither), "passes");
  EXPECT_THAT(line_of(dir / "none", Expected::kEither), HasSubstr("expected a checkpoint directory or a folder that `dsv4 convert` made"));
}

TEST(Form, HostileDirectoriesEndInALine) {
  const TempDir dir;
  const std::string long_name(255, 'a');
  touch(dir / "long" / long_name);
  touch(dir / "long" / (std::string(250, '-') + ".gguf"));
  EXPECT_THAT(line_of(dir / "long"), HasSubstr("holds GGUF"));
  EXPECT_THAT(line_of(fs::path(std::string(5000, 'b'))), HasSubstr("cannot be looked at"));
  EXPECT_THAT(line_of(fs::path("a\nb/c")), HasSubstr("a\\x0ab/c: no such directory"));
}

// ---- contents under the names of a checkpoint's files

/// A good checkpoint of which one file is something else.
std::string line_with(const char* file, const std::string& bytes) {
  const TempDir dir;
  test::write_sharded_checkpoint(dir.path(), test::tiny_config(), test::random_tensors(test::tiny_config()));
  write_file(dir / file, bytes);
  try {
    Checkpoint::open(dir.path());
    return "accepted";
  } catch (const Error& error) {
    const std::string line = error.what();
    EXPECT_THAT(line, StartsWith((dir / file).string() + ": "));
    return line.substr((dir / file).string().size() + 2);
  }
}

TEST(Content, OfAnotherKindIsNamedInEveryFile) {
  const std::vector<std::pair<std::string, const char*>> contents = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 5166370688\n", "is a Git LFS pointer, not the file itself"},
      {"<!DOCTYPE html>\n<html><head><title>Log in</title>", "is an HTML page"},
      {"\n  <HTML lang=\"en\">", "is an HTML page"},
      {"\xef\xbb\xbf<!doctype HTML>", "is an HTML page"},
      {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "is XML"},
      {std::string("GGUF\3\0\0\0\x85\2\0\0", 12), "is a GGUF file"},
      {std::string("PK\3\4\x14\0\0\0\x08\0archive/data.pkl", 26), "is a ZIP archive"},
      {std::string("\x80\x02}q\0(X\x0b\0\0\0embed", 17), "is a Python pickle"},
      {std::string("\x1f\x8b\x08\0\0\0\0\0\0\3\xcb", 11), "is compressed"},
      {std::string("\xff\xfe{\0\"\0m\0o\0d\0e\0l\0", 16), "is UTF-16 text"},
      {std::string(257, 'n') + "ustar  \0" + std::string(300, 'x'), "is a tar archive"},
  };
  for (const char* file : {"config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors"}) {
    for (const auto& [bytes, line] : contents) EXPECT_THAT(line_with(file, bytes), StartsWith(line)) << file;
  }
  const char* shard = "model-00002-of-00002.safetensors";
  EXPECT_THAT(line_with(shard, "Entry not found"),
              StartsWith("is not safetensors, it begins with \"Entry not found\"; download the file again"));
  EXPECT_THAT(line_with(shard, R"({"error":"Repository not found"})"), StartsWith("is JSON text"));
  EXPECT_THAT(line_with(shard, std::string(5000, 'y')), HasSubstr("begins with \"" + std::string(40, 'y') + "\""));
}

// ---- checkpoints of which config.json or the tensors say that their weights are of another form

using Tensors = std::vector<RawTensor>;

const nlohmann::json kAsItIs = nlohmann::json::object();

std::string line_of_checkpoint(
    const nlohmann::json& config_changes, const std::function<void(Tensors&)>& edit = [](Tensors&) {}) {
  const TempDir dir;
  Tensors all = test::random_tensors(test::tiny_config());
  edit(all);
  test::write_checkpoint(dir.path(), test::tiny_config(config_changes), all);
  try {
    Checkpoint::open(dir.path());
    return "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), StartsWith(dir.path().string()));
    return std::string(error.what()).substr(dir.path().string().size() + 1);
  }
}

TEST(ForeignConfig, NamesTheQuantiser) {
  const std::string instead = "; take the release itself (FP8 and FP4), or BF16, NVFP4 or compressed-tensors W4A16 experts";
  for (const auto& [method, name] : std::map<std::string, std::string>{{"awq", "AWQ"},
                                                                       {"gptq", "GPTQ"},
                                                                       {"bitsandbytes", "bitsandbytes"},
                                                                       {"hqq", "HQQ"},
                                                                       {"auto-round", "AutoRound"},
                                                                       {"torchao", "torchao"},
                                                                       {"exl3", "ExLlamaV3"}}) {
    EXPECT_EQ(line_of_checkpoint({{"quantization_config", {{"quant_method", method}, {"bits", 4}, {"group_size", 128}}}}),
              "config.json: quantization_config.quant_method: found \"" + method + "\": weights quantised by " + name + " are not read" +
                  instead);
  }
  const nlohmann::json mlx = {{"group_size", 64}, {"bits", 4}};
  EXPECT_EQ(line_of_checkpoint({{"quantization", mlx}}),
            "config.json: quantization: found {\"bits\":4,\"group_size\":64}: weights quantised by MLX are not read" + instead);
}

TEST(ForeignConfig, NamesVisionReleasesAndPrunedModels) {
  EXPECT_THAT(line_of_checkpoint({{"vision_config", {{"num_hidden_layers", 32}}}}),
              StartsWith("config.json: vision_config: is there: a vision release (Vision-Exp)"));
  EXPECT_THAT(line_of_checkpoint({{"model_type", "deepseek_v4_vl"}}),
              AllOf(StartsWith("config.json: model_type: found "), HasSubstr("a vision release")));
  EXPECT_THAT(line_of_checkpoint({{"architectures", {"DeepseekV4VisionForConditionalGeneration"}}}), HasSubstr("a vision release"));
  EXPECT_THAT(line_of_checkpoint({{"model_type", "llava"}, {"vision_config", {{"a", 1}}}}),
              HasSubstr("found \"llava\", expected \"deepseek_v4\""));
  EXPECT_THAT(line_of_checkpoint({{"n_routed_experts", {4, 3}}}),
              StartsWith("config.json: n_routed_experts: found [4,3]: a pruned model with unequal numbers of experts, which is not read"));
}

std::function<void(Tensors&)> added(const std::string& name) {
  return [name](Tensors& all) { all.push_back({name, "BF16", {1}, "12"}); };
}

TEST(ForeignTensors, AreNamedByWhatMadeThem) {
  const std::pair<const char*, const char*> names[] = {
      {"layers.0.attn.wq_a.qweight", "is packed by GPTQ or AWQ; take the release itself"},
      {"model.layers.0.self_attn.q_a_proj.g_idx", "is packed by GPTQ; take"},
      {"model.layers.0.self_attn.q_a_proj.scales", "is quantised by MLX (.scales, .biases); take"},
      {"model.layers.0.mlp.switch_mlp.gate_proj.biases", "is quantised by MLX (.scales, .biases); take"},
      {"model.layers.0.self_attn.q_a_proj.weight.absmax", "is quantised by bitsandbytes; take"},
      {"model.layers.0.self_attn.q_a_proj.weight.quant_state.bitsandbytes__nf4", "is quantised by bitsandbytes; take"},
      {"base_model.model.model.layers.0.self_attn.q_a_proj.lora_A.weight", "belongs to a LoRA adapter; merge it into the model"},
      {"layers.0.ffn.gate.bias_vl", "is of a vision release (Vision-Exp)"},
      {"vision.blocks.0.attn.qkv.weight", "is of a vision release (Vision-Exp)"},
      {"aligner.layers.0.weight", "is of a vision release (Vision-Exp)"},
  };
  for (const auto& [name, line] : names) {
    EXPECT_THAT(line_of_checkpoint(kAsItIs, added(name)), StartsWith(std::string("model.safetensors: tensor \"") + name + "\" " + line));
  }
}

TEST(ForeignTensors, PrefixesOfWrappersAreNamed) {
  const auto prefixed = [](const std::string& prefix) {
    return [prefix](Tensors& all) {
      for (RawTensor& tensor : all) tensor.name = prefix + tensor.name;
    };
  };
  EXPECT_THAT(
      line_of_checkpoint(kAsItIs, prefixed("base_model.model.")),
      AllOf(HasSubstr(
          "\"base_model.model.embed.weight\" begins with \"base_model.model.\", as names of a model with an adapter do (PEFT); merge it")));
  for (const char* prefix : {"module.", "_orig_mod.", "language_model.", "a.b.c."}) {
    EXPECT_THAT(line_of_checkpoint(kAsItIs, prefixed(prefix)),
                HasSubstr("begins with \"" + std::string(prefix) +
                          "\", which is of neither DeepSeek's nor transformers' names; save the model without"))
        << prefix;
  }
}

TEST(ForeignTensors, UnequalNumbersOfExpertsAreAPrunedModel) {
  const auto pruned = [](Tensors& all) {
    RawTensor& gate = test::tensor_named(all, "layers.1.ffn.gate.weight");
    gate.shape[0] = 3;
    gate.data.resize(gate.data.size() / 4 * 3);
  };
  EXPECT_THAT(line_of_checkpoint(kAsItIs, pruned),
              StartsWith("model.safetensors: tensor \"layers.1.ffn.gate.weight\" routes to 3 experts, that "
                         "of layer 0 to 4: a pruned model with unequal numbers of experts"));
}

TEST(ForeignTensors, NamesThatNobodyKnowsAreSaidWhereOthersAreMissing) {
  const auto renamed = [](Tensors& all) { test::tensor_named(all, "norm.weight").name = "final_layernorm.w"; };
  EXPECT_THAT(line_of_checkpoint(kAsItIs, renamed),
              HasSubstr("tensor \"norm.weight\" [64] is missing; 1 tensors have unknown names, first \"final_layernorm.w\""));
}

}  // namespace
}  // namespace dsv4
