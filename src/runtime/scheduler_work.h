// The work of a scheduler: jobs in the line, prompts that are being fed, texts that go on, and the steps that take all of them on.
//
// Of a job the Prompt is fed once. When it is, its texts begin, as many as there are places: the last takes the session over, the others go on from forks.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dsv4/scheduler.h"
#include "dsv4/step.h"
#include "ops/attention/cache.h"
#include "runtime/continuation.h"
#include "runtime/scheduler_inbox.h"
#include "runtime/step_times.h"

namespace dsv4 {

class Scheduler::Work {
 public:
  Work(const Engine& engine, SchedulerOptions options, Inbox& inbox);

  /// From any thread: Error for a job that cannot be done whatever else there is.
  void check(const Job& job) const;
  double now() const { return options_.clock(); }
  int64_t sequence_bytes(int64_t tokens) const;
  int64_t cache_bytes() const { return options_.cache_bytes; }

  bool step();

 private:
  struct Prompt;
  struct Text;
  struct Part;  // of a step
  using Prompts = std::vector<std::shared_ptr<Prompt>>;
  using TextPointer = std::unique_ptr<Text>;

  // scheduler_line.cpp: who gets a place and a cache.
  bool take_news();
  void take_in(Inbox::Submitted submitted);
  void carry_out(uint64_t id, Inbox::Wish wish);
  void give_places();
  bool begin_text(const std::shared_ptr<Prompt>& prompt, size_t index);
  void begin_texts();
  bool begin_prompt(const std::shared_ptr<Prompt>& prompt);
  int64_t free_places() const;
  int64_t bytes_of(const Job& job) const;
  int64_t rank(const Prompt& prompt) const;

  // scheduler_work.cpp: what a step holds, and what comes of it.
  std::vector<Part> plan();
  void add_prompts(int64_t budget, std::vector<Part>& parts);
  int64_t piece_of(const Prompt& prompt, int64_t planned) const;
  void infer(std::vector<Part>& parts);
  void infer_alone(Part& part);
  void go_on(Part& part, std::vector<float> logits);
  void sweep();
  void end_all(Prompt& prompt, End end, const std::string& error);
  void end_text(TextPointer text, Prompt& prompt, End end, const std::string& error);
  void deliver();

  Engine engine_;
  SchedulerOptions options_;
  Inbox& inbox_;
  std::optional<ops::CacheLayout> cache_;  // of the CPU program
  StepTimes times_;
  int64_t steps_ = 0;
  int64_t reserved_ = 0;  // bytes of caches that may still grow to that

  Prompts line_;     // in the order in which they came
  Prompts feeding_;  // have a place
  Prompts fed_;      // with texts that have not begun
  std::vector<TextPointer> texts_;

  struct Ended {
    uint64_t id;
    Outcome outcome;
    std::function<void(uint64_t, Outcome)> on_end;
  };
  std::deque<Ended> ended_;  // not yet told
};

/// A job's prompt and those of its texts that have not begun.
struct Scheduler::Work::Prompt {
  std::vector<int64_t> tokens;
  int priority = 0;
  bool keep_session = false;
  std::function<void(uint64_t, Outcome)> on_end;
  std::vector<TextPointer> texts;
  std::optional<Session> session;
  bool lost = false;  // the session
  int64_t cached = 0;
  int64_t fed = 0;
  std::vector<float> logits;  // [V] behind all of it
  int64_t bytes = 0;          // of one sequence
  int64_t caches = 0;         // so many of them are reserved for it, beside those of the texts that have begun
  double submitted = 0.0, started = 0.0, finished = 0.0;
  int64_t served = 0;  // the step that it came at, or had its last piece in
};

struct Scheduler::Work::Text {
  Text(uint64_t number, const Engine& engine, Request what, std::span<const int64_t> of_prompt)
      : id(number), request(std::move(what)), continuation(engine, request, of_prompt) {}

  uint64_t id;
  Request request;
  Continuation continuation;
  // Once it has begun:
  std::shared_ptr<Prompt> prompt;
  std::optional<Session> session;
  bool lost = false;
  bool paused = false;
  bool placed = false;
  double began = 0.0;
  std::optional<End> end;  // to be swept
  std::string error;

  void fails(const std::string& why) {
    end = End::kFailed;
    error = why;
  }
};

struct Scheduler::Work::Part {
  Text* text = nullptr;  // or
  std::shared_ptr<Prompt> prompt;
  std::span<const int64_t> tokens;
  int64_t token = 0;  // of a text

  Session& session() const { return text != nullptr ? *text->session : *prompt->session; }
  bool last() const { return text != nullptr || prompt->fed + std::ssize(tokens) == std::ssize(prompt->tokens); }
  Step step() const { return {session(), text != nullptr ? std::span(&token, 1) : tokens, last() ? StepLogits::kLast : StepLogits::kNone}; }
};

}  // namespace dsv4
