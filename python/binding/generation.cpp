// Generating: a text token by token, as Python asks for them; and many texts at once.
#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <span>

#include "binding.h"
#include "checkpoint/json_text.h"
#include "cli/command_line.h"
#include "cli/sampling_options.h"
#include "cli/version.h"
#include "dsv4/request.h"
#include "dsv4/scheduler.h"
#include "dsv4/session.h"
#include "runtime/check_tokens.h"
#include "runtime/continuation.h"
#include "text/text_until_stop.h"

namespace dsv4::python {

namespace {

struct GenerationOptions {
  Request request;  // without a prompt
  std::vector<std::string> stop;
};

GenerationOptions read_options(const char* const* words, int64_t count, const Tokenizer* tokenizer) {
  GenerationOptions options;
  SamplingArguments sampling;
  CommandLine line("", "dsv4", version_text);
  Command command = line.command("run", "", "");  // which has these options, and more
  add_sampling_options(command, sampling);
  command.option("--max-new-tokens", options.request.max_new_tokens, "").at_least(0);
  command.flag("--ignore-eos", options.request.ignore_eos, "");
  command.option("--logprobs", sampling.logprobs, "").within(0, static_cast<int>(kMostLogprobs));
  Arguments arguments("run", words, count);
  line.run(arguments.count(), arguments.words());
  apply(sampling, options.request);
  if (!sampling.stop.empty() && tokenizer == nullptr)
    throw UsageError("--stop: the model folder has no tokenizer; end texts with stop_token, or convert with a tokenizer");
  options.stop = sampling.stop;
  return options;
}

/// Has `request` collect its text in `text`, up to a stop string.
void collect_text(Request& request, std::optional<TextUntilStop>& stream, std::string& text) {
  if (!stream) return;
  request.on_token = [&](int64_t token) { text += stream->push(token); };
  request.ends_after = [&](int64_t) { return stream->stopped(); };
}

}  // namespace

/// A token and what came with it, as Python reads it.
struct Token {
  int64_t token;  ///< -1: none, and the text is over
  double logprob;
  int64_t top_count;
  int64_t top[kMostLogprobs];
  double top_logprobs[kMostLogprobs];
  const char* text;  ///< that is certain now, until the next call
  int64_t text_bytes;
  int over;                   ///< no token follows
  const char* finish_reason;  ///< where it is over
};

/// As generate() does it, but that Python asks for each token, and may do something else between two of them.
class Generation {
 public:
  Generation(Session& session, const Tokenizer* tokenizer, std::span<const int64_t> prompt, GenerationOptions options)
      : session_(session), request_(std::move(options.request)), position_(session.position()) {
    check_tokens(prompt, session.engine().vocab_size(), "the prompt");
    request_.prompt.assign(prompt.begin(), prompt.end());
    if (tokenizer) stream_.emplace(*tokenizer, options.stop);
    collect_text(request_, stream_, piece_);
    text_.emplace(session.engine(), request_, request_.prompt);
  }
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  void next(const Stop* stop, Token& out) {
    if (session_.position() != position_)
      fail("the session has gone from ", position_, " to ", session_.position(), " tokens since the last one of this text; generate anew");
    out = Token();
    out.token = -1;
    piece_.clear();
    bool more = !over_ && feed(stop);
    if (more) {
      const auto vocab = static_cast<size_t>(session_.engine().vocab_size());
      more = text_->choose(std::span<const float>(logits_).last(vocab), session_);
      out.token = text_->last();
      if (request_.logprobs) give_logprobs(text_->generated().logprobs.back(), out);
    }
    over_ = !more;
    if (over_ && stream_) piece_ += stream_->finish();
    out.text = piece_.data();
    out.text_bytes = std::ssize(piece_);
    out.over = over_ ? 1 : 0;
    out.finish_reason = finish_reason(text_->generated());
  }

 private:
  /// What comes next: what is left of the prompt, then the last token. False where no token is asked for behind it.
  bool feed(const Stop* stop) {
    FeedOptions options;
    options.chunk = session_.engine().prompt_chunk();
    if (stop) options.cancel = stop->source.get_token();
    const auto prompt = std::span<const int64_t>(request_.prompt);
    const int64_t before = session_.position();
    try {
      const int64_t last = fed_ < prompt.size() ? 0 : text_->last();
      logits_ = session_.feed(fed_ < prompt.size() ? prompt.subspan(fed_) : std::span(&last, 1), options);
    } catch (...) {  // cancelled, it may go on from there
      position_ = session_.position();
      fed_ += fed_ < prompt.size() ? static_cast<size_t>(std::max<int64_t>(position_ - before, 0)) : 0;
      throw;
    }
    fed_ = prompt.size();
    position_ = session_.position();
    return request_.max_new_tokens > 0;
  }

