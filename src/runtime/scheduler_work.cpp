// The steps: what each holds, what comes of it, and how what has ended is told.
#include "runtime/scheduler_work.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "dsv4/error.h"
#include "runtime/available_memory.h"
#include "runtime/engine_model.h"
#include "runtime/errors.h"
#include "runtime/inner.h"
#include "runtime/weight_choice.h"

namespace dsv4 {

namespace {

/// Places at which prompts are cut, counted from the start of the sequence: what a row is computed with must not depend on load.
constexpr int64_t kPiece = 32;

double steady_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// What is available but for what experts from the drive have yet to fill; no less than is left free for a sequence then.
int64_t memory_for_caches(const Engine::Model& model) {
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  const auto available = static_cast<int64_t>(std::min(available_memory(), kMost));
  if (!model.experts) return available;
  return std::max(available - model.experts->cache().unfilled_bytes(), needs_beside_weights(model.config, model.options).sequence);
}

SchedulerOptions checked(SchedulerOptions options, const Engine::Model& model) {
  if (options.parallel < 1) fail("requests at once ", options.parallel, ": expected at least 1");
  if (options.prompt_steps < 1) fail("steps that pieces of prompts may take ", options.prompt_steps, ": expected at least 1");
  if (options.cache_bytes < 0) fail("memory for caches ", options.cache_bytes, ": expected a number of bytes, or 0 for what there is");
  if (options.cache_bytes == 0) options.cache_bytes = memory_for_caches(model);
  if (!options.clock) options.clock = steady_seconds;
  return options;
}

}  // namespace

Scheduler::Work::Work(const Engine& engine, SchedulerOptions options, Inbox& inbox)
    : engine_(engine), options_(checked(std::move(options), Inner::model(engine))), inbox_(inbox) {
  if (engine.program() == Program::kCpu) cache_.emplace(Inner::model(engine).cache);
}

bool Scheduler::Work::step() {
  ++steps_;
  bool worked = take_news();
  sweep();
  give_places();
  std::vector<Part> parts = plan();
  if (!parts.empty()) {
    worked = true;
    infer(parts);
    begin_texts();
  }
  sweep();
  int64_t running = std::ssize(texts_);
  for (const Prompts* const prompts : {&feeding_, &fed_}) {
    for (const std::shared_ptr<Prompt>& prompt : *prompts) running += std::ssize(prompt->texts);
  }
  inbox_.set_running(running);
  worked = worked || !ended_.empty();
  deliver();
  return worked;
}

std::vector<Scheduler::Work::Part> Scheduler::Work::plan() {
  std::vector<Part> parts;
  for (const TextPointer& text : texts_) {
    if (text->placed) parts.push_back({text.get(), nullptr, {}, text->continuation.last()});
  }
  const int64_t decoding = std::ssize(parts), most = engine_.prompt_chunk();
  const int64_t budget = decoding == 0 ? most : std::min(most, times_.prompt_tokens(decoding, options_.prompt_steps));
  if (budget > 0) add_prompts(budget, parts);
  return parts;
}

/// A piece in turn for each, those first that waited longest, until there is no time for another.
void Scheduler::Work::add_prompts(int64_t budget, std::vector<Part>& parts) {
  Prompts turn = feeding_;
  std::stable_sort(turn.begin(), turn.end(),
                   [this](const auto& a, const auto& b) { return rank(*a) != rank(*b) ? rank(*a) > rank(*b) : a->served < b->served; });
  std::vector<int64_t> planned(turn.size(), 0);
  int64_t all = 0;
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < turn.size(); ++i) {
      const int64_t piece = piece_of(*turn[i], planned[i]);
      if (piece == 0 || (all > 0 && all + piece > budget)) continue;
      planned[i] += piece;
      all += piece;
      more = true;
    }
  }
  for (size_t i = 0; i < turn.size(); ++i) {
    if (planned[i] == 0) continue;
    turn[i]->served = steps_;
    const auto tokens =
        std::span<const int64_t>(turn[i]->tokens).subspan(static_cast<size_t>(turn[i]->fed), static_cast<size_t>(planned[i]));
    parts.push_back({nullptr, turn[i], tokens, 0});
  }
}

/// Tokens of the next piece behind those that the step has already; 0: all of the prompt is fed, or may come in one step.
int64_t Scheduler::Work::piece_of(const Prompt& prompt, int64_t planned) const {
  const int64_t rest = std::ssize(prompt.tokens) - prompt.fed - planned;
  if (engine_.program() == Program::kCpu) return std::min(rest, kPiece - (prompt.session->position() + planned) % kPiece);
  // OpenVINO's own operations round by the shape of a call: so the calls are those that generate() makes.
  if (planned > 0) return 0;
  return engine_.stateful() ? std::min(rest, engine_.prompt_chunk()) : rest;
}

