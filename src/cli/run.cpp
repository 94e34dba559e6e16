// dsv4 run: one prompt, text or token ids, greedy or sampled.
#include <unistd.h>

#include <iostream>
#include <memory>
#include <optional>

#include "checkpoint/config.h"
#include "checkpoint/form.h"
#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/messages.h"
#include "cli/token_arguments.h"
#include "dsv4/error.h"
#include "dsv4/request.h"
#include "runtime/check_tokens.h"
#include "runtime/disk_reads.h"
#include "runtime/engine_options.h"
#include "runtime/npy.h"
#include "text/tokenizer.h"

namespace dsv4 {

namespace {

struct RunArguments {
  std::filesystem::path model;
  std::optional<std::string> prompt;
  std::string tokens;
  std::filesystem::path tokens_file, logits;
  EngineOptions engine;
  Request request;
  bool no_bos = false;
  bool json = false;
};

/// The ids of a text prompt. Models are trained on documents that begin with BOS, which the tokenizer does not add by itself.
std::vector<int64_t> text_prompt(const RunArguments& arguments, const Tokenizer& tokenizer) {
  std::vector<int64_t> tokens = tokenizer.encode(*arguments.prompt);
  const bool begins = !tokens.empty() && tokens.front() == tokenizer.bos();
  if (!arguments.no_bos && !begins && tokenizer.bos() >= 0) tokens.insert(tokens.begin(), tokenizer.bos());
  if (tokens.empty()) fail("-p: the prompt has no token; expected some text, or leave out --no-bos");
  return tokens;
}

/// Those that the command line gives; none for a text.
std::vector<int64_t> given_tokens(const RunArguments& arguments) {
  if (arguments.prompt) return {};
  return arguments.tokens.empty() ? read_tokens_file(arguments.tokens_file) : tokens_of_option(arguments.tokens, "--tokens");
}

void check_prompt_options(const RunArguments& arguments) {
  const int given = (arguments.prompt ? 1 : 0) + (arguments.tokens.empty() ? 0 : 1) + (arguments.tokens_file.empty() ? 0 : 1);
  if (given != 1) throw UsageError("give the prompt with one of -p, --tokens and --tokens-file");
  if (arguments.no_bos && !arguments.prompt) throw UsageError("--no-bos: is for text prompts (-p)");
}

/// Prints what is generated as it comes: text, or ids where the prompt was ids. On a terminal a text has no control characters, which could do there what they
/// want; anywhere else it is what was generated, byte for byte.
class Output {
 public:
  explicit Output(const std::optional<Tokenizer>& tokenizer) : terminal_(::isatty(STDOUT_FILENO) != 0) {
    if (tokenizer) stream_.emplace(*tokenizer);
  }

  void token(int64_t token) {
    if (stream_) {
      print(stream_->push(token));
      std::cout << std::flush;
    } else {
      std::cout << (first_ ? "" : ",") << token << std::flush;
    }
    first_ = false;
  }

  void finish() {
    if (stream_) print(stream_->finish());
    if (!first_) std::cout << '\n';
  }

 private:
  void print(const std::string& text) const { std::cout << (terminal_ ? escaped_lines(text) : text); }

