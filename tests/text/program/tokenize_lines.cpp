// tokenize_lines FOLDER: the classes Tokenizer and TextEncoder for tests in other languages. A JSON object a line in, one a line out, in the same order:
//   {"text": "..."}                      -> {"ids": [...]}
//   {"encode": "..."}                    -> {"ids": [...]}   by a TextEncoder of the folder's tokenizer.json; {"encode_plain": "..."} too
//   {"ids": [...], "skip": true}         -> {"text": "...", "pieces": ["...", ...]}   pieces: what a TextStream gives for each id, and at its end
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "text/text_encoder.h"
#include "text/tokenizer.h"

namespace {

using nlohmann::json;

/// Of a folder; made when it is first needed.
const dsv4::TextEncoder& encoder_of(const char* folder) {
  static const dsv4::TextEncoder encoder = [folder] {
    std::ifstream file(std::string(folder) + "/tokenizer.json", std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    return dsv4::TextEncoder(dsv4::parse_tokenizer_json(text, "tokenizer.json"));
  }();
  return encoder;
}

json answer(const dsv4::Tokenizer& tokenizer, const char* folder, const json& question) {
  if (question.contains("encode")) return {{"ids", encoder_of(folder).encode(question.at("encode").get<std::string>())}};
  if (question.contains("encode_plain")) return {{"ids", encoder_of(folder).encode_plain(question.at("encode_plain").get<std::string>())}};
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
      if (question.contains("encode")) encoder_of(arguments[1]);  // its making is not counted
      const Clock::time_point start = Clock::now();
      const json out = answer(tokenizer, arguments[1], question);
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
