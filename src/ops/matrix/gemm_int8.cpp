// Compressed matrices times many tokens in int8: rows are unpacked into panels once and multiplied with all tokens.
#include <array>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <utility>

#include "ops/matrix/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matrix/gemm_int8.cpp"
#define HWY_WANT_AVX3_DL
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include "ops/matrix/codes-inl.h"
#include "ops/matrix/dots-inl.h"
#include "ops/matrix/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {
namespace {

/// What a kernel reads for some columns of 16 rows and a tile of tokens.
struct Tile {
  const uint8_t* panel;   ///< [blocks as place_in_panel says, 32/4, 16, 4], columns in the order of PackedTokens
  const float* scales;    ///< [segments, 16]
  const float* zeros;     ///< [segments, 16] scale times zero point
  const int8_t* codes;    ///< [columns/4, T, 4]
  const float* x_scales;  ///< [blocks, T]
  const float* sums;      ///< [segments, T]
  int64_t segments;
  int64_t blocks;  ///< of a segment
  float factor;
  bool corrected;

  int64_t all_blocks() const { return segments * blocks; }
};

/// Where the sums of a tile go.
struct TileTarget {
  float* y;  ///< of the first token and row
  int64_t stride;
  int64_t rows;  ///< of those that the kernel computes
  bool add;      ///< to what is there: columns before these

  /// The sums of one token.
  void put(int64_t token, const float* sums) const {
    float* to = y + token * stride;
    if (add) {
      for (int64_t r = 0; r < rows; ++r) to[r] += sums[r];
    } else {
      std::memcpy(to, sums, static_cast<size_t>(rows) * sizeof(float));
    }
  }
};

/// Sums of a tile: [T, 16].
template <int T>
using Sums = float[T][kPanelRows];

/// The largest code decides how many products fit into 16 bits.
enum class Codes { kUpTo15, kUpTo24, kBytes };

constexpr int kSteps = kActivationBlock / 4;
constexpr int64_t kBlockOfPanel = kActivationBlock * kPanelRows;  // bytes

/// In a panel the blocks of each lane of the sums follow each other, so that it is read in order.
HWY_INLINE int64_t place_in_panel(int64_t block, int64_t blocks) {
  const int64_t lane = block % kSumLanes;
  return block / kSumLanes + lane * (blocks / kSumLanes) + std::min(lane, blocks % kSumLanes);
}

/// The segment of blocks that come in order.
class SegmentOfBlock {
 public:
  HWY_INLINE SegmentOfBlock(const Tile& tile, int64_t block)
      : blocks_(tile.blocks), segment_(block / blocks_), end_((segment_ + 1) * blocks_) {}
  HWY_INLINE int64_t of(int64_t block) {
    for (; block >= end_; end_ += blocks_) ++segment_;
    return segment_;
  }

 private:
  int64_t blocks_, segment_, end_;
};

#if DSV4_VNNI

constexpr int kMostTokens = 12;  // sums and dots of 12 tokens and what they are multiplied with fill the 32 registers

/// Sums, less the corrections, of the blocks and segments i, i + kSumLanes, ...
template <int T, Codes kCodes>
HWY_INLINE void multiply_lane(const Tile& tile, int64_t i, Sums<T>& out) {
  __m512 sums[T];
#pragma GCC unroll 12
  for (int t = 0; t < T; ++t) sums[t] = _mm512_setzero_ps();
  SegmentOfBlock segment(tile, i);
  const uint8_t* w = tile.panel + place_in_panel(i, tile.all_blocks()) * kBlockOfPanel;
  for (int64_t b = i; b < tile.all_blocks(); b += kSumLanes) {
    const int8_t* x = tile.codes + b * kActivationBlock * T;
    const float* x_scales = tile.x_scales + b * T;
    const __m512 scale = _mm512_loadu_ps(tile.scales + segment.of(b) * kPanelRows);
    __m512i dots[T];
#pragma GCC unroll 12
    for (int t = 0; t < T; ++t) dots[t] = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int step = 0; step < kSteps; ++step, w += 64, x += 4 * T) {
      const __m512i codes = _mm512_loadu_si512(w);
#pragma GCC unroll 12
      for (int t = 0; t < T; ++t) dots[t] = dot4_same(dots[t], codes, x + 4 * t);
    }
#pragma GCC unroll 12
    for (int t = 0; t < T; ++t) {
      sums[t] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(dots[t]), _mm512_set1_ps(x_scales[t])), scale, sums[t]);
    }
  }
  if (tile.corrected) {
    __m512 corrections[T];
#pragma GCC unroll 12
    for (int t = 0; t < T; ++t) corrections[t] = _mm512_setzero_ps();
    for (int64_t s = i; s < tile.segments; s += kSumLanes) {
      const __m512 zero = _mm512_loadu_ps(tile.zeros + s * kPanelRows);
#pragma GCC unroll 12
      for (int t = 0; t < T; ++t) corrections[t] = _mm512_fmadd_ps(zero, _mm512_set1_ps(tile.sums[s * T + t]), corrections[t]);
    }
#pragma GCC unroll 12
    for (int t = 0; t < T; ++t) sums[t] = _mm512_sub_ps(sums[t], corrections[t]);
  }