void Scheduler::Work::infer(std::vector<Part>& parts) {
  std::vector<Step> steps;
  StepReport report;
  for (const Part& part : parts) {
    steps.push_back(part.step());
    (part.text != nullptr ? report.decoded : report.prompt_tokens) += std::ssize(steps.back().tokens);
  }
  const double start = now();
  std::vector<std::vector<float>> logits;
  const std::optional<std::string> failure = failure_of([&] { logits = engine_.step(steps); });
  if (failure) {
    // Of which part it is nobody knows, and the states of all may be lost.
    for (Part& part : parts) infer_alone(part);
    return;
  }
  if (options_.on_step) options_.on_step(report);
  times_.add(report, now() - start);
  for (size_t i = 0; i < parts.size(); ++i) go_on(parts[i], std::move(logits[i]));
}

/// Brings a sequence back by feeding it again, without the others.
void Scheduler::Work::infer_alone(Part& part) {
  Session& session = part.session();
  std::vector<std::vector<float>> logits;
  const std::optional<std::string> failure = failure_of([&] {
    session.truncate(session.position());
    const Step step = part.step();
    logits = engine_.step(std::span(&step, 1));
  });
  if (!failure) return go_on(part, std::move(logits.front()));
  if (part.text != nullptr) {
    part.text->fails(*failure);
    part.text->lost = true;
  } else {
    part.prompt->lost = true;
    end_all(*part.prompt, End::kFailed, *failure);
    feeding_.erase(std::find(feeding_.begin(), feeding_.end(), part.prompt));
  }
}

void Scheduler::Work::go_on(Part& part, std::vector<float> logits) {
  if (part.text != nullptr) {
    Text& text = *part.text;
    ++text.continuation.generated().decoded;
    const std::optional<std::string> failure = failure_of([&] {
      if (!text.continuation.choose(logits, *text.session)) text.end = End::kFinished;
    });
    if (failure) text.fails(*failure);
    return;
  }
  Prompt& prompt = *part.prompt;
  prompt.fed += std::ssize(part.tokens);
  if (prompt.fed < std::ssize(prompt.tokens)) return;
  prompt.logits = std::move(logits);
  prompt.finished = now();
  feeding_.erase(std::find(feeding_.begin(), feeding_.end(), part.prompt));
  fed_.push_back(part.prompt);
}

/// Takes the texts out that have ended.
void Scheduler::Work::sweep() {
  for (size_t i = 0; i < texts_.size();) {
    if (!texts_[i]->end) {
      ++i;
      continue;
    }
    TextPointer text = std::move(texts_[i]);
    texts_.erase(texts_.begin() + static_cast<std::ptrdiff_t>(i));
    const std::shared_ptr<Prompt> prompt = text->prompt;
    const End how = *text->end;
    const std::string error = text->error;
    end_text(std::move(text), *prompt, how, error);
    if (!prompt->texts.empty() && prompt->caches < 2) {
      ++prompt->caches;
    } else {
      reserved_ -= prompt->bytes;
    }
  }
}

void Scheduler::Work::end_all(Prompt& prompt, End end, const std::string& error) {
  while (!prompt.texts.empty()) {
    TextPointer text = std::move(prompt.texts.front());
    prompt.texts.erase(prompt.texts.begin());
    end_text(std::move(text), prompt, end, error);
  }
}

/// `text` is no longer among those of the prompt. The last one that ends before it has begun gives the prompt's caches back.
void Scheduler::Work::end_text(TextPointer text, Prompt& prompt, End end, const std::string& error) {
  Outcome outcome;
  outcome.end = end;
  outcome.error = error;
  outcome.prompt_tokens = std::ssize(prompt.tokens);
  outcome.cached_tokens = prompt.cached;
  const double time = now();
  const bool begun = text->prompt != nullptr, started = begun || prompt.caches > 0;
  outcome.waiting_seconds = (started ? prompt.started : time) - prompt.submitted;
  outcome.generated = std::move(text->continuation.generated());
  if (started) outcome.generated.prefill_seconds = (prompt.fed == std::ssize(prompt.tokens) ? prompt.finished : time) - prompt.started;
  if (begun) {
    outcome.generated.decode_seconds = time - text->began;
    if (prompt.keep_session && !text->lost) outcome.session = std::move(text->session);
  } else if (prompt.texts.empty()) {
    if (prompt.keep_session && !prompt.lost) outcome.session = std::move(prompt.session);
    prompt.session.reset();
    reserved_ -= prompt.caches * prompt.bytes;
    prompt.caches = 0;
  }
  ended_.push_back({text->id, std::move(outcome), prompt.on_end});
}

void Scheduler::Work::deliver() {
  while (!ended_.empty()) {
    Ended ended = std::move(ended_.front());
    ended_.pop_front();
    if (!ended.on_end) {
      inbox_.put(ended.id, std::move(ended.outcome));
      continue;
    }
    inbox_.forget(ended.id);
    ended.on_end(ended.id, std::move(ended.outcome));
  }
}

}  // namespace dsv4
