// Prompts on a session: how much of one it holds, and what it has to be fed.
#include "chat/chat_session.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "dsv4/error.h"
#include "text/chat_tokens.h"
#include "text/prompt_tokens.h"

namespace dsv4 {

namespace {

/// States that are kept: those before `<think>` of some turns, and where turns began.
constexpr int64_t kMostKept = 8;

/// The text of a token in keys: a marker's, or its bytes. Bytes that no UTF-8 holds are others there, so that they never look like a marker.
void append_key(std::string& keys, const Tokenizer& tokenizer, int64_t id) {
  const std::string_view bytes = tokenizer.bytes(id, false);
  for (const std::string_view marker : chat_tokens::kMarkers) {
    if (bytes == marker && tokenizer.added(marker) == id) {
      keys += PromptText::key_of(marker);
      return;
    }
  }
  for (const char byte : bytes) keys += static_cast<unsigned char>(byte) >= 0xFE ? '\xC0' : byte;
}

}  // namespace

ChatSession::ChatSession(const Engine& engine, const Tokenizer& tokenizer) : tokenizer_(tokenizer), session_(engine) {}

void ChatSession::reset() {
  session_.reset();
  cut(0);
}

void ChatSession::note(std::span<const int64_t> tokens) {
  for (const int64_t id : tokens) {
    append_key(keys_, tokenizer_, id);
    ends_.push_back(keys_.size());
    tokens_.push_back(id);
  }
}

void ChatSession::cut(int64_t position) {
  tokens_.resize(static_cast<size_t>(position));
  ends_.resize(static_cast<size_t>(position));
  keys_.resize(ends_.empty() ? 0 : ends_.back());
}

/// The last place that the session and the prompt have in common and from which the rest of the prompt may be tokenised; the prompt's last token stays to be fed.
ChatSession::Place ChatSession::shared_place(const PromptText& prompt) const {
  const std::string& keys = prompt.keys();
  const size_t most = std::min(keys.size(), keys_.size());
  const auto common = static_cast<size_t>(
      std::mismatch(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(most), keys_.begin()).first - keys.begin());
  for (int64_t position = std::ssize(ends_); position > 0; --position) {
    const size_t end = ends_[static_cast<size_t>(position - 1)];
    if (end <= common && end < keys.size() && prompt.is_border(end)) return {end, position};
  }
  return {};
}

/// Returns how many tokens that cost. A session whose state is lost and cannot be had back begins anew: position() is 0 then.
int64_t ChatSession::go_back(int64_t position, const FeedOptions& feeding) {
  try {
    const int64_t again = session_.truncate(position, feeding);
    cut(position);
    return again;
  } catch (const Cancelled& cancelled) {
    cut(cancelled.position());
    throw;
  } catch (const Error&) {
    reset();
    return 0;
  }
}

/// Feeds and notes what was fed, also where it is interrupted.
void ChatSession::feed(std::span<const int64_t> tokens, const FeedOptions& feeding) {
  if (tokens.empty()) return;
  const int64_t before = session_.position();
  const auto note_fed = [&] {
    note(tokens.first(static_cast<size_t>(std::clamp<int64_t>(session_.position() - before, 0, std::ssize(tokens)))));
  };
  try {
    session_.feed(tokens, feeding);
  } catch (...) {
    note_fed();
    throw;
  }
  note_fed();
}

ChatAnswer ChatSession::answer(const PromptText& prompt, Request request, CompletionParser& parser, const OnDelta& on_delta,
                               const FeedOptions& feeding) {
  ChatAnswer answer;
  Place place = shared_place(prompt);
  std::vector<int64_t> rest = prompt_tokens(prompt, tokenizer_, place.key);
  answer.prompt_tokens = place.position + std::ssize(rest);
  if (rest.empty()) fail("the prompt has no token");
  if (answer.prompt_tokens >= context()) {
    fail("the conversation has ", answer.prompt_tokens, " tokens with this message, and the context ", context(),
         ", which must also hold the answer");
  }
  const auto largest = std::max_element(rest.begin(), rest.end());
  if (*largest >= session_.engine().vocab_size()) {
    fail("token ", *largest, " of the prompt: the model has ", session_.engine().vocab_size(), " tokens");
  }
  answer.fed_again = go_back(place.position, feeding);
  if (position() != place.position) {
    place = {};
    rest = prompt_tokens(prompt, tokenizer_);
  }
  answer.reused = place.position;

  FeedOptions options = feeding;
  options.chunk = session_.engine().prompt_chunk();
  if (position() > 0) session_.keep(kMostKept);
  // A later prompt may leave out the reasoning that follows: its first difference is behind `<｜Assistant｜>`.
  const std::optional<int64_t> think = tokenizer_.added(chat_tokens::kThink);
  const auto seconds_since = [start = std::chrono::steady_clock::now()] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const std::span<const int64_t> before_last = std::span(rest).first(rest.size() - 1);
  feed(before_last, options);
  if (think == rest.back()) session_.keep(kMostKept);
  const double fed_seconds = seconds_since();

  request.before = tokens_;
  request.prompt = {rest.back()};
  const int64_t room = context() - answer.prompt_tokens;
  if (request.max_new_tokens == 0 || request.max_new_tokens > room) request.max_new_tokens = room;
  std::span<const int64_t> fed_next = request.prompt;  // by the time that the next token is chosen
  int64_t last = 0;
  const auto show = [&](const std::vector<CompletionDelta>& deltas) {
    for (const CompletionDelta& delta : deltas) on_delta(delta);
  };
  request.on_token = [&](int64_t token) {
    note(fed_next);
    last = token;
    fed_next = std::span(&last, 1);
    show(parser.push(tokenizer_.bytes(token, false)));
  };
  const auto ends = request.ends_after;
  request.ends_after = [&](int64_t token) { return parser.ended() || (ends && ends(token)); };
  try {
    answer.generated = generate(session_, request);
  } catch (...) {
    cut(std::min(position(), session_.position()));
    throw;
  }
  answer.generated.prefill_seconds += fed_seconds;
  answer.length = !answer.generated.stopped_at_eos && !answer.generated.stopped;
  show(parser.finish(answer.length));
  return answer;
}

}  // namespace dsv4
