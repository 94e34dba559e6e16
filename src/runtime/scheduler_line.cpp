// Who comes next: jobs in the line, places, and memory for caches.
#include <algorithm>
#include <iterator>

#include "checkpoint/amounts.h"
#include "dsv4/error.h"
#include "runtime/available_memory.h"
#include "runtime/check_tokens.h"
#include "runtime/engine_model.h"
#include "runtime/errors.h"
#include "runtime/inner.h"
#include "runtime/scheduler_work.h"

namespace dsv4 {

namespace {

/// Steps after which who waits goes up by one priority.
constexpr int64_t kStepsAPriority = 100;

/// Caches that a job has for its own, so that it gets to its end whatever others do: the prompt's, which the last text takes over, and a fork's.
int64_t least_caches(size_t texts) { return texts > 1 ? 2 : 1; }

template <class List, class Value>
void take_out(List& list, const Value& value) {
  list.erase(std::find(list.begin(), list.end(), value));
}

}  // namespace

int64_t Scheduler::Work::sequence_bytes(int64_t tokens) const {
  if (!cache_) return 0;
  int64_t bytes = 0;
  for (const auto& range : cache_->used(tokens)) bytes += range.end - range.begin;
  return bytes;
}

int64_t Scheduler::Work::bytes_of(const Job& job) const {
  int64_t longest = 0;
  for (const Request& request : job.requests) longest = std::max(longest, request.max_new_tokens);
  const int64_t before = (job.session ? job.session->position() : 0) + std::ssize(job.requests.front().prompt);
  return sequence_bytes(before + std::min(longest, engine_.context() - before));
}

void Scheduler::Work::check(const Job& job) const {
  if (job.requests.empty()) fail("a job without a request");
  const Request& first = job.requests.front();
  check_tokens(first.prompt, engine_.vocab_size(), "the prompt");
  for (const Request& request : job.requests) {
    check_request(engine_, request);
    if (&request != &first && !request.prompt.empty()) fail("a job has one prompt, that of its first request; found another one");
  }
  if (job.session && &Inner::model(job.session->engine()) != &Inner::model(engine_)) fail("the session of a job is one of another engine");
  const int64_t room = job.session ? job.session->room() : engine_.context(), length = std::ssize(first.prompt);
  if (length > room) {
    fail("the prompt has ", length, " tokens and the sequence room for ", room, " (", engine_.context(), " in all); shorten it",
         engine_.options().context > 0 ? ", or give a larger context" : "");
  }
  const int64_t needed = bytes_of(job) * least_caches(job.requests.size());
  if (needed > options_.cache_bytes) {
    fail("prompt and new tokens need ", byte_text(static_cast<uint64_t>(needed)), " of cache, and ",
         byte_text(static_cast<uint64_t>(options_.cache_bytes)), " is all that caches may take; ask for fewer tokens");
  }
}

bool Scheduler::Work::take_news() {
  Inbox::News news = inbox_.take();
  for (Inbox::Submitted& submitted : news.jobs) take_in(std::move(submitted));
  for (const auto& [id, wish] : news.wishes) carry_out(id, wish);
  return !news.jobs.empty() || !news.wishes.empty();
}

void Scheduler::Work::take_in(Inbox::Submitted submitted) {
  Job& job = submitted.job;
  const auto prompt = std::make_shared<Prompt>();
  prompt->bytes = bytes_of(job);
  prompt->tokens = std::move(job.requests.front().prompt);
  prompt->priority = job.priority;
  prompt->keep_session = job.keep_session;
  prompt->on_end = std::move(job.on_end);
  if (job.session) {
    prompt->session.emplace(std::move(*job.session));
    prompt->cached = prompt->session->position();
  }
  prompt->submitted = submitted.at;
  prompt->served = steps_;
  for (size_t i = 0; i < job.requests.size(); ++i) {
    prompt->texts.push_back(std::make_unique<Text>(submitted.ids[i], engine_, std::move(job.requests[i]), prompt->tokens));
  }
  line_.push_back(prompt);
}

void Scheduler::Work::carry_out(uint64_t id, Inbox::Wish wish) {
  const auto is_it = [id](const TextPointer& text) { return text->id == id; };
  if (const auto at = std::find_if(texts_.begin(), texts_.end(), is_it); at != texts_.end()) {
    if (wish == Inbox::Wish::kCancel) {
      (*at)->end = End::kCancelled;
    } else {
      (*at)->paused = wish == Inbox::Wish::kPause;
      if ((*at)->paused) (*at)->placed = false;
    }
    return;
  }
  for (Prompts* const prompts : {&line_, &feeding_, &fed_}) {
    for (const std::shared_ptr<Prompt>& prompt : *prompts) {
      const auto at = std::find_if(prompt->texts.begin(), prompt->texts.end(), is_it);
      if (at == prompt->texts.end()) continue;
      if (wish != Inbox::Wish::kCancel) {
        (*at)->paused = wish == Inbox::Wish::kPause;
        return;
      }
      TextPointer text = std::move(*at);
      prompt->texts.erase(at);
      const std::shared_ptr<Prompt> of = prompt;
      end_text(std::move(text), *of, End::kCancelled, "");
      if (of->texts.empty()) take_out(*prompts, of);
      return;
    }
  }
}

int64_t Scheduler::Work::free_places() const {
  const auto placed = std::count_if(texts_.begin(), texts_.end(), [](const TextPointer& text) { return text->placed; });
  return options_.parallel - placed - std::ssize(feeding_);
}

int64_t Scheduler::Work::rank(const Prompt& prompt) const { return prompt.priority + (steps_ - prompt.served) / kStepsAPriority; }

void Scheduler::Work::give_places() {
  for (const TextPointer& text : texts_) {
    if (!text->placed && !text->paused && free_places() > 0) text->placed = true;
  }
  begin_texts();
  while (!line_.empty() && free_places() > 0) {
    const auto next = std::max_element(line_.begin(), line_.end(), [this](const auto& a, const auto& b) { return rank(*a) < rank(*b); });
    // Nobody goes past one that waits for memory: smaller ones would keep it waiting for ever.
    const std::shared_ptr<Prompt> prompt = *next;
    if (!begin_prompt(prompt)) break;
    line_.erase(next);
  }
}

bool Scheduler::Work::begin_prompt(const std::shared_ptr<Prompt>& prompt) {
  const int64_t caches = least_caches(prompt->texts.size());
  if (reserved_ + caches * prompt->bytes > options_.cache_bytes) return false;
  reserved_ += caches * prompt->bytes;
  prompt->caches = caches;
  prompt->started = now();
  prompt->served = steps_;
  const std::optional<std::string> failure = failure_of([&] {
    if (!prompt->session) prompt->session.emplace(engine_);
    // What was in it before has to come back from there after an inference that failed.
    if (prompt->cached > 0) prompt->session->keep(std::ssize(prompt->session->kept()) + 1);
  });
  if (failure) {
    end_all(*prompt, End::kFailed, *failure);
  } else {
    feeding_.push_back(prompt);
  }
  return true;
}

void Scheduler::Work::begin_texts() {
  for (size_t i = 0; i < fed_.size();) {
    const std::shared_ptr<Prompt> prompt = fed_[i];
    size_t next = 0;
    while (next < prompt->texts.size()) {
      const bool waits = prompt->texts[next]->paused || free_places() <= 0 || !begin_text(prompt, next);
      if (waits) ++next;
    }
    if (prompt->texts.empty()) {
      fed_.erase(fed_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

bool Scheduler::Work::begin_text(const std::shared_ptr<Prompt>& prompt, size_t index) {
  const bool last = prompt->texts.size() == 1;
  if (!last && prompt->caches < 2) {
    if (reserved_ + prompt->bytes > options_.cache_bytes) return false;
    reserved_ += prompt->bytes;
    ++prompt->caches;
  }
  TextPointer text = std::move(prompt->texts[index]);
  prompt->texts.erase(prompt->texts.begin() + static_cast<std::ptrdiff_t>(index));
  text->prompt = prompt;
  text->began = now();
  --prompt->caches;
  const std::optional<std::string> failure = failure_of([&] {
    text->session.emplace(last ? std::move(*prompt->session) : prompt->session->fork());
    if (text->request.max_new_tokens == 0 || !text->continuation.choose(prompt->logits, *text->session)) text->end = End::kFinished;
  });
  if (failure) text->fails(*failure);
  if (last) {
    prompt->session.reset();
    prompt->logits.clear();
    reserved_ -= prompt->caches * prompt->bytes;
    prompt->caches = 0;
  }
  text->placed = !text->end;
  texts_.push_back(std::move(text));
  return true;
}

}  // namespace dsv4