#pragma GCC unroll 12
  for (int t = 0; t < T; ++t) _mm512_storeu_ps(out[t], sums[t]);
}

#elif DSV4_AVX512 || DSV4_AVX2

constexpr int kMostTokens = 4;

template <int T, Codes kCodes>
HWY_INLINE void multiply_lane(const Tile& tile, int64_t i, Sums<T>& out) {
  __m256 sums[T][2];
  for (int t = 0; t < T; ++t) sums[t][0] = sums[t][1] = _mm256_setzero_ps();
  const auto load_codes = [](const uint8_t* from) HWY_ATTR { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); };
  const auto same = [](const int8_t* from) HWY_ATTR {
    int32_t four;
    std::memcpy(&four, from, sizeof four);
    return _mm256_set1_epi32(four);
  };
  SegmentOfBlock segment(tile, i);
  const uint8_t* w = tile.panel + place_in_panel(i, tile.all_blocks()) * kBlockOfPanel;
  for (int64_t b = i; b < tile.all_blocks(); b += kSumLanes) {
    const int8_t* x = tile.codes + b * kActivationBlock * T;
    const float* x_scales = tile.x_scales + b * T;
    const float* scales = tile.scales + segment.of(b) * kPanelRows;
    __m256i dots[T][2];
    if constexpr (kCodes == Codes::kBytes) {
      for (int t = 0; t < T; ++t) dots[t][0] = dots[t][1] = _mm256_setzero_si256();
#pragma GCC unroll 2
      for (int step = 0; step < kSteps; ++step, w += 64, x += 4 * T) {
        const __m256i w0 = load_codes(w), w1 = load_codes(w + 32);
        const __m256i m0 = _mm256_abs_epi8(w0), m1 = _mm256_abs_epi8(w1);
#pragma GCC unroll 4
        for (int t = 0; t < T; ++t) {
          const __m256i codes = same(x + 4 * t);
          dots[t][0] = _mm256_add_epi32(dots[t][0], widen(pairs_of_signed(w0, m0, codes)));
          dots[t][1] = _mm256_add_epi32(dots[t][1], widen(pairs_of_signed(w1, m1, codes)));
          keep(dots[t][0]);
          keep(dots[t][1]);
        }
      }
    } else {
      // 15 * 127 * 2 fits eight times into 16 bits, 24 * 127 * 2 five times.
      constexpr int kSum = kCodes == Codes::kUpTo15 ? kSteps : kSteps / 2;
#pragma GCC unroll 2
      for (int part = 0; part < kSteps / kSum; ++part) {
        __m256i pairs[T][2];
#pragma GCC unroll 8
        for (int step = 0; step < kSum; ++step, w += 64, x += 4 * T) {
          const __m256i w0 = load_codes(w), w1 = load_codes(w + 32);
#pragma GCC unroll 4
          for (int t = 0; t < T; ++t) {
            const __m256i codes = same(x + 4 * t);
            const __m256i p0 = pairs_of(w0, codes), p1 = pairs_of(w1, codes);
            pairs[t][0] = step == 0 ? p0 : _mm256_add_epi16(pairs[t][0], p0);
            pairs[t][1] = step == 0 ? p1 : _mm256_add_epi16(pairs[t][1], p1);
            keep(pairs[t][0]);
            keep(pairs[t][1]);
          }
        }
        for (int t = 0; t < T; ++t) {
          for (int r = 0; r < 2; ++r) {
            const __m256i wide = widen(pairs[t][r]);
            dots[t][r] = part == 0 ? wide : _mm256_add_epi32(dots[t][r], wide);
          }
        }
      }
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      const __m256 x_scale = _mm256_broadcast_ss(x_scales + t);
      for (int r = 0; r < 2; ++r) {
        sums[t][r] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(dots[t][r]), x_scale), _mm256_loadu_ps(scales + 8 * r), sums[t][r]);
      }
    }
  }
  if (tile.corrected) {
    __m256 corrections[T][2];
    for (int t = 0; t < T; ++t) corrections[t][0] = corrections[t][1] = _mm256_setzero_ps();
    for (int64_t s = i; s < tile.segments; s += kSumLanes) {
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
        const __m256 sum = _mm256_broadcast_ss(tile.sums + s * T + t);
        for (int r = 0; r < 2; ++r) {
          corrections[t][r] = _mm256_fmadd_ps(_mm256_loadu_ps(tile.zeros + s * kPanelRows + 8 * r), sum, corrections[t][r]);
        }
      }
    }
    for (int t = 0; t < T; ++t) {
      for (int r = 0; r < 2; ++r) sums[t][r] = _mm256_sub_ps(sums[t][r], corrections[t][r]);
    }
  }
  for (int t = 0; t < T; ++t) {
    _mm256_storeu_ps(out[t], sums[t][0]);
    _mm256_storeu_ps(out[t] + 8, sums[t][1]);
  }
}

