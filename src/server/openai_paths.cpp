// The smaller paths of the API: models, text and ids, prompts of chats, and how the server is.
#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "server/api_error.h"
#include "server/api_fields.h"
#include "server/openai_service.h"

namespace dsv4 {

namespace {

using Json = nlohmann::ordered_json;

void send_json(const std::shared_ptr<HttpReply>& reply, const Json& json) {
  HttpResponse response;
  response.body = json_text(json);
  reply->send(std::move(response));
}

}  // namespace

void OpenAiService::add_to(HttpRouter& router) {
  const struct {
    const char* method;
    const char* path;
    Method function;
  } kPaths[] = {{"POST", "/v1/chat/completions", &OpenAiService::chat},
                {"POST", "/v1/completions", &OpenAiService::complete},
                {"GET", "/v1/models", &OpenAiService::list_models},
                {"GET", "/v1/models/", &OpenAiService::show_model},
                {"POST", "/tokenize", &OpenAiService::tokenize},
                {"POST", "/detokenize", &OpenAiService::detokenize},
                {"POST", "/apply-template", &OpenAiService::apply_template},
                {"GET", "/health", &OpenAiService::health},
                {"GET", "/props", &OpenAiService::props},
                {"GET", "/metrics", &OpenAiService::metrics}};
  for (const auto& [method, path, function] : kPaths) {
    const std::string text = path;
    add(router, method, text, function);
    // OpenVINO Model Server's prefix.
    add(router, method, "/v3" + (text.starts_with("/v1") ? text.substr(3) : text), function);
  }
}

void OpenAiService::add(HttpRouter& router, const char* method, const std::string& path, Method function) {
  paths_.push_back(path);
  const bool open = function == &OpenAiService::health;
  router.add(method, path, [this, function, open](const HttpRequest& request, const Reply& reply) {
    if (!open) options_.keys.check(request);
    (this->*function)(request, reply);
  });
}

std::string OpenAiService::path_label(const std::string& path) const {
  for (const std::string& known : paths_) {
    if (known.ends_with('/') ? path.starts_with(known) : path == known) return known;
  }
  return "other";
}

void OpenAiService::tokenize(const HttpRequest& http, const Reply& reply) {
  const PyJson json = parse_api_body(http.body);
  const ApiField body(&json, "");
  const std::string text = body["content"].text();
  const bool bos = body["add_special"].flag_or(false), markers = body["parse_special"].flag_or(true);
  const std::vector<int64_t> ids = bos       ? model_.text_prompt(text)
                                   : markers ? model_.tokenizer().encode(text)
                                             : model_.tokenizer().encode_plain(text);
  Json list = ids;
  if (body["with_pieces"].flag_or(false)) {
    list = Json::array();
    for (const int64_t id : ids) list.push_back({{"id", id}, {"piece", model_.text(std::span(&id, 1))}});
  }
  send_json(reply, {{"tokens", std::move(list)}});
}

void OpenAiService::detokenize(const HttpRequest& http, const Reply& reply) {
  const PyJson json = parse_api_body(http.body);
  const ApiField tokens = ApiField(&json, "")["tokens"];
  std::vector<int64_t> ids(tokens.list_size("a list of token ids"));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = tokens[i].integer(0, model_.vocab_size() - 1);
  send_json(reply, {{"content", model_.text(ids)}});
}

void OpenAiService::apply_template(const HttpRequest& http, const Reply& reply) {
  const ChatRequest request = parse_chat_request(http.body, defaults());
  send_json(reply, {{"prompt", encode_chat(request.chat, model_.release())}});
}

Json OpenAiService::model_json() const {
  return {{"id", model_.name()},
          {"object", "model"},
          {"created", started_},
          {"owned_by", "dsv4"},
          {"meta", {{"n_vocab", model_.vocab_size()}, {"n_ctx", model_.engine().context()}}}};
}

void OpenAiService::list_models(const HttpRequest&, const Reply& reply) {
  send_json(reply, {{"object", "list"}, {"data", Json::array({model_json()})}});
}

void OpenAiService::show_model(const HttpRequest& http, const Reply& reply) {
  const std::string name = http.path.substr(http.path.find("/models/") + 8);
  if (name != model_.name())
    throw ApiError(404, "there is no model " + quote(name) + "; this server has " + quote(model_.name()), "model", "model_not_found");
  send_json(reply, model_json());
}

void OpenAiService::health(const HttpRequest&, const Reply& reply) { send_json(reply, {{"status", "ok"}}); }

void OpenAiService::props(const HttpRequest&, const Reply& reply) {
  const SamplerOptions& sampler = model_.sampler();
  send_json(reply, {{"model", model_.name()},
                    {"version", options_.version},
                    {"n_ctx", model_.engine().context()},
                    {"max_tokens", options_.max_tokens},
                    {"default_generation_settings",
                     {{"temperature", sampler.temperature},
                      {"top_p", sampler.top_p},
                      {"top_k", sampler.top_k},
                      {"min_p", sampler.min_p},
                      {"repetition_penalty", sampler.repetition_penalty}}}});
}

void OpenAiService::metrics(const HttpRequest&, const Reply& reply) {
  const Scheduler::Counts counts = scheduler_.counts();
  const PrefixStore::Counts kept = store_.counts();
  reply->send({200, "text/plain; version=0.0.4; charset=utf-8",
               metrics_.text({counts.unfinished - counts.running, counts.running, kept.sequences, kept.bytes})});
}

}  // namespace dsv4
