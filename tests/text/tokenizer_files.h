// A small tokenizer.json for tests, with parts to replace.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace dsv4::test {

/// Ids 0 BOS, 1 EOS, 2..257 the bytes, 258 "th", 259 "the"; added behind them 260 "<think>".
inline nlohmann::json small_tokenizer() {
  const auto utf8 = [](unsigned c) {
    return c < 0x80 ? std::string{static_cast<char>(c)}
                    : std::string{static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
  };
  nlohmann::json vocab = {{"<|bos|>", 0}, {"<|eos|>", 1}};
  unsigned substitute = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
    vocab[utf8(printable ? byte : substitute++)] = 2 + byte;
  }
  vocab["th"] = 258;
  vocab["the"] = 259;
  const auto added = [](int id, const char* content, bool special) -> nlohmann::json {
    return {{"id", id},        {"content", content},     {"single_word", false}, {"lstrip", false},
            {"rstrip", false}, {"normalized", !special}, {"special", special}};
  };
  return {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", {added(0, "<|bos|>", true), added(1, "<|eos|>", true), added(260, "<think>", false)}},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "Split"}, {"pattern", {{"Regex", "\\p{N}{1,3}"}}}, {"behavior", "Isolated"}, {"invert", false}},
          {{"type", "Split"}, {"pattern", {{"Regex", " ?[\\p{L}\\p{M}]+|\\s+(?!\\S)|\\s+"}}}, {"behavior", "Isolated"}, {"invert", false}},
          {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}}}}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"ignore_merges", false},
        {"vocab", vocab},
        {"merges", {"t h", "th e"}}}}};
}

}  // namespace dsv4::test
