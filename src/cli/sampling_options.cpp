// Options of sampling: their ranges, and what they come to.
#include "cli/sampling_options.h"

#include <charconv>

#include "checkpoint/quote.h"
#include "checkpoint/utf8.h"
#include "cli/token_arguments.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

template <class T>
bool read_whole(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

void add_sampling_options(Command& command, SamplingArguments& arguments, SamplingDefaults defaults) {
  const bool greedy = defaults == SamplingDefaults::kGreedy;
  const auto option = [&](const char* names, auto& value, const std::string& help, const char* otherwise = "the folder's") {
    Option added = command.option(names, value, greedy ? help : concat(help, " (default ", otherwise, ")"));
    if (greedy) added.shows_default();
    return added;
  };
  SamplerOptions& sampler = arguments.sampler;
  command.group("Choice of tokens");
  option("--temperature,--temp", sampler.temperature, "0: greedy").number_from(0.0);
  option("--top-k", sampler.top_k, "Sample from so many most likely tokens; 0: all").at_least(0);
  option("--top-p", sampler.top_p, "Sample from the most likely tokens that together have this probability").share();
  command.option("--min-p", sampler.min_p, "Sample from tokens at least this much as likely as the most likely one")
      .shows_default()
      .number_within(0.0, 1.0);
  option("--seed", sampler.seed, "Of the sampling", "another every time").unsigned_64();
  command
      .option("--repetition-penalty", sampler.repetition_penalty,
              "Divide logits of tokens of the prompt and the text by this (negative ones: multiply); 1: none")
      .shows_default()
      .number_above(0.0);
  command.option("--presence-penalty", sampler.presence_penalty, "Take this from logits of tokens of the text, -2 to 2")
      .shows_default()
      .number_within(-2.0, 2.0);
  command.option("--frequency-penalty", sampler.frequency_penalty, "The same for each time that a token is in the text")
      .shows_default()
      .number_within(-2.0, 2.0);
  command.option("--logit-bias", arguments.logit_bias, "Add VALUE, -100 to 100, to the logit of token ID; may be repeated")
      .value("ID:VALUE");
  command.group("End of the text");
  command.option("--stop", arguments.stop, "End before this text; may be repeated").value("TEXT");
  command.option("--stop-token", arguments.stop_tokens, "End with this token; may be repeated").value("ID");
}

LogitBias parse_logit_bias(std::string_view text) {
  const auto refuse = [&](const char* expected) -> UsageError {
    return UsageError(concat("--logit-bias ", excerpt(text), ": expected ", expected));
  };
  const size_t colon = text.find(':');
  LogitBias bias;
  if (colon == std::string_view::npos || !read_whole(text.substr(0, colon), bias.token) || !read_whole(text.substr(colon + 1), bias.bias))
    throw refuse("a token id and a number, such as 128:-1.5");
  if (bias.token < 0) throw refuse("an id of 0 or more");
  if (!(bias.bias >= -100.0 && bias.bias <= 100.0)) throw refuse("a value from -100 to 100");
  return bias;
}

void apply(const SamplingArguments& arguments, Request& request) {
  request.sampler = arguments.sampler;
  for (const std::string& text : arguments.logit_bias) request.sampler.logit_bias.push_back(parse_logit_bias(text));
  for (const std::string& text : arguments.stop) {
    if (text.empty() || invalid_utf8(text)) throw UsageError("--stop: expected some text, UTF-8");
  }
  for (const std::string& text : arguments.stop_tokens) {
    for (const int64_t id : tokens_of_option(text, "--stop-token")) request.stop_tokens.push_back(id);
  }
  if (arguments.logprobs >= 0) request.logprobs = arguments.logprobs;
}

}  // namespace dsv4
