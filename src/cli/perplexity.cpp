// dsv4 perplexity: how well a model folder predicts a text.
#include <cstdio>
#include <iostream>
#include <memory>

#include "checkpoint/form.h"
#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/text_arguments.h"
#include "cli/token_arguments.h"
#include "convert/inspect_folder.h"
#include "dsv4/error.h"
#include "dsv4/session.h"
#include "runtime/check_tokens.h"
#include "runtime/engine_options.h"
#include "runtime/expert_report.h"
#include "runtime/likelihood.h"

namespace dsv4 {

namespace {

struct PerplexityArguments {
  std::filesystem::path model, text_file, tokens_file;
  bool no_bos = false;
  EngineOptions engine;
  LikelihoodOptions likelihood;
  bool json = false;
};

std::vector<int64_t> tokens_of_text_file(const PerplexityArguments& arguments) {
  const std::string text = read_text(arguments.text_file);
  return text_tokens(Tokenizer(arguments.model), text, arguments.no_bos);
}

void run_perplexity(PerplexityArguments& arguments) {
  const bool text = !arguments.text_file.empty();
  if (text == !arguments.tokens_file.empty()) throw UsageError("give what to predict with one of -f (text) and --tokens-file");
  if (arguments.no_bos && !text) throw UsageError("--no-bos: is for a text (-f)");
  check_options(arguments.engine);
  check_form(arguments.model, Expected::kModelFolder);
  const std::vector<int64_t> tokens = text ? tokens_of_text_file(arguments) : read_tokens_file(arguments.tokens_file);
  arguments.engine.all_logits = true;
  const Engine engine = open_engine(arguments.model, arguments.engine);
  check_tokens(tokens, engine.vocab_size(), path_text(text ? arguments.text_file : arguments.tokens_file));
  if (arguments.likelihood.context == 0) arguments.likelihood.context = engine.static_length();
  if (!engine.stateful() && arguments.likelihood.context == 0) {
    throw UsageError(concat(path_text(arguments.model), ": a prefill-only model, which runs each window in one piece; give --context"));
  }
  const Likelihood result = likelihood(engine, tokens, arguments.likelihood);
  save_expert_profile(engine);
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
  Command command = line.command("perplexity", "How well a model folder predicts a text", "docs/formats.md");
  const auto arguments = std::make_shared<PerplexityArguments>();
  command.model(arguments->model, "Model folder that `dsv4 convert` wrote");
  command.group("Text: one of these; all tokens but the first are predicted");
  command.option("-f,--file", arguments->text_file, "Text, UTF-8, in a file; -: from standard input").value("FILE");
  command.flag("--no-bos", arguments->no_bos, "No beginning-of-sequence token in front of a text that has none");
  command
      .option("--tokens-file", arguments->tokens_file,
              "Token ids in a file: separated by commas or white space, a JSON array, or what `dsv4 run --json` prints")
      .value("FILE");
  command.group("Windows and output");
  command
      .option("-c,--context", arguments->likelihood.context,
              "Feed windows of this many tokens, each from an empty state; 0: all tokens as one sequence, its state kept, or what "
              "--static-shape fixed")
      .shows_default()
      .at_least(0);
  command.flag("--json", arguments->json, "Print one JSON object");
  arguments->engine.program = Program::kPortable;  // what other programs see of the folder, unless asked otherwise
  add_engine_options(command, arguments->engine);
  command.runs([command, arguments] {
    if (!command.given("--program") && has_cpu_program(arguments->model)) arguments->engine.program = Program::kCpu;
    run_perplexity(*arguments);
  });
}

}  // namespace dsv4