#else

constexpr int kMostTokens = 4;

template <int T, Codes kCodes>
void multiply_lane(const Tile& tile, int64_t i, Sums<T>& out) {
  float corrections[T][kPanelRows] = {};
  for (int t = 0; t < T; ++t) {
    for (int64_t r = 0; r < kPanelRows; ++r) out[t][r] = 0.0f;
  }
  for (int64_t b = i; b < tile.all_blocks(); b += kSumLanes) {
    int32_t dots[T][kPanelRows] = {};
    const uint8_t* panel = tile.panel + place_in_panel(b, tile.all_blocks()) * kBlockOfPanel;
    for (int64_t step = 0; step < kSteps; ++step) {
      for (int t = 0; t < T; ++t) {
        const int8_t* x = tile.codes + ((b * kSteps + step) * T + t) * 4;
        const uint8_t* w = panel + step * kPanelRows * 4;
        for (int64_t r = 0; r < kPanelRows; ++r) {
          dots[t][r] += w[4 * r] * x[0] + w[4 * r + 1] * x[1] + w[4 * r + 2] * x[2] + w[4 * r + 3] * x[3];
        }
      }
    }
    const float* scales = tile.scales + b / tile.blocks * kPanelRows;
    for (int t = 0; t < T; ++t) {
      for (int64_t r = 0; r < kPanelRows; ++r) out[t][r] += static_cast<float>(dots[t][r]) * tile.x_scales[b * T + t] * scales[r];
    }
  }
  if (!tile.corrected) return;
  for (int64_t s = i; s < tile.segments; s += kSumLanes) {
    for (int t = 0; t < T; ++t) {
      for (int64_t r = 0; r < kPanelRows; ++r) corrections[t][r] += tile.zeros[s * kPanelRows + r] * tile.sums[s * T + t];
    }
  }
  for (int t = 0; t < T; ++t) {
    for (int64_t r = 0; r < kPanelRows; ++r) out[t][r] -= corrections[t][r];
  }
}

#endif