  bool terminal_;
  std::optional<TextStream> stream_;
  bool first_ = true;
};

std::string full_notice(const Generated& out, const Session& session) {
  const bool limited = session.engine().options().context > 0;
  return concat("ended after ", out.tokens.size(), " new tokens: the sequence has ", session.position(), " tokens, as many as the ",
                limited ? "context was limited to (--context)" : "model was made for");
}

void run_run(RunArguments& arguments) {
  check_prompt_options(arguments);
  check_options(arguments.engine);
  std::vector<int64_t>& prompt = arguments.request.prompt;
  prompt = given_tokens(arguments);
  if (!arguments.logits.empty()) check_npy_path(arguments.logits);
  check_form(arguments.model, Expected::kModelFolder);
  std::optional<Tokenizer> tokenizer;
  if (arguments.prompt) {
    tokenizer.emplace(arguments.model);
    prompt = text_prompt(arguments, *tokenizer);
  }
  arguments.engine.all_logits = !arguments.logits.empty();
  check_tokens(prompt, read_config(arguments.model).vocab_size, concat(path_text(arguments.model), ": the prompt"));

  const Engine engine = open_engine(arguments.model, arguments.engine);
  Session session(engine);
  Output output(tokenizer);
  if (!arguments.json) arguments.request.on_token = [&output](int64_t token) { output.token(token); };
  const std::optional<int64_t> read_before = disk_bytes_read();
  const Generated out = generate(session, arguments.request);
  const std::optional<int64_t> read_after = disk_bytes_read();
  const int64_t from_disk = read_before && read_after ? *read_after - *read_before : 0;
  // Behind the tokens, which a full disk must not cost.
  const auto write_logits = [&] {
    std::cout.flush();
    if (!arguments.logits.empty()) write_npy(arguments.logits, out.prompt_logits, static_cast<int64_t>(prompt.size()), engine.vocabulary());
  };
  const double decode_rate = out.decoded > 0 ? static_cast<double>(out.decoded) / out.decode_seconds : 0.0;
  if (arguments.json) {
    nlohmann::ordered_json json;
    json["tokens"] = out.tokens;
    if (tokenizer) json["text"] = tokenizer->decode(out.tokens);
    json["prompt_tokens"] = prompt.size();
    json["finish_reason"] = out.stopped_at_eos ? "stop" : "length";
    json["program"] = program_name(engine.program());
    json["open_seconds"] = engine.open_seconds();
    json["prefill_seconds"] = out.prefill_seconds;
    json["decode_tokens_per_second"] = decode_rate;
    json["disk_bytes_read"] = from_disk;
    std::cout << json_text(json) << '\n';
    if (out.context_full) print_notice(full_notice(out, session));
    return write_logits();
  }
  output.finish();
  write_logits();
  if (out.context_full) print_notice(full_notice(out, session));
  print_notice(concat("opened in ", engine.open_seconds(), " s, ", prompt.size(), " prompt tokens in ", out.prefill_seconds, " s, ",
                      decode_rate, " tokens/s after that",
                      from_disk > 0 ? concat(", ", from_disk / 1000000, " MB read from disk meanwhile") : ""));
}

}  // namespace

void add_run_command(CommandLine& line) {
  Command command = line.command("run", "Run a prompt, text or token ids, through a model folder");
  const auto arguments = std::make_shared<RunArguments>();
  Request& request = arguments->request;
  command.option("model", arguments->model, "Model folder that `dsv4 convert` wrote").required();
  command.option("-p,--prompt", arguments->prompt, "Text prompt, a plain continuation without a chat format; prints text");
  command.flag("--no-bos", arguments->no_bos, "No beginning-of-sequence token in front of a text prompt that has none");
  command.option("--tokens", arguments->tokens, "Prompt as token ids: 1,2,3");
  command.option("--tokens-file", arguments->tokens_file,
                 "Prompt as token ids in a file, separated by commas or white space, or a JSON array");
  command.option("-n,--max-new-tokens", request.max_new_tokens, "Tokens to generate").shows_default().at_least(0);
  command.option("--temperature", request.sampler.temperature, "0: greedy").shows_default().number_from(0.0);
  command.option("--top-p", request.sampler.top_p, "Sample from the most likely tokens that together have this probability")
      .shows_default()
      .share();
  command.option("--seed", request.sampler.seed, "Of the sampling").shows_default().unsigned_64();
  command.flag("--ignore-eos", request.ignore_eos, "Go on after an end-of-sequence token");
  command.option("--logits", arguments->logits, "Write the logits of the prompt, float32 [S,V], to this .npy file");
  add_engine_options(command, arguments->engine);
  command
      .option("--context", arguments->engine.context,
              "Most tokens of the sequence, where a generation ends; 0: what the model was made for")
      .at_least(0);
  command.flag("--json", arguments->json, "Print one JSON object");
  command.runs([arguments] { run_run(*arguments); });
}

}  // namespace dsv4
