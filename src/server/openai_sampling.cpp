// How tokens are chosen and where a text ends.
#include "server/openai_sampling.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "checkpoint/quote.h"

namespace dsv4 {

namespace {

constexpr size_t kMostBiases = 10000;
constexpr size_t kMostStopBytes = 1000;

std::vector<LogitBias> read_logit_bias(const ApiField& field) {
  std::vector<LogitBias> out;
  if (field.absent()) return out;
  const PyJson::Object& members = field.object("an object of token ids and numbers");
  if (members.size() > kMostBiases) field.refuse(concat(members.size(), " tokens, expected at most ", kMostBiases));
  for (const PyJson::Member& member : members) {
    LogitBias bias;
    const std::string& key = member.key;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), bias.token);
    if (error != std::errc() || end != key.data() + key.size() || bias.token < 0)
      field.refuse("found the key " + quote(key) + ", expected a token id");
    bias.bias = field[key].number(-100, 100);
    out.push_back(bias);
  }
  return out;
}

std::vector<std::string> read_stop(const ApiField& field) {
  std::vector<std::string> out;
  if (field.absent()) return out;
  const auto add = [&out](const ApiField& one) {
    out.push_back(one.text("a string, or a list of strings"));
    if (out.back().empty()) one.refuse("an empty string, expected the text that ends the answer");
    if (out.back().size() > kMostStopBytes) one.refuse(concat(out.back().size(), " bytes, expected at most ", kMostStopBytes));
  };
  if (field.as<PyJson::List>() == nullptr) {
    add(field);
    return out;
  }
  const size_t count = field.list_size();
  if (count > kMostStops) field.refuse(concat(count, " strings, expected at most ", kMostStops));
  for (size_t i = 0; i < count; ++i) add(field[i]);
  return out;
}

SamplerOptions read_sampler(const ApiField& body, const SamplerOptions& defaults) {
  constexpr double kHuge = 1000;
  SamplerOptions out = defaults;
  out.temperature = body["temperature"].number_or(0, kHuge, defaults.temperature);
  // 0, which OpenAI allows, is the most likely token alone.
  out.top_p = std::max(body["top_p"].number_or(0, 1, defaults.top_p), std::numeric_limits<double>::min());
  // -1 is vLLM's word for all tokens.
  out.top_k = std::max<int64_t>(body["top_k"].integer_or(-1, std::numeric_limits<int32_t>::max(), defaults.top_k), 0);
  out.min_p = body["min_p"].number_or(0, 1, defaults.min_p);
  out.repetition_penalty = body["repetition_penalty"].number_or(0.001, kHuge, defaults.repetition_penalty);
  out.presence_penalty = body["presence_penalty"].number_or(-2, 2, defaults.presence_penalty);
  out.frequency_penalty = body["frequency_penalty"].number_or(-2, 2, defaults.frequency_penalty);
  out.logit_bias = read_logit_bias(body["logit_bias"]);
  return out;
}

}  // namespace

GenerationRequest read_generation(const ApiField& body, const RequestDefaults& defaults) {
  GenerationRequest out;
  body["model"].text_or("");  // there is one model, whatever it is called; but the field is a name
  out.sampler = read_sampler(body, defaults.sampler);
  if (const ApiField seed = body["seed"]; !seed.absent()) {
    out.sampler.seed = static_cast<uint64_t>(seed.integer(std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()));
    out.seeded = true;
  }
  out.choices = body["n"].integer_or(1, kMostChoices, 1);
  if (const ApiField best = body["best_of"]; !best.absent() && best.integer(1, kMostChoices) != out.choices) {
    best.refuse("found " + best.shown() + ", expected the same as n: texts are not compared here");
  }
  out.stop = read_stop(body["stop"]);
  out.ignore_eos = body["ignore_eos"].flag_or(false);
  out.stream = body["stream"].flag_or(false);
  if (const ApiField options = body["stream_options"]; !options.absent()) {
    options.object();
    out.include_usage = options["include_usage"].flag_or(false);
    if (!out.stream) options.refuse("is for streams: set stream to true");
  }
  constexpr int64_t kMostTokens = int64_t{1} << 40;
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {  // the newer name counts
    if (const ApiField most = body[name]; !most.absent()) out.max_tokens = most.integer(1, kMostTokens);
  }
  return out;
}

}  // namespace dsv4
