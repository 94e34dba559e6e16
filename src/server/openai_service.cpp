// Chat and text completions: requests to prompts, prompts to the scheduler, tokens to the reply.
#include "server/openai_service.h"

#include <algorithm>
#include <chrono>
#include <random>

#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "checkpoint/utf8.h"
#include "server/api_error.h"
#include "server/api_fields.h"
#include "text/chat_encoder.h"
#include "text/prompt_tokens.h"

namespace dsv4 {

namespace {

int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// 24 hexadecimal digits that nobody can guess.
std::string random_digits() {
  std::random_device source;
  std::string out;
  for (int i = 0; i < 24; ++i) out += "0123456789abcdef"[source() % 16];
  return out;
}

uint64_t random_seed() {
  std::random_device source;
  return (static_cast<uint64_t>(source()) << 32) | source();
}

}  // namespace

OpenAiService::OpenAiService(const ServedModel& model, Scheduler& scheduler, PrefixStore& store, Metrics& metrics, ServiceOptions options)
    : model_(model), scheduler_(scheduler), store_(store), metrics_(metrics), options_(std::move(options)), started_(unix_time()) {}

void OpenAiService::check_room() const {
  const Scheduler::Counts counts = scheduler_.counts();
  if (counts.unfinished - counts.running >= options_.max_waiting) {
    throw ApiError(429, concat(options_.max_waiting, " requests wait already; try again later"));
  }
}

/// A token has so many bytes at most: what cannot fit is not tokenised.
void OpenAiService::check_bytes(size_t bytes, const char* param) const {
  const auto context = static_cast<size_t>(model_.engine().context());
  if (bytes / model_.longest_token() >= context) {
    throw ApiError(400, concat(param, ": the context of this model is ", context, " tokens, and the prompt has ", bytes, " bytes"), param,
                   "context_length_exceeded");
  }
}

int64_t OpenAiService::new_tokens(const GenerationRequest& request, size_t prompt, const char* param) const {
  const int64_t context = model_.engine().context(), room = context - static_cast<int64_t>(prompt);
  if (room < 1) {
    throw ApiError(400, concat(param, ": the context of this model is ", context, " tokens, and the prompt has ", prompt), param,
                   "context_length_exceeded");
  }
  const int64_t most = request.max_tokens ? *request.max_tokens : options_.max_tokens > 0 ? options_.max_tokens : room;
  return std::min(most, room);
}

std::vector<Request> OpenAiService::requests(const GenerationRequest& request, int64_t new_tokens) const {
  const uint64_t seed = request.seeded ? request.sampler.seed : random_seed();
  std::vector<Request> out(static_cast<size_t>(request.choices));
  for (size_t i = 0; i < out.size(); ++i) {
    out[i].max_new_tokens = new_tokens;
    out[i].ignore_eos = request.ignore_eos;
    out[i].sampler = request.sampler;
    out[i].sampler.seed = seed + i;
    out[i].logprobs = request.logprobs;
  }
  return out;
}

AnswerForm OpenAiService::form(const GenerationRequest& request, const char* id, const char* whole, const char* chunk) {
  AnswerForm form;
  form.head = {id + random_digits(), unix_time(), model_.name()};
  form.whole = whole;
  form.chunk = chunk;
  form.ignore_eos = request.ignore_eos;
  form.stream = request.stream;
  form.include_usage = request.include_usage;
  return form;
}

void OpenAiService::start(const GenerationRequest& request, std::vector<Prompt> prompts, const std::shared_ptr<OpenAiAnswer>& answer,
                          const Reply& reply, const Finished& finished) {
  check_room();
  const auto running = std::make_shared<std::vector<std::shared_ptr<Generation>>>();
  const size_t choices = static_cast<size_t>(request.choices);
  for (size_t i = 0; i < prompts.size(); ++i) {
    GenerationPlan plan;
    plan.prompt = std::move(prompts[i].ids);
    plan.turns = std::move(prompts[i].turns);
    plan.requests = requests(request, prompts[i].new_tokens);
    const size_t first = i * choices;
    // The generation holds these functions, so they may not hold it.
    const auto own = std::make_shared<std::weak_ptr<Generation>>();
    plan.on_token = [answer, reply, first, own](size_t text, int64_t token, const Logprobs* logprobs) {
      if (answer->token(first + text, token, logprobs)) return;
      const std::shared_ptr<Generation> generation = own->lock();
      if (!generation) return;
      generation->pause();
      if (!reply->full()) generation->resume();  // the client has read meanwhile
    };
    plan.ends_after = [answer, first](size_t text) { return answer->ended(first + text); };
    plan.on_finish = [answer, first, finished](size_t text, const Generated& generated) {
      answer->finish(first + text, finish_reason(generated) == std::string_view("length"));
      if (finished) finished(first + text, generated);
    };
    plan.on_failure = [answer](const std::exception& error) { answer->fail(error); };
    running->push_back(std::make_shared<Generation>(scheduler_, store_, metrics_, std::move(plan)));
    *own = running->back();
  }
  try {
    for (const auto& generation : *running) {
      const int64_t tokens = generation->prompt_tokens();
      generation->start([&](int64_t cached) { answer->add_prompt(tokens, cached); });
    }
  } catch (const std::exception& error) {
    for (const auto& generation : *running) generation->cancel();
    return answer->fail(ApiError(400, error.what()));
  }
  answer->begin();
  reply->on_change([reply = std::weak_ptr(reply), running] {
    const auto held = reply.lock();
    for (const auto& generation : *running) !held || held->gone() ? generation->cancel() : generation->resume();
  });
}

void OpenAiService::chat(const HttpRequest& http, const Reply& reply) {
  model_.check_chat();
  ChatRequest request = parse_chat_request(http.body, defaults());
  calls_.restore(request.chat);
  const PromptText text = chat_prompt(request.chat, model_.release());
  check_bytes(text.keys().size(), "messages");
  Prompt prompt;
  prompt.ids = prompt_tokens(text, model_.tokenizer());
  prompt.new_tokens = new_tokens(request.generation, prompt.ids.size(), "messages");
  for (size_t i = 1; i < prompt.ids.size(); ++i) {
    if (prompt.ids[i] == model_.user_token()) prompt.turns.push_back(static_cast<int64_t>(i));
  }
  prompt.turns.push_back(std::ssize(prompt.ids));
  const bool thinking = request.chat.thinking && !request.chat.messages.back().unfinished;
  std::vector<std::unique_ptr<Choice>> choices;
  std::vector<const ChatChoice*> messages;
  for (int64_t i = 0; i < request.generation.choices; ++i) {
    CompletionOptions completion;
    completion.thinking = thinking;
    completion.tools = request.tools;
    completion.stops = request.generation.stop;
    completion.call_ids = "call_" + random_digits() + "_";
    auto choice = std::make_unique<ChatChoice>(ChoiceOptions{i, request.generation.logprobs.has_value()}, std::move(completion),
                                               request.parallel_calls);
    messages.push_back(choice.get());
    choices.push_back(std::move(choice));
  }
  AnswerForm form = this->form(request.generation, "chatcmpl-", "chat.completion", "chat.completion.chunk");
  form.markers = true;
  const auto answer = std::make_shared<OpenAiAnswer>(reply, model_, std::move(form), std::move(choices));
  Finished finished;
  if (!request.tools.empty() && !request.chat.messages.back().unfinished) {
    // The answer holds the choices, and whoever calls this the answer.
    finished = [this, messages, thinking](size_t choice, const Generated& generated) {
      keep_calls(*messages[choice], thinking, generated.tokens);
    };
  }
  std::vector<Prompt> prompts;
  prompts.push_back(std::move(prompt));
  start(request.generation, std::move(prompts), answer, reply, finished);
}

/// An answer that ended by itself behind its calls.
void OpenAiService::keep_calls(const ChatChoice& choice, bool thinking, std::vector<int64_t> ids) {
  if (choice.message().calls.empty() || ids.empty() || !model_.engine().is_end(ids.back())) return;
  ids.pop_back();
  auto sampled = std::make_shared<SampledAnswer>();
  sampled->thinking = thinking;
  for (const int64_t id : ids) sampled->text += model_.bytes(id, true);
  sampled->ids = std::move(ids);
  if (!invalid_utf8(sampled->text)) calls_.keep(choice.message(), std::move(sampled));
}

void OpenAiService::complete(const HttpRequest& http, const Reply& reply) {
  const CompletionRequest request = parse_completion_request(http.body, defaults());
  std::vector<Prompt> prompts;
  std::vector<std::unique_ptr<Choice>> choices;
  for (const CompletionRequest::Prompt& given : request.prompts) {
    Prompt prompt;
    std::string echo;
    if (const auto* text = std::get_if<std::string>(&given)) {
      check_bytes(text->size(), "prompt");
      prompt.ids = model_.text_prompt(*text);
      echo = *text;
    } else {
      prompt.ids = std::get<std::vector<int64_t>>(given);
      echo = request.echo ? model_.text(prompt.ids) : "";
    }
    if (prompt.ids.empty()) throw ApiError(400, "prompt: no token, expected some text", "prompt");
    const auto wrong = std::find_if(prompt.ids.begin(), prompt.ids.end(), [this](int64_t id) { return id >= model_.vocab_size(); });
    if (wrong != prompt.ids.end())
      throw ApiError(400, concat("prompt: id ", *wrong, ", expected less than ", model_.vocab_size()), "prompt");
    prompt.new_tokens = new_tokens(request.generation, prompt.ids.size(), "prompt");
    prompt.turns.push_back(std::ssize(prompt.ids));
    prompts.push_back(std::move(prompt));
    for (int64_t i = 0; i < request.generation.choices; ++i) {
      const ChoiceOptions options{std::ssize(choices), request.generation.logprobs.has_value()};
      choices.push_back(std::make_unique<TextChoice>(options, request.generation.stop, request.echo ? echo : ""));
    }
  }
  AnswerForm form = this->form(request.generation, "cmpl-", "text_completion", "text_completion");
  const auto answer = std::make_shared<OpenAiAnswer>(reply, model_, std::move(form), std::move(choices));
  start(request.generation, std::move(prompts), answer, reply);
}

}  // namespace dsv4
