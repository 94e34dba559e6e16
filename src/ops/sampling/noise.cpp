// Philox4x32-10 and a logarithm, in plain arithmetic that rounds the same way everywhere.
#include "ops/sampling/noise.h"

#include <bit>
#include <cstddef>

namespace dsv4::ops {

std::array<uint32_t, 4> Philox::words(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t a = uint64_t{kFactor0} * counter[0], b = uint64_t{kFactor1} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key = {key[0] + kStep0, key[1] + kStep1};
  }
  return counter;
}

namespace {

std::array<uint32_t, 4> words_of(const Noise& noise, int64_t number, uint32_t kind) {
  return Philox::words(
      {static_cast<uint32_t>(number), static_cast<uint32_t>(noise.position), static_cast<uint32_t>(noise.position >> 32), kind},
      {static_cast<uint32_t>(noise.seed), static_cast<uint32_t>(noise.seed >> 32)});
}

}  // namespace

uint32_t coarse_noise(const Noise& noise, int64_t token) {
  const int64_t within = token % kNoiseGroup;
  const uint32_t word = words_of(noise, token / kNoiseGroup * kNoiseBlocks + within % kNoiseBlocks, 0)[static_cast<size_t>(within / 32)];
  return within % 32 < kNoiseBlocks ? word & 0xFFFF : word >> 16;
}

uint64_t noise_bits(const Noise& noise, int64_t token) { return uint64_t{coarse_noise(noise, token)} << 32 | words_of(noise, token, 1)[0]; }

double natural_log(double x) {
  constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;
  constexpr double kL1 = 6.666666666666735130e-01, kL2 = 3.999999999940941908e-01, kL3 = 2.857142874366239149e-01,
                   kL4 = 2.222219843214978396e-01, kL5 = 1.818357216161805012e-01, kL6 = 1.531383769920937332e-01,
                   kL7 = 1.479819860511658591e-01;
  // x = 2^k m with m from sqrt(1/2) to sqrt(2): the exponent is counted from the bits of sqrt(1/2).
  constexpr uint64_t kRootHalf = 0x3FE6A09E667F3BCD, kMantissa = (uint64_t{1} << 52) - 1;
  const uint64_t from_root = std::bit_cast<uint64_t>(x) - kRootHalf;
  const double k = static_cast<double>(static_cast<int64_t>(from_root) >> 52);
  const double f = std::bit_cast<double>((from_root & kMantissa) + kRootHalf) - 1.0;
  const double s = f / (2.0 + f), z = s * s, w = z * z;
  const double r = w * (kL2 + w * (kL4 + w * kL6)) + z * (kL1 + w * (kL3 + w * (kL5 + w * kL7)));
  const double half_square = 0.5 * f * f;
  return k * kLn2High - ((half_square - (s * (half_square + r) + k * kLn2Low)) - f);
}

double gumbel(uint64_t bits) { return -natural_log(-natural_log((static_cast<double>(bits) + 0.5) * 0x1p-48)); }

}  // namespace dsv4::ops
