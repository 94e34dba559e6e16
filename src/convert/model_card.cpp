// The model card.
#include "convert/model_card.h"

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "checkpoint/amounts.h"
#include "checkpoint/inspect.h"
#include "checkpoint/quote.h"
#include "checkpoint/small_file.h"
#include "convert/file_list.h"
#include "convert/hub_metadata.h"
#include "convert/text_file.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kVerifyBegin = "<!-- dsv4 verify: begin -->\n", kVerifyEnd = "<!-- dsv4 verify: end -->\n";

std::string decimal(double value, const char* unit) {
  char text[48];
  std::snprintf(text, sizeof text, "%.2f %s", value, unit);
  return text;
}

std::string parameters_text(int64_t count) {
  const double c = static_cast<double>(count);
  return count >= 1'000'000'000 ? decimal(c / 1e9, "billion") : decimal(c / 1e6, "million");
}

std::string name_text(const fs::path& path) { return path_text((path.has_filename() ? path : path.parent_path()).filename()); }

std::string model_section(const ConvertOptions& options, const Checkpoint& checkpoint, const Config& config) {
  const InspectReport source = inspect_checkpoint(checkpoint);
  std::string experts;
  for (const std::string& encoding : source.expert_encodings) experts += (experts.empty() ? "" : ", ") + encoding;
  std::string text = "## What was converted\n\n| | |\n|---|---|\n";
  const auto row = [&](const std::string& key, const std::string& value) { text += concat("| ", key, " | ", value, " |\n"); };
  row("checkpoint", concat("`", name_text(fs::absolute(checkpoint.directory()).lexically_normal()), "`"));
  row("architecture", concat("`deepseek_v4`, dimensions of ", source.model == "custom" ? "its own" : source.model));
  row("layers", options.layers < 0 ? concat(config.num_hidden_layers)
                                   : concat("the first ", config.num_hidden_layers, " of ", checkpoint.config().num_hidden_layers,
                                            " (`--layers`): output for tests of speed and memory, not language"));
  row("parameters of the checkpoint",
      concat(parameters_text(source.parameters), ", ", parameters_text(source.active_parameters), " used for a token"));
  row("routed experts", concat(config.n_routed_experts, " a layer, ", config.num_experts_per_tok, " for a token; published in ", experts));
  row("vocabulary", concat(config.vocab_size));
  row("longest context", concat(config.max_position_embeddings));
  row("published size", concat(byte_text(source.bytes), " in ", source.files.size(), source.files.size() == 1 ? " file" : " files"));
  return text + "\n";
}

std::string weights_section(const ConvertOptions& options, const ConvertReport& report) {
  std::string made = concat("`--weight-format` ", describe(options.compression));
  if (options.experts == ExpertForm::kGather) made += ", `--experts gather`";
  if (!options.stateful) made += ", `--disable-stateful`";
  if (options.static_shape) made += concat(", `--static-shape ", options.static_shape->batch, ",", options.static_shape->length, "`");
  std::string text =
      concat("## How\n\nConverted by dsv4 ", DSV4_VERSION, ": ", made, ". Multi-token-prediction blocks are not part of it.\n\n",
             "| published in | stored as | tensors | bytes read | bytes written |\n|---|---|---:|---:|---:|\n");
  uint64_t tensors = 0, written = 0;
  for (const FormSummary& form : report.forms) {
    text +=
        concat("| ", form.published, " | ", form.stored, " | ", form.tensors, " | ", form.bytes_read, " | ", form.bytes_written, " |\n");
    tensors += form.tensors;
    written += form.bytes_written;
  }
  return text + concat("| all | | ", tensors, " | ", report.checkpoint_bytes, " | ", written, " |\n\n");
}

std::string files_section(const std::vector<FolderFileSize>& files) {
  std::string text = "## Files\n\n| file | size |\n|---|---:|\n";
  for (const auto& [name, bytes] : files) text += concat("| `", name, "` | ", byte_text(bytes), " |\n");
  return text + concat("| `", kFileListName, "` | size and XXH3-128 of each; `dsv4 inspect MODEL` compares |\n\n");
}

constexpr std::string_view kGenAi =
    "- Beam search: pass `do_sample=False` with `num_beams`; generation_config.json says `do_sample: true`, as published, and GenAI "
    "refuses both together.\n"
    "- Not with the paged-attention backend (`ATTENTION_BACKEND=\"PA\"`, `scheduler_config`, `ContinuousBatchingPipeline`, "
    "`prompt_lookup`, `draft_model`): the model has no\n"
    "  ScaledDotProductAttention, and GenAI ends with `No ScaledDotProductAttention operation observed in the graph, cannot perform the "
    "SDPAToPagedAttention transformation.`\n"
    "- OpenVINO Model Server: its default pipeline on the CPU is that backend; write `pipeline_type: LM` into graph.pbtxt "
    "(`--pipeline_type LM`). Not run here.\n\n";

