// sample_lines LOGITS.f32: the sampler for tests in other languages. The file has the logits of one token as float32. A JSON object a line in, one a line out:
//   {"temperature": 1, "top_k": 40, ..., "bias": [[id, value], ...], "prompt": [ids], "text": [ids], "from": position, "count": n}  ->  {"tokens": [...]}
// The tokens are those of `count` positions, each after the same prompt and text.
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dsv4/sampler.h"

namespace {

using nlohmann::json;

std::vector<float> read_floats(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<float> values(bytes.size() / sizeof(float));
  std::copy_n(bytes.data(), values.size() * sizeof(float), reinterpret_cast<char*>(values.data()));
  return values;
}

dsv4::SamplerOptions options_of(const json& question) {
  dsv4::SamplerOptions options;
  options.temperature = question.value("temperature", options.temperature);
  options.top_p = question.value("top_p", options.top_p);
  options.top_k = question.value("top_k", options.top_k);
  options.min_p = question.value("min_p", options.min_p);
  options.seed = question.value("seed", options.seed);
  options.repetition_penalty = question.value("repetition_penalty", options.repetition_penalty);
  options.presence_penalty = question.value("presence_penalty", options.presence_penalty);
  options.frequency_penalty = question.value("frequency_penalty", options.frequency_penalty);
  for (const json& bias : question.value("bias", json::array())) options.logit_bias.push_back({bias[0], bias[1]});
  return options;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: sample_lines LOGITS.f32 < lines of JSON\n");
    return 2;
  }
  try {
    const std::vector<float> logits = read_floats(arguments[1]);
    for (std::string line; std::getline(std::cin, line);) {
      const json question = json::parse(line);
      dsv4::Sampler sampler(options_of(question));
      sampler.see_prompt(question.value("prompt", std::vector<int64_t>()));
      for (const int64_t token : question.value("text", std::vector<int64_t>())) sampler.accept(token);
      const auto from = question.at("from").get<int64_t>(), end = from + question.at("count").get<int64_t>();
      json tokens = json::array();
      for (int64_t position = from; position < end; ++position) tokens.push_back(sampler.sample(logits, position));
      std::cout << json{{"tokens", tokens}}.dump() << '\n';
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sample_lines: %s\n", error.what());
    return 1;
  }
  return 0;
}
