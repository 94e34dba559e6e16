// dsv4 serve: a model folder over HTTP, for what speaks OpenAI's API.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "checkpoint/amounts.h"
#include "checkpoint/form.h"
#include "checkpoint/quote.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/messages.h"
#include "cli/number_text.h"
#include "convert/inspect_folder.h"
#include "dsv4/error.h"
#include "dsv4/scheduler.h"
#include "runtime/available_memory.h"
#include "runtime/engine_options.h"
#include "runtime/errors.h"
#include "runtime/expert_report.h"
#include "runtime/prefix_store.h"
#include "server/api_error.h"
#include "server/http_server.h"
#include "server/openai_service.h"

namespace dsv4 {

namespace {

constexpr int kWorkers = 2;  // read bodies and tokenise
constexpr int64_t kMegabyte = 1 << 20;

struct ServeArguments {
  std::filesystem::path model, key_file;
  EngineOptions engine;
  SchedulerOptions scheduler;
  ServiceOptions service;
  std::string host = "127.0.0.1", alias, cors;
  std::vector<std::string> keys;
  int port = 8080;
  int64_t cache_megabytes = -1;
  int64_t body_megabytes = 16;
  bool quiet = false;
};

void set_effort(ReasoningEffort& effort, const std::string& word) {
  if (word != "low" && word != "high" && word != "max") throw UsageError(concat("--effort ", excerpt(word), ": expected low, high or max"));
  effort = word == "low" ? ReasoningEffort::kLow : word == "high" ? ReasoningEffort::kHigh : ReasoningEffort::kMax;
}

ApiKeys keys_of(const ServeArguments& arguments) {
  std::vector<std::string> keys = arguments.keys;
  for (const std::string& key : keys) {
    if (key.empty()) throw UsageError("--api-key: empty, expected a key");
  }
  if (!arguments.key_file.empty()) {
    for (std::string& key : read_key_file(arguments.key_file)) keys.push_back(std::move(key));
  }
  return ApiKeys(std::move(keys));
}

int64_t cache_bytes(const ServeArguments& arguments) {
  if (arguments.cache_megabytes >= 0) return arguments.cache_megabytes * kMegabyte;
  return static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE) / 8;
}

/// As many as the system lets this process have open files for, beside connections and the model: a sequence has two or three.
int64_t kept_sequences() {
  constexpr int64_t kOthers = 700, kOfOne = 4, kMost = 100000;
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const auto files = static_cast<int64_t>(std::min<rlim_t>(limit.rlim_cur, kOthers + kOfOne * kMost));
  return std::max<int64_t>((files - kOthers) / kOfOne, 1);
}

std::string name_of_model(const ServeArguments& arguments) {
  if (!arguments.alias.empty()) return arguments.alias;
  return std::filesystem::absolute(arguments.model).lexically_normal().filename().string();
}

std::string log_line(const HttpLogEntry& entry) {
  const std::string what = entry.method.empty() ? "no request" : entry.method + " " + entry.path;
  const std::string status = entry.status == 0 ? "no answer" : std::to_string(entry.status);
  return concat("request ", entry.id, ": ", what, ": ", status, entry.gone ? ", the client has gone" : "", ", ",
                three_digits(entry.seconds), " s");
}

/// Errors where texts of a context that was asked for cannot all be there; returns what they take, for the user.
std::string context_cost(const Scheduler& scheduler, const Engine& engine, int64_t parallel) {
  const int64_t one = scheduler.sequence_bytes(engine.context());
  const auto text = [](int64_t bytes) { return byte_text(static_cast<uint64_t>(bytes)); };
  if (one == 0) return concat(engine.context(), " tokens of context");
  const std::string cost =
      concat("a text of ", engine.context(), " tokens takes ", text(one), ", ", parallel, " take ", text(parallel * one));
  if (engine.options().context > 0 && parallel * one > scheduler.cache_bytes()) {
    fail("--context ", engine.context(), ": ", cost, ", and there are ", text(scheduler.cache_bytes()),
         "; give a smaller --context, --parallel or --cache-ram");
  }
  return cost + concat(" of ", text(scheduler.cache_bytes()));
}

/// What the machine has left beside the states that are kept; 0, the scheduler's own measure, where experts have a share of it.
int64_t bytes_for_texts(const ServeArguments& arguments) {
  if (arguments.engine.weights == WeightMemory::kStream) return 0;
  const auto available = static_cast<int64_t>(available_memory());
  return std::max(available - cache_bytes(arguments), available / 8);
}

/// What goes wrong in a step of one request must not end the others'.
void run_scheduler(Scheduler& scheduler, const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    try {
      scheduler.run(stop);
    } catch (const std::exception& error) {
      print_notice(error_text(error));
    }
  }
}

