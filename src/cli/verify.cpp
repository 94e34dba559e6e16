// dsv4 verify: a model folder against the plain reference forward of its checkpoint.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/option_checks.h"
#include "cli/token_arguments.h"
#include "dsv4/error.h"
#include "reference/compare.h"
#include "reference/reference.h"
#include "runtime/session.h"

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
};

// Ids that visit the whole vocabulary: a full-period step through it, the same for every run.
std::vector<int64_t> spread_tokens(int64_t count, int64_t vocab_size) {
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back((i * 7919 + 17) % vocab_size);
  return tokens;
}

void run_verify(VerifyArguments& arguments) {
  if (!arguments.tokens.empty() && !arguments.tokens_file.empty()) throw UsageError("give one of --tokens and --tokens-file");
  const Checkpoint checkpoint = Checkpoint::open(arguments.checkpoint);
  arguments.engine.all_logits = true;
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

  Session session(engine);
  const std::vector<float> actual = session.feed(tokens);
  const std::vector<float> expected = Reference(checkpoint, {.layers = layers}).logits(tokens);
  const LogitDifference d = compare_logits(expected, actual, vocab);
  const bool passed = d.max <= arguments.tolerance * d.max_logit;
  if (arguments.json) {
    nlohmann::ordered_json json;
    json["tokens"] = tokens.size();
    json["max_logit"] = d.max_logit;
    json["max_difference"] = d.max;
    json["mean_difference"] = d.mean;
    json["kl_divergence"] = d.kl;
    json["greedy_match"] = d.greedy_match;
    json["passed"] = passed;
    std::printf("%s\n", json.dump().c_str());
  } else {
    std::printf(
        "tokens            %zu\nmax |logit|       %.4g\nmax difference    %.3g\nmean difference   %.3g\nKL divergence     %.3g\ngreedy "
        "match      %lld of %zu\n",
        tokens.size(), d.max_logit, d.max, d.mean, d.kl, static_cast<long long>(d.greedy_match), tokens.size());
  }
  std::fflush(stdout);
  if (!passed) {
    fail(arguments.model.string(), ": logits differ from the reference by ", d.max, "; allowed ", arguments.tolerance, " x ", d.max_logit,
         " (--tolerance); expected for weights in fewer bits than the checkpoint's");
  }
}

}  // namespace

void add_verify_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("verify", "Compare a model folder with a plain reference forward of its checkpoint");
  const auto arguments = std::make_shared<VerifyArguments>();
  command->add_option("checkpoint", arguments->checkpoint, "Checkpoint directory")->required();
  command->add_option("model", arguments->model, "Model folder made from it")->required();
  command->add_option("--tokens", arguments->tokens, "Token ids to compare on: 1,2,3");
  command->add_option("--tokens-file", arguments->tokens_file, "Token ids in a file");
  command->add_option("--length", arguments->length, "Without --tokens: how many ids, spread over the vocabulary")
      ->capture_default_str()
      ->check(at_least(1));
  command
      ->add_option("--tolerance", arguments->tolerance, "Largest difference allowed, in units of the largest |logit|; more is exit code 1")
      ->capture_default_str();
  command->add_option("-d,--device", arguments->engine.device, "OpenVINO device; only CPU is tested")->capture_default_str();
  command->add_option("--threads", arguments->engine.threads, "Inference threads; 0: the device's default")->check(at_least(0));
  command->add_flag("--json", arguments->json, "Print one JSON object");
  command->callback([arguments] { run_verify(*arguments); });
}

}  // namespace dsv4