template <int T, Codes kCodes>
void multiply_tile(const Tile& tile, Sums<T>& out) {
  static_assert(kSumLanes == 4);
  alignas(64) Sums<T> lanes[kSumLanes];
  for (int64_t i = 0; i < kSumLanes; ++i) multiply_lane<T, kCodes>(tile, i, lanes[i]);
  for (int t = 0; t < T; ++t) {
    for (int64_t r = 0; r < kPanelRows; ++r) {
      out[t][r] = ((lanes[0][t][r] + lanes[1][t][r]) + (lanes[2][t][r] + lanes[3][t][r])) * tile.factor;
    }
  }
}

template <int T, Codes kCodes>
void multiply_to(const Tile& tile, const TileTarget& to) {
  alignas(64) Sums<T> sums;
  multiply_tile<T, kCodes>(tile, sums);
  for (int t = 0; t < T; ++t) to.put(t, sums[t]);
}

using Kernel = void (*)(const Tile&, const TileTarget&);

template <Codes kCodes, int... kTokens>
constexpr std::array<Kernel, sizeof...(kTokens)> kernels_of(std::integer_sequence<int, kTokens...>) {
  return {&multiply_to<kTokens + 1, kCodes>...};
}

/// Rows [row, row + rows) of columns [begin, begin + n) as a panel; the rows that are missing to 16 repeat the last one.
HWY_INLINE void unpack_panel(const PackedMatrix& m, const CodeForm& form, int64_t row, int64_t rows, int64_t begin, int64_t n,
                             uint8_t* panel) {
  const bool four_bits = is_four_bits(m.type);
  const int64_t row_bytes = m.row_bytes(), bytes = four_bits ? n / 2 : n, blocks = n / kActivationBlock;
  // Where four bytes of every row go, from byte `at` of a row on: nibbles become two vectors of 16 rows, bytes one.
  const auto place_of = [&](int64_t at) HWY_ATTR {
    const int64_t of_block = four_bits ? kActivationBlock / 2 : kActivationBlock;
    return panel + place_in_panel(at / of_block, blocks) * kBlockOfPanel + at % of_block * (kBlockOfPanel / of_block);
  };
  const auto* codes = reinterpret_cast<const uint8_t*>(m.codes) + row * row_bytes + (four_bits ? begin / 2 : begin);
#if DSV4_AVX512
  const __m512i low = _mm512_set1_epi8(15), flip = _mm512_set1_epi8(static_cast<char>(form.flip));
  const __m512i table = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(form.table)));
  for (int64_t i = 0; i < bytes; i += 64) {
    const int64_t left = std::min<int64_t>(64, bytes - i);
    const __mmask64 mask = ~uint64_t{0} >> (64 - left);
    Words lines[16];
    for (int64_t r = 0; r < 16; ++r) lines[r] = _mm512_maskz_loadu_epi8(mask, codes + std::min(r, rows - 1) * row_bytes + i);
    transpose(lines);
    const int64_t words = left / 4;
    if (four_bits) {
      for (int64_t k = 0; k < words; ++k) {
        uint8_t* to = place_of(i + 4 * k);
        const __m512i first = _mm512_and_si512(lines[k], low), second = _mm512_and_si512(_mm512_srli_epi16(lines[k], 4), low);
        _mm512_storeu_si512(to, _mm512_shuffle_epi8(table, first));
        _mm512_storeu_si512(to + 64, _mm512_shuffle_epi8(table, second));
      }
    } else {
      for (int64_t k = 0; k < words; ++k) _mm512_storeu_si512(place_of(i + 4 * k), _mm512_xor_si512(lines[k], flip));
    }
  }
#elif DSV4_AVX2
  const __m256i low = _mm256_set1_epi8(15), flip = _mm256_set1_epi8(static_cast<char>(form.flip));
  const __m256i table = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(form.table)));
  for (int64_t half = 0; half < 16; half += 8) {
    for (int64_t i = 0; i < bytes; i += 32) {
      const int64_t left = std::min<int64_t>(32, bytes - i);  // 16 or 32
      Words lines[8];
      for (int64_t r = 0; r < 8; ++r) {
        const uint8_t* from = codes + std::min(half + r, rows - 1) * row_bytes + i;
        lines[r] = left == 32 ? load_words(from) : _mm256_zextsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
      }
      transpose(lines);
      const int64_t words = left / 4;
      if (four_bits) {
        for (int64_t k = 0; k < words; ++k) {
          uint8_t* to = place_of(i + 4 * k) + half * 4;
          const __m256i first = _mm256_and_si256(lines[k], low), second = _mm256_and_si256(_mm256_srli_epi16(lines[k], 4), low);
          store_words(to, _mm256_shuffle_epi8(table, first));
          store_words(to + 64, _mm256_shuffle_epi8(table, second));
        }
      } else {
        for (int64_t k = 0; k < words; ++k) store_words(place_of(i + 4 * k) + half * 4, _mm256_xor_si256(lines[k], flip));
      }
    }
  }
