// dsv4 run: one prompt, text or token ids, greedy or sampled; many of them with --prompts (run_prompts.h).
#include <unistd.h>

#include <iostream>
#include <memory>
#include <optional>

#include "checkpoint/amounts.h"
#include "checkpoint/form.h"
#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/expert_lines.h"
#include "cli/messages.h"
#include "cli/number_text.h"
#include "cli/run_prompts.h"
#include "cli/sampling_options.h"
#include "cli/text_arguments.h"
#include "cli/token_arguments.h"
#include "dsv4/error.h"
#include "dsv4/request.h"
#include "runtime/check_tokens.h"
#include "runtime/disk_reads.h"
#include "runtime/engine_options.h"
#include "runtime/errors.h"
#include "runtime/npy.h"
#include "runtime/snapshot_file.h"
#include "text/text_until_stop.h"
#include "text/tokenizer.h"

namespace dsv4 {

namespace {

/// Each has a cache of its own.
constexpr int kMostParallel = 1024;

struct RunArguments {
  std::filesystem::path model;
  TextArguments text;
  std::string tokens;
  std::filesystem::path tokens_file, logits, save, restore, prompts, resume;
  int64_t parallel = 8;
  EngineOptions engine;
  Request request;
  SamplingArguments sampling;
  bool echo = false;
  bool quiet = false;
  bool json = false;

  bool ids_given() const { return !tokens.empty() || !tokens_file.empty(); }
};

void check_prompt_options(const RunArguments& arguments) {
  const int given = (arguments.text.text ? 1 : 0) + (arguments.text.file.empty() ? 0 : 1) + (arguments.tokens.empty() ? 0 : 1) +
                    (arguments.tokens_file.empty() ? 0 : 1);
  if (given > 1) throw UsageError("give the prompt with one of -p, -f, --tokens and --tokens-file");
  if (arguments.text.no_bos && arguments.ids_given()) throw UsageError("--no-bos: is for text prompts (-p, -f, standard input)");
  if (!arguments.sampling.stop.empty() && arguments.ids_given())
    throw UsageError("--stop: is for text prompts (-p, -f, standard input); with token ids use --stop-token");
  if (arguments.sampling.logprobs >= 0 && !arguments.json) throw UsageError("--logprobs: is for --json");
  if (arguments.echo && arguments.json) throw UsageError("--echo: is for text output, not for --json");
}

/// The prompt as text; nothing where it is given as ids.
std::optional<std::string> prompt_text(const RunArguments& arguments) {
  if (arguments.ids_given()) return std::nullopt;
  if (arguments.text.text) return arguments.text.text;
  if (!arguments.text.file.empty()) return without_last_newline(read_text(arguments.text.file));
  const std::optional<std::string> piped = piped_text();
  if (!piped || piped->empty()) {
    throw UsageError(
        concat("give the prompt with one of -p, -f, --tokens and --tokens-file, or pipe it in", piped ? "; standard input is empty" : ""));
  }
  return without_last_newline(*piped);
}

/// The ids that are given.
std::vector<int64_t> given_tokens(const RunArguments& arguments) {
  return arguments.tokens.empty() ? read_tokens_file(arguments.tokens_file) : tokens_of_option(arguments.tokens, "--tokens");
}

/// Takes what is generated as it comes, text up to a stop string, or ids where the prompt was ids, and prints it, unless it is kept for --json. On a terminal a
/// text has no control characters, which could do there what they want; anywhere else it is what was generated, byte for byte.
class Output {
 public:
  Output(const std::optional<Tokenizer>& tokenizer, const std::vector<std::string>& stop, bool prints)
      : terminal_(::isatty(STDOUT_FILENO) != 0), prints_(prints) {
    if (tokenizer) stream_.emplace(*tokenizer, stop);
  }

  /// The prompt, before what continues it.
  void echo(const std::optional<std::string>& text, const std::vector<int64_t>& prompt) {
    if (text) {
      print(*text);
      first_ = false;
    } else {
      for (const int64_t id : prompt) token(id);
    }
  }

  void token(int64_t token) {
    if (stream_) {
      print(stream_->push(token));
    } else if (prints_) {
      std::cout << (first_ ? "" : ",") << token << std::flush;
    }
    first_ = false;
  }

  void finish() {
    if (stream_) print(stream_->finish());
    if (prints_ && !first_) std::cout << '\n';
  }

  bool stopped() const { return stream_ && stream_->stopped(); }
  const std::string& text() const { return text_; }

 private:
  void print(const std::string& text) {
    if (prints_) {
      std::cout << (terminal_ ? escaped_lines(text) : text) << std::flush;
    } else {
      text_ += text;
    }
  }