void run_serve(ServeArguments& arguments) {
  check_options(arguments.engine);
  check_form(arguments.model, Expected::kModelFolder);
  arguments.service.keys = keys_of(arguments);
  arguments.service.version = DSV4_VERSION;
  const Engine engine = open_engine(arguments.model, arguments.engine, arguments.quiet);
  if (!engine.stateful() || engine.static_length() > 0) {
    fail(path_text(arguments.model),
         ": a model without a state computes the whole sequence for each token; convert without --disable-stateful to serve it");
  }
  const ServedModel model(arguments.model, engine, name_of_model(arguments), stated_release(arguments.model));
  arguments.scheduler.cache_bytes = bytes_for_texts(arguments);
  Scheduler scheduler(engine, arguments.scheduler);
  const std::string cost = context_cost(scheduler, engine, arguments.scheduler.parallel);
  PrefixStore store(cache_bytes(arguments), kept_sequences());
  Metrics metrics;
  OpenAiService service(model, scheduler, store, metrics, arguments.service);
  Workers workers(kWorkers);
  HttpRouter router({openai_refusal, openai_error}, workers);
  service.add_to(router);
  HttpServerOptions options;
  options.host = arguments.host;
  options.port = arguments.port;
  options.limits.body = static_cast<size_t>(arguments.body_megabytes * kMegabyte);
  options.cors = arguments.cors;
  options.stop_on_signals = true;
  options.refusal = openai_refusal;
  options.log = [&](const HttpLogEntry& entry) {
    metrics.count_request(service.path_label(entry.path), entry.status);
    if (!arguments.quiet) print_notice(log_line(entry));
  };
  HttpServer server(
      options, [&router](HttpRequest request, std::shared_ptr<HttpReply> reply) { router.answer(std::move(request), std::move(reply)); });
  const std::jthread steps([&scheduler](const std::stop_token& stop) { run_scheduler(scheduler, stop); });
  if (!arguments.quiet) {
    print_notice(concat(quote(model.name()), ": ", cost, "; states of earlier prompts take up to ",
                        byte_text(static_cast<uint64_t>(cache_bytes(arguments)))));
  }
  print_notice(concat("listens on http://", arguments.host, ":", server.port()));
  server.run();
  save_expert_profile(engine);
}

}  // namespace

void add_serve_command(CommandLine& line) {
  Command command = line.command("serve", "Serve a model folder over HTTP, with OpenAI's API", "docs/server.md");
  const auto arguments = std::make_shared<ServeArguments>();
  command.model(arguments->model, "Model folder that `dsv4 convert` wrote");
  command.group("Server");
  command.option("--host", arguments->host, "Address to listen on; 0.0.0.0: all of this machine").shows_default().value("ADDRESS");
  command.option("--port", arguments->port, "Port to listen on; 0: one that is free").shows_default().within(0, 65535);
  command.option("--api-key", arguments->keys, "Answer only who sends this key; may be repeated").value("KEY");
  command.option("--api-key-file", arguments->key_file, "The same with a key a line of a file").value("FILE");
  command.option("--alias", arguments->alias, "Name of the model in answers; without it that of the folder").value("NAME");
  command.option("--cors", arguments->cors, "Let pages of this origin read answers; *: of all").value("ORIGIN");
  command.option("--max-body", arguments->body_megabytes, "Most megabytes of a request").shows_default().within(1, 1024);
  command.flag("-q,--quiet", arguments->quiet, "No line for each request");
  command.group("Generation");
  command.option("-c,--context", arguments->engine.context, "Most tokens of a prompt and its answer; 0: what the model was made for")
      .shows_default()
      .at_least(0);
  command
      .option("--max-tokens", arguments->service.max_tokens, "Tokens of an answer where a request does not say; 0: what the context leaves")
      .shows_default()
      .at_least(0);
  command.option("--parallel", arguments->scheduler.parallel, "Texts that are generated at once; more wait")
      .shows_default()
      .within(1, 1024);
  command.option("--max-waiting", arguments->service.max_waiting, "Requests that may wait; more are refused with status 429")
      .shows_default()
      .at_least(1);
  command
      .option("--cache-ram", arguments->cache_megabytes,
              "Most megabytes of states of earlier prompts; -1: an eighth of the machine's memory")
      .shows_default()
      .at_least(-1);
  command
      .word(
          "--effort", [arguments](const std::string& word) { set_effort(arguments->service.effort, word); }, "low",
          "How hard the model thinks where a request does not say")
      .choices({"low", "high", "max"});
  add_engine_options(command, arguments->engine);
  command.runs([arguments] { run_serve(*arguments); });
}

}  // namespace dsv4