#else
  for (int64_t r = 0; r < kPanelRows; ++r) {
    const uint8_t* from = codes + std::min(r, rows - 1) * row_bytes;
    for (int64_t i = 0; i < bytes; ++i) {
      if (four_bits) {
        uint8_t* to = place_of(i - i % 4) + r * 4 + i % 4;
        to[0] = form.table[from[i] & 15];
        to[64] = form.table[from[i] >> 4];
      } else {
        place_of(i - i % 4)[r * 4 + i % 4] = from[i] ^ form.flip;
      }
    }
  }
#endif
}

/// Scales of the segments of these columns, and those times the zero points.
HWY_INLINE void unpack_factors(const PackedMatrix& m, const CodeForm& form, int64_t row, int64_t rows, int64_t begin, int64_t segments,
                               float* scales, float* zeros) {
  constexpr int64_t kMost = kChunkColumns / kActivationBlock;
  alignas(64) float row_scales[kMost], row_zeros[kMost];
  const int64_t segment = segment_columns(m), groups = m.groups();
  for (int64_t r = 0; r < kPanelRows; ++r) {
    load_segment_factors(m, form, row + std::min(r, rows - 1), groups, segment, begin / segment, segments, row_scales, row_zeros);
    for (int64_t s = 0; s < segments; ++s) {
      scales[s * kPanelRows + r] = row_scales[s];
      zeros[s * kPanelRows + r] = row_zeros[s];
    }
  }
}

int64_t TileTokens() { return kMostTokens; }

void PackTile(const PackedMatrix& matrix, const Activations& x, const PackedTokens& packed, int64_t tile) {
  const int64_t first = packed.first(tile), tokens = packed.first(tile + 1) - first, blocks = x.blocks();
  const int64_t segment = segment_columns(matrix) / kActivationBlock, segments = blocks / segment;
  int8_t* codes = packed.codes + first * x.cols;
  float* scales = packed.scales + first * blocks;
  float* sums = packed.sums + first * segments;
  const auto row = [&](int64_t t) { return x.row_of(first + t); };
  if (is_four_bits(matrix.type)) {
    const auto even = [&](int64_t t) { return x.planes + row(t) * x.cols; };
    const auto odd = [&](int64_t t) { return x.planes + row(t) * x.cols + x.cols / 2; };
    interleave(even, tokens, x.cols / 8, codes, 2 * tokens);
    interleave(odd, tokens, x.cols / 8, codes + 4 * tokens, 2 * tokens);
  } else {
    interleave([&](int64_t t) { return x.codes + row(t) * x.cols; }, tokens, x.cols / 4, codes, tokens);
  }
  interleave([&](int64_t t) { return x.scales + row(t) * blocks; }, tokens, blocks, scales, tokens);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t s = 0; s < segments; ++s) {
      float sum = 0.0f;
      for (int64_t b = s * segment; b < (s + 1) * segment; ++b) sum += x.sums[row(t) * blocks + b];
      sums[s * tokens + t] = sum;
    }
  }
}