constexpr std::string_view kBatches =
    "Several prompts at once: `tokenizer([...], padding=True, return_tensors=\"pt\")`. The tokenizer pads on the left (`padding_side` in "
    "tokenizer_config.json), and it must: "
    "rows padded on\nthe right get wrong continuations. For beam search pass `do_sample=False` with `num_beams`.\n\n";

constexpr std::string_view kRunning = "## Running it\n", kExactness = "## Exactness\n";

/// Of a folder with the CPU program.
std::string client_running_section(const ClientProgram& program, bool tokenizer_models, bool tokenizer) {
  std::string text = concat(
      kRunning, "\nEach of these takes the folder's path as `MODEL`. Its `openvino_model.xml` is dsv4's own CPU program (activations ",
      program.activations == ActivationRounding::kInt8 ? "int8" : "f32", ", cache ",
      program.cache == CachePrecision::kBF16 ? "bf16" : "f32",
      "): a client of\nOpenVINO has to load `libdsv4_ops.so` of the same dsv4 and OpenVINO version, or it ends with "
      "`Cannot create ... from unsupported opset: dsv4`.\n\n```sh\ndsv4 run MODEL ",
      tokenizer_models ? "-p 'In the beginning'" : "--tokens 0,1,2", " -n 16\n```\n\n");
  if (tokenizer_models) {
    text += concat(
        "OpenVINO GenAI (tested with 2026.4.1):\n\n```python\nimport openvino_genai\n\n"
        "pipeline = openvino_genai.LLMPipeline(\"MODEL\", \"CPU\", extensions=[\"libdsv4_ops.so\"])\n"
        "print(pipeline.generate(\"In the beginning\", max_new_tokens=32, do_sample=False))\n```\n\n",
        kGenAi);
  }
  text += "optimum-intel (tested with 2.2.0):\n\n```python\nfrom optimum.intel import OVModelForCausalLM\n";
  text += "from optimum.intel.openvino.modeling_base import core\n";
  if (tokenizer) text += "from transformers import AutoTokenizer\n";
  text += concat(tokenizer ? "" : "import torch\n", "\ncore.add_extension(\"libdsv4_ops.so\")\n",
                 "model = OVModelForCausalLM.from_pretrained(\"MODEL\", trust_remote_code=True)\n");
  if (tokenizer) {
    text += concat(
        "tokenizer = AutoTokenizer.from_pretrained(\"MODEL\")\ninputs = tokenizer(\"In the beginning\", return_tensors=\"pt\")\n"
        "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=32)[0]))\n```\n\n",
        kBatches);
  } else {
    text += "print(model.generate(torch.tensor([[0, 1, 2]]), max_new_tokens=32))\n```\n\n";
  }
  return text;
}

std::string running_section(const ConvertOptions& options, const std::vector<FolderFileSize>& files) {
  const auto there = [&](std::string_view name) {
    return std::any_of(files.begin(), files.end(), [&](const FolderFileSize& file) { return file.name == name; });
  };
  const bool tokenizer_models = there("openvino_tokenizer.xml"), tokenizer = there("tokenizer.json");
  if (options.cpu_program) return client_running_section(*options.cpu_program, tokenizer_models, tokenizer);
  std::string text = concat(kRunning, "\nEach of these takes the folder's path as `MODEL`.\n\n```sh\ndsv4 run MODEL ",
                            tokenizer_models ? "-p 'In the beginning'" : "--tokens 0,1,2", " -n 16\n```\n\n");
  if (options.static_shape) {
    return text + concat("Its shapes are fixed: OpenVINO takes exactly ", options.static_shape->batch, " x ", options.static_shape->length,
                         " ids at a time; OpenVINO GenAI and optimum-intel cannot generate with it.\n\n");
  }
  if (options.stateful && tokenizer_models) {
    text +=
        "OpenVINO GenAI (tested with 2026.4.1):\n\n```python\nimport openvino_genai\n\n"
        "pipeline = openvino_genai.LLMPipeline(\"MODEL\", \"CPU\")\n"
        "print(pipeline.generate(\"In the beginning\", max_new_tokens=32, do_sample=False))\n```\n\n";
    text += kGenAi;
  }
  const std::string load = concat("model = OVModelForCausalLM.from_pretrained(\"MODEL\", trust_remote_code=True",
                                  options.stateful ? "" : ", use_cache=False", ")\n");
  text += "optimum-intel (tested with 2.2.0):\n\n```python\nfrom optimum.intel import OVModelForCausalLM\n";
  if (tokenizer) {
    text += concat("from transformers import AutoTokenizer\n\n", load,
                   "tokenizer = AutoTokenizer.from_pretrained(\"MODEL\")\n"
                   "inputs = tokenizer(\"In the beginning\", return_tensors=\"pt\")\n"
                   "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=32)[0]))\n```\n\n",
                   options.stateful ? kBatches : "");
  } else {
    text += concat("import torch\n\n", load, "print(model.generate(torch.tensor([[0, 1, 2]]), max_new_tokens=32))\n```\n\n");
  }
  if (!options.stateful) {
    text +=
        "This is the prefill-only form: its single input is `input_ids`, each call computes the whole sequence, and OpenVINO GenAI cannot "
        "run it.\n\n";
  }
  return text;
}

