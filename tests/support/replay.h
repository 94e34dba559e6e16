// Replaying fuzz targets without a fuzzer: their seeds, and thousands of mutations of them that are the same on every machine.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "support/files.h"

namespace dsv4::testing_support {

using Bytes = std::vector<uint8_t>;

inline std::vector<Bytes> seeds(const std::string& target) {
  std::vector<std::filesystem::path> paths;
  for (const auto& file : std::filesystem::directory_iterator(std::string(DSV4_TEST_DATA) + "/../fuzz/corpus/" + target)) {
    paths.push_back(file.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> out;
  for (const auto& path : paths) {
    const std::string text = read_file(path);
    out.emplace_back(text.begin(), text.end());
  }
  return out;
}

/// One to four small damages: bits, bytes, pieces removed, doubled or replaced by text that parsers stumble over.
class Mutator {
 public:
  Bytes operator()(Bytes bytes) {
    for (uint64_t n = 1 + below(4); n > 0; --n) damage(bytes);
    return bytes;
  }

 private:
  uint64_t below(uint64_t limit) { return limit == 0 ? 0 : engine_() % limit; }

  void damage(Bytes& bytes) {
    const std::string_view tokens[] = {"-1",
                                       "0",
                                       "18446744073709551615",
                                       "18446744073709551616",
                                       "9223372036854775808",
                                       "1e999",
                                       "1.5",
                                       "null",
                                       "true",
                                       "[",
                                       "]",
                                       "{",
                                       "}",
                                       "\"",
                                       ",",
                                       ":",
                                       "\\u0000",
                                       "\n",
                                       "\xFF",
                                       "[[[[[[[[[[[[[[[[",
                                       "../",
                                       "F32",
                                       "4294967296",
                                       "1048576"};
    const uint64_t at = below(bytes.size() + 1);
    const uint64_t length = below(std::min<uint64_t>(bytes.size() - at, 24) + 1);
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at), end = begin + static_cast<std::ptrdiff_t>(length);
    const std::string_view token = tokens[below(std::size(tokens))];
    switch (below(6)) {
      case 0:
        if (at < bytes.size()) bytes[at] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 1:
        bytes.erase(begin, end);
        break;
      case 2: {
        const Bytes piece(begin, end);
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size() + 1)), piece.begin(), piece.end());
        break;
      }
      case 3:
        bytes.insert(begin, token.begin(), token.end());
        break;
      case 4:
        replace_number(bytes, at, token);
        break;
      default:
        if (at < bytes.size()) bytes[at] = static_cast<uint8_t>(below(256));
    }
  }

  /// The next number after `at`: where sizes and offsets are.
  void replace_number(Bytes& bytes, uint64_t at, std::string_view token) {
    const auto digit = [](uint8_t c) { return c >= '0' && c <= '9'; };
    const auto begin = std::find_if(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.end(), digit);
    const auto end = std::find_if_not(begin, bytes.end(), digit);
    bytes.insert(bytes.erase(begin, end), token.begin(), token.end());
  }

  std::mt19937_64 engine_{20260424};
};

/// Runs the target on `rounds` mutations of every seed. Anything but dsv4::Error fails the test by escaping. One in `one_accepted_of` at least is accepted:
/// fewer where most bytes of a seed matter.
inline void replay(const std::string& target, int rounds, const std::function<bool(const Bytes&)>& run, int one_accepted_of = 20) {
  Mutator mutate;
  int accepted = 0, refused = 0;
  for (const Bytes& seed : seeds(target)) {
    run(seed);
    for (int i = 0; i < rounds; ++i) {
      const Bytes mutated = mutate(seed);
      ASSERT_NO_THROW(run(mutated) ? ++accepted : ++refused) << std::string(mutated.begin(), mutated.end());
    }
  }
  // Mutations that all end in the same way would test nothing.
  EXPECT_GT(accepted, rounds / one_accepted_of);
  EXPECT_GT(refused, rounds / 2);
}

}  // namespace dsv4::testing_support
