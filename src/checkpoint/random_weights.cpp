// Counter-based random tensors (splitmix64), without a function of libm that machines disagree on: normals are sums of uniforms.
#include "checkpoint/random_weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>

#include "dsv4/error.h"
#include "formats/numbers.h"

namespace dsv4 {
namespace {

constexpr uint64_t kGolden = 0x9E3779B97F4A7C15u;
constexpr int kBias = 127;  // of E8M0 exponents

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/// Value number `index` of the stream `key`.
uint64_t draw(uint64_t key, uint64_t index) { return mix(key + (index + 1) * kGolden); }

/// FNV-1a of the name: tensors are independent of each other's order and number.
uint64_t stream_key(uint64_t seed, std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return mix(mix(seed + kGolden) ^ hash);
}

/// 0..bound-1, from 32 bits.
uint32_t below(uint64_t bits, uint32_t bound) { return static_cast<uint32_t>((bits >> 32) * bound >> 32); }

// A sum of four bytes less its mean: -510..510, bell-shaped, variance 4 (256^2 - 1) / 12.
constexpr int kByteSums = 1021;
constexpr double kByteSumVariance = 4.0 * (65536.0 - 1.0) / 12.0;

// FP8 codes of the sums: a block uses codes of n, n/8, n/64 or n/512, its scale makes up for it. Together they are every code from the
// subnormals to the saturated 448, which no single scale would reach.
constexpr int kFp8Shifts = 4;
using Fp8Codes = std::array<std::array<uint8_t, kByteSums>, kFp8Shifts>;

const Fp8Codes& fp8_codes() {
  static const Fp8Codes codes = [] {
    Fp8Codes result{};
    constexpr int kMiddle = kByteSums / 2;
    for (int shift = 0; shift < kFp8Shifts; ++shift) {
      for (int n = 0; n < kByteSums; ++n) {
        result[static_cast<size_t>(shift)][static_cast<size_t>(n)] =
            f32_to_f8e4m3(static_cast<float>(n - kMiddle) / static_cast<float>(1 << (3 * shift)));
      }
    }
    return result;
  }();
  return codes;
}

// How many of 128 bytes give each e2m1 magnitude 0 .5 1 1.5 2 3 4 6: a normal of deviation 2.2, cut at 6, rounded.
constexpr std::array<int, 8> kFp4Counts = {12, 22, 21, 18, 22, 18, 12, 3};
constexpr double kFp4Variance = (22 * 0.25 + 21 * 1.0 + 18 * 2.25 + 22 * 4.0 + 18 * 9.0 + 12 * 16.0 + 3 * 36.0) / 128.0;

/// Nibble of a random byte: bit 7 is the sign.
const std::array<uint8_t, 256>& fp4_codes() {
  static const std::array<uint8_t, 256> codes = [] {
    std::array<uint8_t, 256> result{};
    size_t next = 0;
    for (size_t code = 0; code < kFp4Counts.size(); ++code) {
      for (int i = 0; i < kFp4Counts[code]; ++i, ++next) {
        result[next] = static_cast<uint8_t>(code);
        result[next + 128] = static_cast<uint8_t>(code + 8);
      }
    }
    return result;
  }();
  return codes;
}

// FP4 scales go one power of two down or up from their base in a quarter of the groups each; mean of 4^j for j in {-1, 0, 0, 1}.
constexpr std::array<int, 4> kFp4Steps = {-1, 0, 0, 1};
constexpr double kFp4StepVariance = (0.25 + 1.0 + 1.0 + 4.0) / 4.0;

// A sum of four 16-bit numbers less its mean, for values that are not quantised.
constexpr double kWordSumMean = 2.0 * 65535.0;
constexpr double kWordSumVariance = 4.0 * (4294967296.0 - 1.0) / 12.0;

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

RandomTensor::RandomTensor(const Config& config, const TensorSpec& spec, uint64_t seed)
    : published_(spec.published), key_(stream_key(seed, spec.name)) {
  rows_ = spec.shape.size() == 1 ? 1 : spec.shape[0];
  cols_ = spec.shape.back();
  experts_ = config.n_routed_experts;
  for (const ShardSpec& stored : shard_tensors(config, spec)) {
    if (stored.name == spec.name) {
      row_bytes_ = static_cast<size_t>(stored.shape.back()) * dtype_size(stored.dtype);
    } else {
      scale_rows_ = stored.shape[0];
      scale_cols_ = stored.shape[1];
      scale_key_ = stream_key(seed, stored.name);
      block_rows_ = config.fp8_block_rows;
      block_cols_ = config.fp8_block_cols;
    }
  }
  choose_law(spec.name);
}

void RandomTensor::choose_law(const std::string& name) {
  const auto normal = [&](double deviation) {
    law_ = Law::kNormal;
    spread_ = static_cast<float>(deviation / std::sqrt(kWordSumVariance));
  };
  const auto uniform = [&](float mean, float half_width) {
    law_ = Law::kUniform;
    mean_ = mean;
    spread_ = half_width;
  };
  const double inputs = static_cast<double>(cols_);
  if (scale_rows_ > 0) {
    // The wanted variance lies between two powers of four; blocks are drawn from both so that their mean is right.
    const double unit = published_ == NumberFormat::kF8E4M3 ? kByteSumVariance : kFp4Variance * kFp4StepVariance;
    double ratio = 1.0 / (inputs * unit);
    while (ratio < 1.0) {
      ratio *= 4.0;
      --exponent_;
    }
    step_up_ = static_cast<uint32_t>((ratio - 1.0) / 3.0 * 65536.0);
  } else if (published_ == NumberFormat::kI64) {
    law_ = Law::kExperts;
  } else if (name == "embed.weight" || ends_with(name, ".attn_sink")) {
    normal(1.0);
  } else if (name == "head.weight") {
    normal(2.5 / std::sqrt(inputs));  // logits of deviation 2.5
  } else if (ends_with(name, "norm.weight")) {
    uniform(1.0f, 0.25f);
  } else if (ends_with(name, ".weight") || ends_with(name, "_fn")) {
    normal(1.0 / std::sqrt(inputs));
  } else if (ends_with(name, "_base")) {
    uniform(0.0f, 1.0f);
  } else if (ends_with(name, "_scale")) {
    uniform(0.75f, 0.25f);
  } else if (ends_with(name, ".ape")) {
    uniform(0.0f, 0.5f);
  } else if (ends_with(name, ".bias")) {
    uniform(0.0f, 0.1f);
  } else {
    fail(name, ": no rule for the random values of this tensor");
  }
}

RandomTensor::BlockScale RandomTensor::block_scale(int64_t row, int64_t col) const {
  const uint64_t bits = draw(scale_key_, static_cast<uint64_t>(row * scale_cols_ + col));
  int exponent = exponent_ + ((bits & 0xFFFF) < step_up_ ? 1 : 0);
  int shift = 0;
  if (published_ == NumberFormat::kF8E4M3) {
    // Neighbours always differ, so that even a scale of two entries is not constant; and not the same way along both axes.
    shift = static_cast<int>((scale_key_ + static_cast<uint64_t>(row) + 2 * static_cast<uint64_t>(col)) % kFp8Shifts);
    exponent += 3 * shift;
  } else {
    exponent += kFp4Steps[bits >> 62];
  }
  return {static_cast<uint8_t>(std::clamp(exponent + kBias, 0, 254)), shift};
}

void RandomTensor::fill_scale_row(int64_t row, std::byte* out) const {
  for (int64_t col = 0; col < scale_cols_; ++col) out[col] = static_cast<std::byte>(block_scale(row, col).exponent);
}

void RandomTensor::fill_row(int64_t row, std::byte* out) const {
  const uint64_t key = mix(key_ + static_cast<uint64_t>(row) * kGolden);
  if (published_ == NumberFormat::kF8E4M3) return fill_fp8(row, key, out);
  if (published_ == NumberFormat::kF4E2M1) return fill_fp4(key, out);
  if (law_ == Law::kExperts) return fill_experts(key, out);
  fill_real(key, out);
}

void RandomTensor::fill_fp8(int64_t row, uint64_t key, std::byte* out) const {
  constexpr uint64_t kEvenBytes = 0x00FF00FF00FF00FFu;
  const Fp8Codes& codes = fp8_codes();
  uint64_t index = 0;
  for (int64_t block = 0; block < scale_cols_; ++block) {
    const auto& table = codes[static_cast<size_t>(block_scale(row / block_rows_, block).shift)];
    const int64_t end = std::min(cols_, (block + 1) * block_cols_);
    for (int64_t col = block * block_cols_; col < end; col += 2) {
      const uint64_t bits = draw(key, index++);
      const uint64_t pairs = (bits & kEvenBytes) + (bits >> 8 & kEvenBytes);  // four sums of two bytes
      const uint64_t sums = pairs + (pairs >> 16);
      out[col] = static_cast<std::byte>(table[sums & 0xFFFF]);
      if (col + 1 < end) out[col + 1] = static_cast<std::byte>(table[sums >> 32 & 0xFFFF]);
    }
  }
}

void RandomTensor::fill_fp4(uint64_t key, std::byte* out) const {
  const auto& codes = fp4_codes();
  uint64_t index = 0;
  for (size_t done = 0; done < row_bytes_; done += 4) {
    uint64_t bits = draw(key, index++);
    std::array<uint8_t, 4> packed;
    for (uint8_t& byte : packed) {
      byte = static_cast<uint8_t>(codes[bits & 0xFF] | codes[bits >> 8 & 0xFF] << 4);
      bits >>= 16;
    }
    std::memcpy(out + done, packed.data(), std::min<size_t>(4, row_bytes_ - done));
  }
}

float RandomTensor::real(uint64_t bits) const {
  if (law_ == Law::kUniform) {
    const auto signed24 = static_cast<int32_t>(bits >> 40) - (1 << 23);  // exact in float32
    return mean_ + spread_ * (static_cast<float>(signed24) / static_cast<float>(1 << 23));
  }
  const uint64_t sum = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48);
  return spread_ * static_cast<float>(static_cast<int32_t>(sum) - static_cast<int32_t>(kWordSumMean));
}

void RandomTensor::fill_real(uint64_t key, std::byte* out) const {
  for (int64_t col = 0; col < cols_; ++col) {
    const float value = real(draw(key, static_cast<uint64_t>(col)));
    if (published_ == NumberFormat::kF32) {
      std::memcpy(out + col * 4, &value, 4);
    } else {
      const uint16_t bits = f32_to_bf16(value);
      std::memcpy(out + col * 2, &bits, 2);
    }
  }
}

/// Floyd's sample without replacement; the few experts of a row are searched as they stand.
void RandomTensor::fill_experts(uint64_t key, std::byte* out) const {
  for (int64_t k = 0; k < cols_; ++k) {
    const int64_t last = experts_ - cols_ + k;
    int64_t expert = below(draw(key, static_cast<uint64_t>(k)), static_cast<uint32_t>(last + 1));
    for (int64_t i = 0; i < k; ++i) {
      int64_t taken = 0;
      std::memcpy(&taken, out + i * 8, 8);
      if (taken == expert) {
        expert = last;
        break;
      }
    }
    std::memcpy(out + k * 8, &expert, 8);
  }
}

}  // namespace dsv4
