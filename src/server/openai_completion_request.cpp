// The body of /v1/completions.
#include "checkpoint/quote.h"
#include "server/openai_request.h"
#include "server/openai_sampling.h"

namespace dsv4 {

namespace {

constexpr int64_t kMostId = int64_t{1} << 31;

std::vector<int64_t> read_ids(const ApiField& list) {
  std::vector<int64_t> ids(list.list_size());
  if (ids.empty()) list.refuse("an empty list, expected token ids");
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = list[i].integer(0, kMostId);
  return ids;
}

std::vector<CompletionRequest::Prompt> read_prompts(const ApiField& field) {
  const std::string expected = "a string, a list of strings, token ids or a list of lists of them";
  if (field.as<std::string>() != nullptr) return {field.text()};
  const size_t count = field.list_size(expected);
  if (count == 0) field.refuse("an empty list, expected " + expected);
  if (field[0].as<PyJson::Integer>() != nullptr) return {read_ids(field)};
  if (count > kMostPrompts) field.refuse(concat(count, " prompts, expected at most ", kMostPrompts));
  std::vector<CompletionRequest::Prompt> out;
  for (size_t i = 0; i < count; ++i) {
    if (field[i].as<PyJson::List>() != nullptr) {
      out.emplace_back(read_ids(field[i]));
    } else {
      out.emplace_back(field[i].text("a string or a list of token ids"));
    }
  }
  return out;
}

}  // namespace

CompletionRequest parse_completion_request(std::string_view text, const RequestDefaults& defaults) {
  const PyJson json = parse_api_body(text);
  const ApiField body(&json, "");
  CompletionRequest out;
  out.generation = read_generation(body, defaults);
  out.prompts = read_prompts(body["prompt"]);
  if (const ApiField count = body["logprobs"]; !count.absent()) out.generation.logprobs = count.integer(0, kMostLogprobs);
  out.echo = body["echo"].flag_or(false);
  if (out.echo && out.generation.logprobs) body["echo"].refuse("with logprobs: log-probabilities of a prompt are not given yet");
  if (const ApiField suffix = body["suffix"]; !suffix.absent() && !suffix.text().empty())
    suffix.refuse("text between two parts is not written yet");
  return out;
}

}  // namespace dsv4
