// dsv4 perplexity: how well a model folder predicts a text of token ids.
#include <cstdio>
#include <iostream>
#include <memory>

#include "checkpoint/config.h"
#include "checkpoint/form.h"
#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/token_arguments.h"
#include "dsv4/error.h"
#include "dsv4/session.h"
#include "runtime/check_tokens.h"
#include "runtime/engine_options.h"
#include "runtime/likelihood.h"

namespace dsv4 {

namespace {

struct PerplexityArguments {
  std::filesystem::path model, tokens_file;
  EngineOptions engine;
  LikelihoodOptions likelihood;
  bool json = false;
};

void run_perplexity(PerplexityArguments& arguments) {
  check_options(arguments.engine);
  check_form(arguments.model, Expected::kModelFolder);
  const std::vector<int64_t> tokens = read_tokens_file(arguments.tokens_file);
  check_tokens(tokens, read_config(arguments.model).vocab_size, path_text(arguments.tokens_file));
  arguments.engine.all_logits = true;
  const Engine engine = open_engine(arguments.model, arguments.engine);
  if (arguments.likelihood.context == 0) arguments.likelihood.context = engine.static_length();
  if (!engine.stateful() && arguments.likelihood.context == 0) {
    throw UsageError(concat(path_text(arguments.model), ": a prefill-only model, which runs each window in one piece; give --context"));
  }
  const Likelihood result = likelihood(engine, tokens, arguments.likelihood);
  if (arguments.json) {
    nlohmann::ordered_json json;
    json["tokens"] = result.predicted;
    json["windows"] = result.windows;
    json["negative_log_likelihood"] = result.negative_log;
    json["nll_per_token"] = result.per_token();
    json["perplexity"] = result.perplexity();
    std::cout << json_text(json) << '\n';
    return;
  }
  std::printf("tokens          %lld in %lld window%s\nnats            %.4f\nnats a token    %.6f\nperplexity      %.4f\n",
              static_cast<long long>(result.predicted), static_cast<long long>(result.windows), result.windows == 1 ? "" : "s",
              result.negative_log, result.per_token(), result.perplexity());
}

}  // namespace

void add_perplexity_command(CommandLine& line) {
  Command command = line.command("perplexity", "How well a model folder predicts a text of token ids");
  const auto arguments = std::make_shared<PerplexityArguments>();
  command.option("model", arguments->model, "Model folder that `dsv4 convert` wrote").required();
  command
      .option("--tokens-file", arguments->tokens_file,
              "Token ids in a file, separated by commas or white space, or a JSON array; all but the first are predicted")
      .required();
  command
      .option("--context", arguments->likelihood.context,
              "Feed windows of this many tokens, each from an empty state; 0: all tokens as one sequence, its state kept, or what "
              "--static-shape fixed")
      .shows_default()
      .at_least(0);
  arguments->engine.program = Program::kPortable;  // what other programs see of the folder, unless asked otherwise
  add_engine_options(command, arguments->engine);
  command.flag("--json", arguments->json, "Print one JSON object");
  command.runs([arguments] { run_perplexity(*arguments); });
}

}  // namespace dsv4