  static void give_logprobs(const Logprobs& from, Token& out) {
    out.logprob = from.chosen.logprob;
    for (const TokenLogprob& one : from.top) {
      out.top[out.top_count] = one.token;
      out.top_logprobs[out.top_count++] = one.logprob;
    }
  }

  Session& session_;
  Request request_;
  std::optional<TextUntilStop> stream_;
  std::string piece_;
  std::optional<Continuation> text_;
  size_t fed_ = 0;  // of the prompt
  std::vector<float> logits_;
  int64_t position_;
  bool over_ = false;
};

namespace {

struct BatchText {
  std::optional<TextUntilStop> stream;
  std::string text;
  uint64_t id = 0;
};

nlohmann::ordered_json json_of(const TokenLogprob& one) { return {{"token", one.token}, {"logprob", one.logprob}}; }

nlohmann::ordered_json json_of(const dsv4::Outcome& outcome) {
  if (outcome.end != End::kFinished) return {{"error", outcome.end == End::kFailed ? outcome.error : "cancelled"}};
  nlohmann::ordered_json json = {{"tokens", outcome.generated.tokens}, {"finish_reason", finish_reason(outcome.generated)}};
  json["logprobs"] = nlohmann::ordered_json::array();
  for (const Logprobs& of_token : outcome.generated.logprobs) {
    nlohmann::ordered_json entry = json_of(of_token.chosen);
    entry["top"] = nlohmann::ordered_json::array();
    for (const TokenLogprob& one : of_token.top) entry["top"].push_back(json_of(one));
    json["logprobs"].push_back(std::move(entry));
  }
  return json;
}

/// All prompts by one scheduler; an array of what came of each, in their order.
std::string batch(const Engine& engine, const Tokenizer* tokenizer, std::span<const std::span<const int64_t>> prompts,
                  const GenerationOptions& options, int64_t parallel, const Stop& stop) {
  std::vector<BatchText> texts(prompts.size());  // before the scheduler: its requests point into them
  Scheduler scheduler(engine, {.parallel = parallel});
  for (size_t i = 0; i < prompts.size(); ++i) {
    Request request = options.request;
    request.prompt.assign(prompts[i].begin(), prompts[i].end());
    if (tokenizer) texts[i].stream.emplace(*tokenizer, options.stop);
    collect_text(request, texts[i].stream, texts[i].text);
    Job job;
    job.requests.push_back(std::move(request));
    try {
      texts[i].id = scheduler.submit(std::move(job)).front();
    } catch (const Error& error) {
      fail("prompt ", i, ": ", error.what());
    }
  }
  while (scheduler.step()) {
    if (stop.flag) throw Cancelled("cancelled; what was generated is lost", 0);
  }
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (BatchText& text : texts) {
    nlohmann::ordered_json json = json_of(scheduler.wait(text.id));
    if (text.stream) json["text"] = text.text + text.stream->finish();
    all.push_back(std::move(json));
  }
  return json_text(all);
}

}  // namespace

}  // namespace dsv4::python

using namespace dsv4::python;
using dsv4::Engine;
using dsv4::Session;
using dsv4::Tokenizer;

/// `tokenizer` may be null: ids alone.
DSV4_PYTHON int dsv4_generation_new(Session* session, const Tokenizer* tokenizer, const int64_t* prompt, int64_t count,
                                    const char* const* words, int64_t word_count, Generation** generation) {
  return guarded([&] {
    *generation = new Generation(*session, tokenizer, {prompt, static_cast<size_t>(count)}, read_options(words, word_count, tokenizer));
  });
}
DSV4_PYTHON int dsv4_generation_next(Generation* generation, const Stop* stop, Token* token) {
  return guarded([&] { generation->next(stop, *token); });
}
DSV4_PYTHON void dsv4_generation_close(Generation* generation) { delete generation; }

/// `ids`: those of all prompts, one behind the other; `counts`: how many each has. `json`: until the thread's next call.
DSV4_PYTHON int dsv4_batch(const Engine* engine, const Tokenizer* tokenizer, const int64_t* ids, const int64_t* counts, int64_t prompts,
                           const char* const* words, int64_t word_count, int64_t parallel, const Stop* stop, const char** json) {
  return guarded([&] {
    std::vector<std::span<const int64_t>> all;
    for (int64_t i = 0; i < prompts; ++i) {
      all.emplace_back(ids, static_cast<size_t>(counts[i]));
      ids += counts[i];
    }
    *json = handed_out(batch(*engine, tokenizer, all, read_options(words, word_count, tokenizer), parallel, *stop));
  });
}