constexpr std::string_view kPrecision =
    "## Exactness\n\n"
    "On CPUs with bfloat16 units (AVX512_BF16, AMX) OpenVINO computes in bfloat16 unless told otherwise, and next tokens may differ. For "
    "the arithmetic\n"
    "that `dsv4 verify` measures pass `INFERENCE_PRECISION_HINT=f32`: `LLMPipeline(\"MODEL\", \"CPU\", "
    "INFERENCE_PRECISION_HINT=\"f32\")`,\n"
    "`OVModelForCausalLM.from_pretrained(..., ov_config={\"INFERENCE_PRECISION_HINT\": \"f32\"})`. An IR cannot ask for that itself.\n\n";

constexpr std::string_view kPublishedBits =
    "## NumberFormat bits\n\n"
    "Every matrix is stored in the bits in which it was published, with its scales. dsv4 computes with them as they lie. OpenVINO's CPU "
    "plugin "
    "(2026.4.1)\n"
    "makes float32 of them while it loads the model: FP8 takes four times its size in memory, BF16 twice, FP4 eight times "
    "(`--experts gather` keeps the experts packed).\n\n";

}  // namespace

std::string model_card(const ConvertOptions& options, const Checkpoint& checkpoint, const Config& config, const ConvertReport& report,
                       const SmallFiles& small_files, std::vector<FolderFileSize> files) {
  std::sort(files.begin(), files.end(), [](const FolderFileSize& a, const FolderFileSize& b) { return a.name < b.name; });
  const std::string name = name_text(fs::absolute(checkpoint.directory()).lexically_normal());
  return concat(hub_metadata(options, checkpoint, small_files), "# ", name, " for OpenVINO, ",
                weight_format_name(options.compression.format), "\n\n", model_section(options, checkpoint, config),
                weights_section(options, report), files_section(files), running_section(options, files), kPrecision,
                options.compression.format == WeightFormat::kPublished ? kPublishedBits : "", "## Verification\n\n", kVerifyBegin,
                "Not measured. `dsv4 verify CHECKPOINT MODEL --card` compares the logits with a plain forward pass of the checkpoint "
                "and writes the numbers here.\n",
                kVerifyEnd);
}

std::string card_of_program(std::string card, const ClientProgram& program) {
  const size_t begin = card.find(kRunning), end = begin == std::string::npos ? begin : card.find(kExactness, begin);
  if (end == std::string::npos) return card;
  const auto lists = [&](const char* name) { return card.find(concat("| `", name, "` |")) != std::string::npos; };
  card.replace(begin, end - begin, client_running_section(program, lists("openvino_tokenizer.xml"), lists("tokenizer.json")));
  return card;
}

void set_card_verification(const fs::path& folder, const std::string& text) {
  const fs::path path = folder / "README.md";
  if (!fs::exists(path)) fail(path_text(path), ": no such file; only folders that dsv4 convert made have a model card");
  std::string card = read_small_file(path, {"model card", "the README.md of a model folder", 4u << 20});
  const size_t begin = card.find(kVerifyBegin), end = begin == std::string::npos ? begin : card.find(kVerifyEnd, begin);
  if (end == std::string::npos) {
    fail(path_text(path),
         ": the marks \"dsv4 verify: begin\" and \"dsv4 verify: end\" of the section Verification are gone; put them back");
  }
  const size_t first = begin + kVerifyBegin.size();
  card.replace(first, end - first, text.ends_with('\n') ? text : text + "\n");
  const fs::path fresh = folder / ".README.md.new";
  write_text(fresh, card);
  fs::rename(fresh, path);
  list_again(folder, "README.md", card);
}

}  // namespace dsv4
