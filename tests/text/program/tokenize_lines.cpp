// tokenize_lines FOLDER: the class Tokenizer for tests in other languages. A JSON object a line in, one a line out, in the same order:
//   {"text": "..."}                      -> {"ids": [...]}
//   {"plain": "..."}                     -> {"ids": [...]}   text in which the strings of added tokens are text
//   {"ids": [...], "skip": true}         -> {"text": "...", "pieces": ["...", ...]}   pieces: what a TextStream gives for each id, and at its end
#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "text/tokenizer.h"

namespace {

using nlohmann::json;

json answer(const dsv4::Tokenizer& tokenizer, const json& question) {
  if (question.contains("plain")) return {{"ids", tokenizer.encode_plain(question.at("plain").get<std::string>())}};
  if (question.contains("text")) return {{"ids", tokenizer.encode(question.at("text").get<std::string>())}};
  const auto ids = question.at("ids").get<std::vector<int64_t>>();
  const bool skip = question.at("skip").get<bool>();
  dsv4::TextStream stream(tokenizer, skip);
  json pieces = json::array();
  for (const int64_t id : ids) pieces.push_back(stream.push(id));
  pieces.push_back(stream.finish());
  return {{"text", tokenizer.decode(ids, skip)}, {"pieces", pieces}};
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: tokenize_lines FOLDER < lines of JSON\n");
    return 2;
  }
  try {
    const dsv4::Tokenizer tokenizer(arguments[1]);
    using Clock = std::chrono::steady_clock;
    size_t ids = 0;
    double seconds = 0.0;
    for (std::string line; std::getline(std::cin, line);) {
      const json question = json::parse(line);
      const Clock::time_point start = Clock::now();
      const json out = answer(tokenizer, question);
      seconds += std::chrono::duration<double>(Clock::now() - start).count();
      ids += out.contains("ids") ? out.at("ids").size() : 0;
      std::cout << out.dump() << '\n';
    }
    std::fprintf(stderr, "%zu ids encoded, %.0f a second\n", ids, static_cast<double>(ids) / seconds);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tokenize_lines: %s\n", error.what());
    return 1;
  }
  return 0;
}