void GemmInt8(const Product& p, const PackedTokens& packed, int64_t begin, int64_t end, std::byte* buffer) {
  static constexpr auto kUpTo15 = kernels_of<Codes::kUpTo15>(std::make_integer_sequence<int, kMostTokens>());
  static constexpr auto kUpTo24 = kernels_of<Codes::kUpTo24>(std::make_integer_sequence<int, kMostTokens>());
  static constexpr auto kBytes = kernels_of<Codes::kBytes>(std::make_integer_sequence<int, kMostTokens>());
  const PackedMatrix& m = p.matrix;
  const CodeForm form = code_form(m.type);
  const auto& kernels = m.type == NumberFormat::kF4E2M1 ? kUpTo24 : is_four_bits(m.type) ? kUpTo15 : kBytes;
  const int64_t segment = segment_columns(m), segments = m.cols / segment, blocks = p.x.blocks();
  const int64_t chunk = chunk_columns(m);
  const bool corrected = is_corrected(m, form);
  auto* panels = reinterpret_cast<uint8_t*>(buffer);  // [panel, chunk/4, 16, 4]
  auto* scales = reinterpret_cast<float*>(buffer + kPieceRows * kChunkColumns);
  constexpr int64_t kScales = kPanelRows * kChunkColumns / kActivationBlock;  // of a panel
  float* zeros = scales + kPieceRows / kPanelRows * kScales;
  for (int64_t c = 0; c < m.cols; c += chunk) {
    const int64_t n = std::min(chunk, m.cols - c);
    for (int64_t row = begin, i = 0; row < end; row += kPanelRows, ++i) {
      const int64_t rows = std::min(kPanelRows, end - row);
      unpack_panel(m, form, row, rows, c, n, panels + i * kPanelRows * kChunkColumns);
      unpack_factors(m, form, row, rows, c, n / segment, scales + i * kScales, zeros + i * kScales);
    }
    for (int64_t tile = 0; tile < packed.tiles; ++tile) {
      const int64_t first = packed.first(tile), tokens = packed.first(tile + 1) - first;
      for (int64_t row = begin, i = 0; row < end; row += kPanelRows, ++i) {
        const Tile from{panels + i * kPanelRows * kChunkColumns,
                        scales + i * kScales,
                        zeros + i * kScales,
                        packed.codes + first * m.cols + c * tokens,
                        packed.scales + first * blocks + c / kActivationBlock * tokens,
                        packed.sums + first * segments + c / segment * tokens,
                        n / segment,
                        segment / kActivationBlock,
                        form.factor,
                        corrected};
        kernels[tokens - 1](from, {p.y + first * p.y_stride + row, p.y_stride, std::min(kPanelRows, end - row), c > 0});
      }
    }
  }
}

}  // namespace
}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

HWY_EXPORT(TileTokens);
HWY_EXPORT(PackTile);
HWY_EXPORT(GemmInt8);

int64_t int8_tile_tokens() { return HWY_DYNAMIC_DISPATCH(TileTokens)(); }

int64_t segment_columns(const PackedMatrix& matrix) {
  return matrix.group <= kChunkColumns ? matrix.group : std::gcd(matrix.group, kChunkColumns);
}

int64_t chunk_columns(const PackedMatrix& matrix) {
  const int64_t segment = segment_columns(matrix);
  return kChunkColumns / segment * segment;
}

void sum_segments(const PackedMatrix& matrix, const Activations& x, float* sums) {
  const int64_t segment = segment_columns(matrix), segments = matrix.cols / segment, blocks = segment / kActivationBlock;
  for (int64_t t = 0; t < x.tokens; ++t) {
    const float* of_blocks = x.sums + x.row_of(t) * x.blocks();
    for (int64_t s = 0; s < segments; ++s) {
      float sum = 0.0f;
      for (int64_t b = s * blocks; b < (s + 1) * blocks; ++b) sum += of_blocks[b];
      sums[t * segments + s] = sum;
    }
  }
}

void pack_int8_tile(const PackedMatrix& matrix, const Activations& x, const PackedTokens& packed, int64_t tile) {
  HWY_DYNAMIC_DISPATCH(PackTile)(matrix, x, packed, tile);
}

int64_t gemm_int8_buffer_bytes() {
  return kPieceRows * kChunkColumns + 2 * kPieceRows * kChunkColumns / kActivationBlock * static_cast<int64_t>(sizeof(float));
}

void gemm_int8(const Product& product, const PackedTokens& packed, int64_t begin, int64_t end, std::byte* buffer) {
  HWY_DYNAMIC_DISPATCH(GemmInt8)(product, packed, begin, end, buffer);
}

}  // namespace dsv4::ops
#endif  // HWY_ONCE
