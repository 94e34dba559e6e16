// OpenAI's API, and the paths beside it that servers of language models have, over one model.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dsv4/scheduler.h"
#include "runtime/prefix_store.h"
#include "server/api_keys.h"
#include "server/call_store.h"
#include "server/generation.h"
#include "server/http_router.h"
#include "server/metrics.h"
#include "server/openai_answer.h"
#include "server/openai_request.h"
#include "server/served_model.h"

namespace dsv4 {

struct ServiceOptions {
  ApiKeys keys;
  ReasoningEffort effort = ReasoningEffort::kLow;
  int64_t max_tokens = 0;    ///< of an answer where a request says nothing; 0: what the context leaves
  int64_t max_waiting = 64;  ///< requests that wait; further ones are refused with 429
  std::string version;
};

/// Has to outlive the requests that it answers.
class OpenAiService {
 public:
  OpenAiService(const ServedModel& model, Scheduler& scheduler, PrefixStore& store, Metrics& metrics, ServiceOptions options);

  /// All paths, below / or /v1 and again below /v3.
  void add_to(HttpRouter& router);
  /// What a path is called in the metrics: as it is where there is one, so that clients cannot make names up.
  std::string path_label(const std::string& path) const;

 private:
  using Reply = std::shared_ptr<HttpReply>;
  using Method = void (OpenAiService::*)(const HttpRequest&, const Reply&);

  void add(HttpRouter& router, const char* method, const std::string& path, Method function);
  void chat(const HttpRequest& request, const Reply& reply);
  void complete(const HttpRequest& request, const Reply& reply);
  void tokenize(const HttpRequest& request, const Reply& reply);
  void detokenize(const HttpRequest& request, const Reply& reply);
  void apply_template(const HttpRequest& request, const Reply& reply);
  void list_models(const HttpRequest& request, const Reply& reply);
  void show_model(const HttpRequest& request, const Reply& reply);
  void health(const HttpRequest& request, const Reply& reply);
  void props(const HttpRequest& request, const Reply& reply);
  void metrics(const HttpRequest& request, const Reply& reply);

  RequestDefaults defaults() const { return {model_.sampler(), options_.effort}; }
  void check_room() const;
  void check_bytes(size_t bytes, const char* param) const;
  int64_t new_tokens(const GenerationRequest& request, size_t prompt, const char* param) const;
  std::vector<Request> requests(const GenerationRequest& request, int64_t new_tokens) const;
  AnswerForm form(const GenerationRequest& request, const char* id, const char* whole, const char* chunk);
  nlohmann::ordered_json model_json() const;

  struct Prompt {
    std::vector<int64_t> ids, turns;
    int64_t new_tokens = 0;
  };
  /// `finished` is told of each choice behind its last token; may be empty.
  using Finished = std::function<void(size_t choice, const Generated& generated)>;
  void start(const GenerationRequest& request, std::vector<Prompt> prompts, const std::shared_ptr<OpenAiAnswer>& answer, const Reply& reply,
             const Finished& finished = {});
  void keep_calls(const ChatChoice& choice, bool thinking, std::vector<int64_t> ids);

  const ServedModel& model_;
  Scheduler& scheduler_;
  PrefixStore& store_;
  Metrics& metrics_;
  ServiceOptions options_;
  CallStore calls_;
  int64_t started_;
  std::vector<std::string> paths_;
};

}  // namespace dsv4
