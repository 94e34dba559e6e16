// dsv4 run: one prompt of token ids, greedy or sampled.
#include <CLI/CLI.hpp>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/option_checks.h"
#include "cli/token_arguments.h"
#include "dsv4/error.h"
#include "runtime/generate.h"
#include "runtime/npy.h"

namespace dsv4 {

namespace {

struct RunArguments {
  std::filesystem::path model;
  std::string prompt, tokens, program = "portable";
  std::filesystem::path tokens_file, logits;
  EngineOptions engine;
  GenerateOptions generate;
  bool json = false;
};

std::vector<int64_t> prompt_tokens(const RunArguments& arguments) {
  if (!arguments.prompt.empty())
    throw UsageError("-p: text prompts need a tokenizer, which is not in this version; give token ids with --tokens");
  if (arguments.tokens.empty() == arguments.tokens_file.empty()) throw UsageError("give the prompt with one of --tokens and --tokens-file");
  return arguments.tokens.empty() ? read_tokens_file(arguments.tokens_file) : parse_tokens(arguments.tokens, "--tokens");
}

void run_run(RunArguments& arguments) {
  if (arguments.program != "portable") {
    throw UsageError(concat("--program ", arguments.program, ": only the portable program is in this version"));
  }
  const std::vector<int64_t> prompt = prompt_tokens(arguments);
  arguments.engine.all_logits = !arguments.logits.empty();
  check_tokens(prompt, read_config(arguments.model).vocab_size, "prompt");

  const Engine engine(arguments.model, arguments.engine);
  Session session(engine);
  if (!arguments.json) {
    arguments.generate.on_token = [first = true](int64_t token) mutable {
      std::cout << (first ? "" : ",") << token << std::flush;
      first = false;
    };
  }
  const Generated out = generate(session, engine.config(), prompt, arguments.generate);
  if (!arguments.logits.empty()) {
    write_npy(arguments.logits, out.prompt_logits, static_cast<int64_t>(prompt.size()), engine.config().vocab_size);
  }
  const double decode_rate = out.decoded > 0 ? static_cast<double>(out.decoded) / out.decode_seconds : 0.0;
  if (arguments.json) {
    nlohmann::ordered_json json;
    json["tokens"] = out.tokens;
    json["prompt_tokens"] = prompt.size();
    json["finish_reason"] = out.stopped_at_eos ? "stop" : "length";
    json["compile_seconds"] = engine.compile_seconds();
    json["prefill_seconds"] = out.prefill_seconds;
    json["decode_tokens_per_second"] = decode_rate;
    std::cout << json.dump() << '\n';
    return;
  }
  if (!out.tokens.empty()) std::cout << '\n';
  std::cerr << concat("dsv4: opened in ", engine.compile_seconds(), " s, ", prompt.size(), " prompt tokens in ", out.prefill_seconds,
                      " s, ", decode_rate, " tokens/s after that\n");
}

}  // namespace

void add_run_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("run", "Run a prompt of token ids through a model folder");
  const auto arguments = std::make_shared<RunArguments>();
  GenerateOptions& generate = arguments->generate;
  command->add_option("model", arguments->model, "Model folder that `dsv4 convert` wrote")->required();
  command->add_option("-p,--prompt", arguments->prompt, "Text prompt (needs a tokenizer: not in this version)");
  command->add_option("--tokens", arguments->tokens, "Prompt as token ids: 1,2,3");
  command->add_option("--tokens-file", arguments->tokens_file,
                      "Prompt as token ids in a file, separated by commas or white space, or a JSON array");
  command->add_option("-n,--max-new-tokens", generate.max_new_tokens, "Tokens to generate")->capture_default_str()->check(at_least(0));
  command->add_option("--temperature", generate.sampler.temperature, "0: greedy")->capture_default_str();
  command->add_option("--top-p", generate.sampler.top_p, "Sample from the most likely tokens that together have this probability")
      ->capture_default_str();
  command->add_option("--seed", generate.sampler.seed, "Of the sampling")->capture_default_str()->check(unsigned_64());
  command->add_flag("--ignore-eos", generate.ignore_eos, "Go on after an end-of-sequence token");
  command->add_option("--logits", arguments->logits, "Write the logits of the prompt, float32 [S,V], to this .npy file");
  command->add_option("--program", arguments->program, "portable (the CPU program is not in this version)")->capture_default_str();
  command->add_option("-d,--device", arguments->engine.device, "OpenVINO device; only CPU is tested")->capture_default_str();
  command->add_option("--threads", arguments->engine.threads, "Inference threads; 0: the device's default")->check(at_least(0));
  command->add_flag("--json", arguments->json, "Print one JSON object");
  command->callback([arguments] { run_run(*arguments); });
}

}  // namespace dsv4
