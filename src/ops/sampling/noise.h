// The noise of sampling: 48 bits for each (seed, position, token) from a generator that has no state, and what they add to a token's logit.
//
// They do not depend on what was drawn before, so a text is the same alone, in a batch, after a rewind and with drafts. Philox4x32-10 (Salmon et al.,
// "Parallel random numbers: as easy as 1, 2, 3", 2011) passes every test of BigCrush and takes nothing but multiplications.
#pragma once

#include <array>
#include <cstdint>

namespace dsv4::ops {

struct Philox {
  static constexpr uint32_t kFactor0 = 0xD2511F53, kFactor1 = 0xCD9E8D57;  // of the counter's words 0 and 2
  static constexpr uint32_t kStep0 = 0x9E3779B9, kStep1 = 0xBB67AE85;      // of the key from round to round
  static constexpr int kRounds = 10;

  /// Four words for a counter of four and a key of two.
  static std::array<uint32_t, 4> words(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);
};

/// Whose noise: the key is the seed, the counter (block, position, 0) or (token, position, 1).
struct Noise {
  uint64_t seed = 0;
  uint64_t position = 0;
};

/// 128 tokens in a row share 16 counters: a half of word w of counters in a row belongs to tokens in a row, so that vectors need no shuffling.
constexpr int64_t kNoiseGroup = 128, kNoiseBlocks = 16;

/// The upper 16 bits, with which nearly every token has lost already; the loops over logits make them in vectors.
uint32_t coarse_noise(const Noise& noise, int64_t token);
/// All 48 bits. The others are of the counter (token, position, 1).
uint64_t noise_bits(const Noise& noise, int64_t token);

/// Gumbel noise of 48 bits: -log(-log(u)) with u = (bits + 1/2) / 2^48. The token with the largest log-probability + noise is a sample. The same bits on every
/// machine: it has a logarithm of its own, because those of C libraries differ in the last bit from one processor to the next.
double gumbel(uint64_t bits);

/// The bounds of gumbel(), outwards.
constexpr double kLeastGumbel = -3.53, kMostGumbel = 33.97;

/// Of a normal number above 0; within a unit in the last place (the algorithm of fdlibm).
double natural_log(double x);

}  // namespace dsv4::ops
