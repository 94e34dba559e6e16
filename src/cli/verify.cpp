// dsv4 verify: a model folder against the plain reference forward of its checkpoint, with the published weights and with those that the folder stores.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>

#include "checkpoint/json_text.h"
#include "cli/commands.h"
#include "cli/token_arguments.h"
#include "convert/model_card.h"
#include "dsv4/error.h"
#include "dsv4/session.h"
#include "reference/compare.h"
#include "reference/reference.h"
#include "runtime/loaded_model.h"
#include "runtime/stored_formats.h"

namespace dsv4 {

namespace {

struct VerifyArguments {
  std::filesystem::path checkpoint, model;
  std::string tokens;
  std::filesystem::path tokens_file;
  int64_t length = 64;
  EngineOptions engine;
  double tolerance = 1e-4;
  bool json = false;
  bool card = false;
};

/// The model's logits against two forwards of the reference.
struct Verification {
  LogitDifference format;  ///< against the weights as published: what the formats cost
  LogitDifference ir;      ///< against the weights rounded as the folder stores them: what the IR adds
};

// Ids that visit the whole vocabulary: a full-period step through it, the same for every run.
std::vector<int64_t> spread_tokens(int64_t count, int64_t vocab_size) {
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back((i * 7919 + 17) % vocab_size);
  return tokens;
}

bool keeps_every_value(const StoredFormats& formats) {
  return std::all_of(formats.begin(), formats.end(), [](const auto& tensor) {
    return tensor.second.type == StoredType::kF32 || tensor.second.type == StoredType::kF4E2M1;
  });
}

Verification compare_both(const Checkpoint& checkpoint, const StoredFormats& formats, int64_t layers, std::span<const int64_t> tokens,
                          std::span<const float> actual) {
  const int64_t vocab = checkpoint.config().vocab_size;
  Verification v;
  v.format = compare_logits(Reference(checkpoint, {.layers = layers}).logits(tokens), actual, vocab);
  v.ir = keeps_every_value(formats)
             ? v.format
             : compare_logits(Reference(checkpoint, {.layers = layers, .formats = formats}).logits(tokens), actual, vocab);
  return v;
}

/// How many tensors each format has.
std::map<std::string, int64_t> count_formats(const StoredFormats& formats) {
  std::map<std::string, int64_t> counts;
  for (const auto& [name, format] : formats) ++counts[stored_format_name(format)];
  return counts;
}

nlohmann::ordered_json to_json(const LogitDifference& d) {
  return {{"max_logit", d.max_logit},
          {"max_difference", d.max},
          {"mean_difference", d.mean},
          {"kl_divergence", d.kl},
          {"greedy_match", d.greedy_match}};
}

void print_json(const Verification& v, const StoredFormats& formats, size_t tokens, bool passed) {
  nlohmann::ordered_json json;
  json["tokens"] = tokens;
  json["tensors"] = count_formats(formats);
  json["against_checkpoint"] = to_json(v.format);
  json["against_prediction"] = to_json(v.ir);
  json["passed"] = passed;
  std::printf("%s\n", json_text(json).c_str());
}

void print_table(const Verification& v, const StoredFormats& formats, size_t tokens) {
  std::printf("tokens            %zu\n", tokens);
  const char* label = "tensors";
  for (const auto& [name, count] : count_formats(formats)) {
    std::printf("%-18s%lld %s\n", label, static_cast<long long>(count), name.c_str());
    label = "";
  }
  std::printf("\n%-18s%-24s%s\n%-18s%-24s%s\n", "logits against", "weights as published", "weights as stored", "", "(error of the format)",
              "(error of the IR)");
  const auto row = [](const char* what, double format, double ir) { std::printf("%-18s%-24.3g%.3g\n", what, format, ir); };
  row("max |logit|", v.format.max_logit, v.ir.max_logit);
  row("max difference", v.format.max, v.ir.max);
  row("mean difference", v.format.mean, v.ir.mean);
  row("KL divergence", v.format.kl, v.ir.kl);
  std::printf("%-18s%-24s%s\n", "greedy match", concat(v.format.greedy_match, " of ", tokens).c_str(),
              concat(v.ir.greedy_match, " of ", tokens).c_str());
}

/// The comparisons as Markdown for the model card.
std::string card_text(const Verification& v, size_t tokens) {
  char row[160];
  std::string text =
      concat("`dsv4 verify`, ", tokens, " tokens, logits against a plain forward pass of the checkpoint:\n\n",
             "| logits against | weights as published (error of the format) | weights as stored (error of the IR) |\n|---|---|---|\n");
  const auto add = [&](const char* what, double format, double ir) {
    std::snprintf(row, sizeof row, "| %s | %.3g | %.3g |\n", what, format, ir);
    text += row;
  };
  add("largest logit", v.format.max_logit, v.ir.max_logit);
  add("largest difference", v.format.max, v.ir.max);
  add("mean difference", v.format.mean, v.ir.mean);
  add("KL divergence, nats", v.format.kl, v.ir.kl);
  return text + concat("| same greedy token | ", v.format.greedy_match, " of ", tokens, " | ", v.ir.greedy_match, " of ", tokens, " |\n");
}

void run_verify(VerifyArguments& arguments) {
  if (!arguments.tokens.empty() && !arguments.tokens_file.empty()) throw UsageError("give one of --tokens and --tokens-file");
  const Checkpoint checkpoint = Checkpoint::open(arguments.checkpoint);
  arguments.engine.all_logits = true;
  arguments.engine.program = Program::kPortable;  // the folder itself is what is verified
  const Engine engine(arguments.model, arguments.engine);
  const int64_t vocab = engine.config().vocab_size, layers = engine.config().num_hidden_layers;
  if (checkpoint.config().vocab_size != vocab || checkpoint.config().num_hidden_layers < layers) {
    fail(arguments.model.string(), ": vocabulary ", vocab, " and ", layers, " layers; the checkpoint ", arguments.checkpoint.string(),
         " has ", checkpoint.config().vocab_size, " and ", checkpoint.config().num_hidden_layers, "; it was made from another checkpoint");
  }
  const std::vector<int64_t> tokens = !arguments.tokens.empty()        ? parse_tokens(arguments.tokens, "--tokens")
                                      : !arguments.tokens_file.empty() ? read_tokens_file(arguments.tokens_file)
                                                                       : spread_tokens(arguments.length, vocab);
  check_tokens(tokens, vocab, "tokens");
  const StoredFormats formats = stored_formats(*read_ir(arguments.model), engine.config());

  Session session(engine);
  const std::vector<float> actual = session.feed(tokens);
  const Verification v = compare_both(checkpoint, formats, layers, tokens, actual);
  const bool passed = v.ir.max <= arguments.tolerance * v.ir.max_logit;
  if (arguments.json) {
    print_json(v, formats, tokens.size(), passed);
  } else {
    print_table(v, formats, tokens.size());
  }
  std::fflush(stdout);
  if (arguments.card) set_card_verification(arguments.model, card_text(v, tokens.size()));
  if (!passed) {
    fail(arguments.model.string(), ": logits differ by ", v.ir.max,
         " from those of the reference with the weights that the folder stores; allowed ", arguments.tolerance, " x ", v.ir.max_logit,
         " (--tolerance)");
  }
}

}  // namespace

void add_verify_command(CommandLine& line) {
  Command command = line.command("verify", "Compare a model folder with a plain reference forward of its checkpoint");
  const auto arguments = std::make_shared<VerifyArguments>();
  command.option("checkpoint", arguments->checkpoint, "Checkpoint directory").required();
  command.option("model", arguments->model, "Model folder made from it").required();
  command.option("--tokens", arguments->tokens, "Token ids to compare on: 1,2,3");
  command.option("--tokens-file", arguments->tokens_file, "Token ids in a file");
  command.option("--length", arguments->length, "Without --tokens: how many ids, spread over the vocabulary").shows_default().at_least(1);
  command
      .option(
          "--tolerance", arguments->tolerance,
          "Largest difference allowed from the reference with the weights as stored, in units of its largest |logit|; more is exit code 1")
      .shows_default();
  command.option("-d,--device", arguments->engine.device, "OpenVINO device; only CPU is tested").shows_default();
  command.option("--threads", arguments->engine.threads, "Inference threads; 0: the device's default").at_least(0);
  command.flag("--json", arguments->json, "Print one JSON object");
  command.flag("--card", arguments->card, "Write the numbers into the folder's README.md too");
  command.runs([arguments] { run_verify(*arguments); });
}

}  // namespace dsv4