  bool terminal_, prints_;
  std::optional<TextUntilStop> stream_;
  std::string text_;  // where it is not printed
  bool first_ = true;
};

nlohmann::ordered_json json_of(const TokenLogprob& one) { return {{"token", one.token}, {"logprob", one.logprob}}; }

nlohmann::ordered_json json_of(const std::vector<Logprobs>& all) {
  auto list = nlohmann::ordered_json::array();
  for (const Logprobs& of_token : all) {
    nlohmann::ordered_json entry = json_of(of_token.chosen);
    entry["top"] = nlohmann::ordered_json::array();
    for (const TokenLogprob& one : of_token.top) entry["top"].push_back(json_of(one));
    list.push_back(entry);
  }
  return list;
}

std::string full_notice(const Generated& out, const Session& session) {
  const bool limited = session.engine().options().context > 0;
  return concat("ended after ", out.tokens.size(), " new tokens: the sequence has ", session.position(), " tokens, as many as the ",
                limited ? "context was limited to (--context)" : "model was made for");
}

void print_json(const Engine& engine, const Generated& out, const std::optional<std::string>& text, size_t prompt, int64_t from_disk,
                const ExpertWatch& watch) {
  nlohmann::ordered_json json;
  json["tokens"] = out.tokens;
  if (text) json["text"] = *text;
  json["prompt_tokens"] = prompt;
  json["finish_reason"] = finish_reason(out);
  if (!out.logprobs.empty()) json["logprobs"] = json_of(out.logprobs);
  json["program"] = program_name(engine.program());
  json["open_seconds"] = engine.open_seconds();
  json["prefill_seconds"] = out.prefill_seconds;
  json["prefill_tokens_per_second"] = static_cast<double>(prompt) / out.prefill_seconds;
  json["decode_tokens_per_second"] = out.decoded > 0 ? static_cast<double>(out.decoded) / out.decode_seconds : 0.0;
  json["disk_bytes_read"] = from_disk;
  if (const std::optional<ExpertUse> use = watch.use(out, prompt)) {
    json["experts"] = experts_json(*use);
    json["experts"]["prompt_bytes_read"] = watch.prompt_bytes();
  }
  std::cout << json_text(json) << '\n';
}

std::string times_notice(const Engine& engine, const Generated& out, size_t prompt, int64_t from_disk) {
  std::string text =
      concat("opened in ", three_digits(engine.open_seconds()), " s, ", prompt, " prompt tokens in ", three_digits(out.prefill_seconds),
             " s, ", three_digits(static_cast<double>(prompt) / out.prefill_seconds), " tokens/s");
  if (out.decoded > 0) text += concat(", then ", three_digits(static_cast<double>(out.decoded) / out.decode_seconds), " tokens/s");
  if (from_disk > 0) text += concat(", ", byte_text(static_cast<uint64_t>(from_disk)), " read from disk meanwhile");
  return text;
}

void restore_from(const std::filesystem::path& file, Session& session, bool quiet) {
  const Snapshot snapshot = read_snapshot(file);
  in_file(file, [&] { session.restore(snapshot); });
  if (!quiet) print_notice(concat("goes on behind the ", session.position(), " tokens of ", path_text(file)));
}

/// Behind the last token too, which generate() does not feed.
void save_to(const std::filesystem::path& file, Session& session, const Generated& out) {
  if (!out.tokens.empty() && session.room() == 0) {
    fail("cannot write ", path_text(file), ": the sequence has no room for the last token; give a larger --context, or a smaller -n");
  }
  if (!out.tokens.empty()) session.feed(std::span(out.tokens).last(1));
  write_snapshot(session.save(), file);
}

void run_many(const RunArguments& arguments) {
  PromptsArguments many;
  many.model = arguments.model;
  many.prompts = arguments.prompts;
  many.resume = arguments.resume;
  many.parallel = arguments.parallel;
  many.engine = arguments.engine;
  many.defaults = arguments.request;
  many.stop = arguments.sampling.stop;
  many.no_bos = arguments.text.no_bos;
  many.quiet = arguments.quiet;
  run_prompts(many);
}

/// Options that only the one way of running has, or the other.
void check_ways(const Command& command, const RunArguments& arguments) {
  const bool many = command.given("--prompts");
  if (many && arguments.prompts.empty()) throw UsageError("--prompts: expected a file of JSON lines, or - for standard input");
  for (const char* const name : {"--prompt", "--file", "--tokens", "--tokens-file", "--echo", "--json", "--logits", "--logprobs",
                                 "--routes", "--save", "--restore"}) {
    if (many && command.given(name)) throw UsageError(concat(name, ": is for one prompt, not for --prompts"));
  }
  for (const char* const name : {"--parallel", "--resume"}) {
    if (!many && command.given(name)) throw UsageError(concat(name, ": is for --prompts"));
  }
}

void run_run(RunArguments& arguments) {
  if (!arguments.prompts.empty()) {
    check_options(arguments.engine);
    apply(arguments.sampling, arguments.request);
    return run_many(arguments);
  }
  check_prompt_options(arguments);
  check_options(arguments.engine);
  apply(arguments.sampling, arguments.request);
  std::vector<int64_t>& prompt = arguments.request.prompt;
  if (arguments.ids_given()) prompt = given_tokens(arguments);
  if (!arguments.logits.empty()) check_npy_path(arguments.logits);
  if (!arguments.save.empty()) check_snapshot_path(arguments.save);
  check_form(arguments.model, Expected::kModelFolder);
  const std::optional<std::string> text = prompt_text(arguments);
  std::optional<Tokenizer> tokenizer;
  if (text) {
    tokenizer.emplace(arguments.model);
    prompt = text_tokens(*tokenizer, *text, arguments.text.no_bos || !arguments.restore.empty());
    if (prompt.empty()) fail("-p: the prompt has no token; expected some text, or leave out --no-bos");
  }
  arguments.engine.all_logits = !arguments.logits.empty();

  const Engine engine = open_engine(arguments.model, arguments.engine, arguments.quiet);
  check_tokens(prompt, engine.vocab_size(), concat(path_text(arguments.model), ": the prompt"));
  Session session(engine);
  if (!arguments.restore.empty()) restore_from(arguments.restore, session, arguments.quiet);
  Output output(tokenizer, arguments.sampling.stop, !arguments.json);
  ExpertWatch watch(engine);
  arguments.request.on_token = [&](int64_t token) {
    watch.token_chosen();
    output.token(token);
  };
  arguments.request.ends_after = [&output](int64_t) { return output.stopped(); };
  if (arguments.echo) output.echo(text, prompt);
  const std::optional<int64_t> read_before = disk_bytes_read();
  const Generated out = generate(session, arguments.request);
  const std::optional<int64_t> read_after = disk_bytes_read();
  const int64_t from_disk = read_before && read_after ? *read_after - *read_before : 0;
  output.finish();
  if (arguments.json) print_json(engine, out, text ? std::optional(output.text()) : std::nullopt, prompt.size(), from_disk, watch);
  // Behind the tokens, which a full disk must not cost.
  std::cout.flush();
  if (!arguments.logits.empty()) write_npy(arguments.logits, out.prompt_logits, static_cast<int64_t>(prompt.size()), engine.vocab_size());
  save_expert_profile(engine);
  if (!arguments.save.empty()) save_to(arguments.save, session, out);
  if (arguments.quiet) return;
  if (out.context_full) print_notice(full_notice(out, session));
  if (arguments.json) return;
  print_notice(times_notice(engine, out, prompt.size(), from_disk));
  if (const std::optional<ExpertUse> use = watch.use(out, prompt.size())) print_notice("experts: " + experts_text(*use));
}

}  // namespace

void add_run_command(CommandLine& line) {
  Command command = line.command("run", "Run a prompt, text or token ids, through a model folder", "docs/cpu-program.md");
  const auto arguments = std::make_shared<RunArguments>();
  Request& request = arguments->request;
  command.model(arguments->model, "Model folder that `dsv4 convert` wrote");
  command.group("Prompt: one of these, or text from standard input");
  add_text_options(command, arguments->text, "Prompt as plain text, without a chat format");
  command.option("--tokens", arguments->tokens, "Prompt as token ids: 1,2,3").value("IDS");
  command
      .option("--tokens-file", arguments->tokens_file,
              "Prompt as token ids in a file: separated by commas or white space, a JSON array, or what --json prints")
      .value("FILE");
  command.group("Many prompts");
  command
      .option("--prompts", arguments->prompts,
              "JSON objects, one a line: {\"prompt\": TEXT} or {\"tokens\": IDS}; prints a JSON line for each. -: from standard "
              "input")
      .value("FILE");
  command.option("--parallel", arguments->parallel, "Most of them at once").shows_default().within(1, kMostParallel);
  command.option("--resume", arguments->resume, "Leave out what this file, the output of an earlier run, has without an error")
      .value("FILE");
  command.group("Generation");
  command.option("-n,--max-new-tokens", request.max_new_tokens, "Tokens to generate").shows_default().at_least(0);
  command.flag("--ignore-eos", request.ignore_eos, "Go on after an end-of-sequence token");
  command
      .option("-c,--context", arguments->engine.context,
              "Most tokens of the sequence, where a generation ends; 0: what the model was made for")
      .shows_default()
      .at_least(0);
  add_sampling_options(command, arguments->sampling);
  command.group("Output");
  command.flag("--echo", arguments->echo, "Print the prompt before its continuation");
  command.flag("-q,--quiet", arguments->quiet, "No notices and no times on standard error; errors stay");
  command.option("--logits", arguments->logits, "Write the logits of the prompt, float32 [S,V], to this .npy file").value("FILE");
  command.flag("--json", arguments->json, "Print one JSON object");
  command
      .option("--routes", arguments->engine.routes,
              "CPU program: write which experts every token was routed to, a line a token and layer, to this file")
      .value("FILE");
  command.option("--save", arguments->save, "Write the state behind the prompt and what was generated to this file").value("FILE");
  command
      .option("--restore", arguments->restore,
              "Go on from a state that --save wrote with the same folder and options: the prompt comes behind it, without a "
              "beginning-of-sequence token")
      .value("FILE");
  command
      .option("--logprobs", arguments->sampling.logprobs,
              concat("With --json: log-probabilities of each new token and of N most likely ones, 0 to ", kMostLogprobs))
      .within(0, static_cast<int>(kMostLogprobs));
  add_engine_options(command, arguments->engine);
  command.runs([arguments, command] {
    check_ways(command, *arguments);
    run_run(*arguments);
  });
}

}  // namespace dsv4
