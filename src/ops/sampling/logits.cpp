// Vector loops over logits, compiled for every instruction set. Multiplications and additions stay two roundings each, with and without FMA.
#include "ops/sampling/logits.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

// Highway compiles what is between the two marks once for each instruction set, by including this file again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/sampling/logits.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include <hwy/highway.h>

#ifndef DSV4_OPS_SAMPLING_LOGITS_ONCE
#define DSV4_OPS_SAMPLING_LOGITS_ONCE
namespace dsv4::ops {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLowest = std::numeric_limits<float>::lowest();
constexpr float kNoWeight = -27.0f;  // exp of less is below half of a mass unit
constexpr double kMagic = 98304.0;   // 1.5 * 2^16: doubles of this size are multiples of a mass unit
constexpr float kMargin = 1.0001f;   // more than the error of a float weight, for tests that may let too many pass

/// A float that is not above `value`.
float float_below(double value) {
  const float nearest = static_cast<float>(std::max(value, static_cast<double>(kLowest)));
  return nearest > value ? std::nextafter(nearest, -kInfinity) : nearest;
}

/// What exp is taken of is (logit - max) * this.
float inverse_of(double temperature) {
  return static_cast<float>(std::min(1.0 / temperature, static_cast<double>(std::numeric_limits<float>::max())));
}

/// The exact race: every instruction set asks it for the few ids that may beat the best so far.
class Race {
 public:
  Race(std::span<const float> logits, const Weighting& weighting, const Bound& bound, const Noise& noise, int64_t first)
      : logits_(logits), weighting_(weighting), bound_(bound), noise_(noise) {
    take(first, score(first));
  }

  void consider(int64_t id) {
    if (!bound_.keeps(logits_[static_cast<size_t>(id)], id)) return;
    const double its = score(id);
    if (its > score_ || (its == score_ && id < best_)) take(id, its);
  }

  int64_t best() const { return best_; }
  /// Logits below cannot win, whatever their noise.
  float can_win() const { return can_win_; }
  /// With logits below an id wins only if its coarse noise is the largest that there is: 1 - u < 2^-16.
  float needs_weight() const { return needs_weight_; }
  /// An id wins only if 1 - u <= its weight times this: 1 - u <= -log(u), and -log(-log(u)) has to be above score - log(weight).
  float chance() const { return chance_; }

 private:
  double score(int64_t id) const {
    return (static_cast<double>(logits_[static_cast<size_t>(id)]) - static_cast<double>(weighting_.max)) / weighting_.temperature +
           gumbel(noise_bits(noise_, id));
  }
  void take(int64_t id, double its) {
    constexpr double kCoarse = 11.1;  // more than 16 log(2)
    best_ = id;
    score_ = its;
    can_win_ = std::max(bound_.least, float_below(weighting_.max + weighting_.temperature * (score_ - kMostGumbel)));
    needs_weight_ = float_below(weighting_.max + weighting_.temperature * (score_ - kCoarse));
    chance_ = static_cast<float>(std::exp(-score_)) * kMargin;
  }

  std::span<const float> logits_;
  Weighting weighting_;
  Bound bound_;
  Noise noise_;
  int64_t best_ = -1;
  double score_ = 0.0;
  float can_win_ = 0.0f, needs_weight_ = 0.0f, chance_ = 0.0f;
};

/// The keys of a seed, round by round.
struct RoundKeys {
  std::array<uint64_t, Philox::kRounds> first, second;

  explicit RoundKeys(uint64_t seed) {
    auto a = static_cast<uint32_t>(seed), b = static_cast<uint32_t>(seed >> 32);
    for (size_t round = 0; round < first.size(); ++round, a += Philox::kStep0, b += Philox::kStep1) {
      first[round] = a;
      second[round] = b;
    }
  }
};

}  // namespace
}  // namespace dsv4::ops
#endif

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::CappedTag<float, 16>;  // so that a group is whole vectors
using Vec = hn::Vec<FloatTag>;

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(FloatTag())); }

/// exp(x) for x <= 0, within 2 units in the last place; 0 below kNoWeight. The polynomial is that of Cephes.
HWY_INLINE Vec exp_of(Vec x) {
  const FloatTag d;
  const auto some = hn::Ge(x, hn::Set(d, kNoWeight));
  x = hn::Max(x, hn::Set(d, kNoWeight));
  const auto n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504088896341f)));
  const auto r = hn::Sub(hn::Sub(x, hn::Mul(n, hn::Set(d, 0.693359375f))), hn::Mul(n, hn::Set(d, -2.12194440e-4f)));
  auto p = hn::Set(d, 1.9875691500e-4f);
  p = hn::Add(hn::Mul(p, r), hn::Set(d, 1.3981999507e-3f));
  p = hn::Add(hn::Mul(p, r), hn::Set(d, 8.3334519073e-3f));
  p = hn::Add(hn::Mul(p, r), hn::Set(d, 4.1665795894e-2f));
  p = hn::Add(hn::Mul(p, r), hn::Set(d, 1.6666665459e-1f));
  p = hn::Add(hn::Mul(p, r), hn::Set(d, 5.0000001201e-1f));
  const auto y = hn::Add(hn::Add(hn::Mul(hn::Mul(p, r), r), r), hn::Set(d, 1.0f));
  const hn::RebindToSigned<FloatTag> di;
  const auto power = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127))));
  return hn::IfThenElseZero(some, hn::Mul(y, power));
}

/// Weights of a vector of logits; 0 for those below `least`.
HWY_INLINE Vec weights_of(Vec logits, Vec least, Vec max, Vec inverse) {
  const FloatTag d;
  const auto down = hn::Max(hn::Sub(logits, max), hn::Set(d, kLowest));  // finite, so that times 0 it is 0
  return hn::IfThenElseZero(hn::Ge(logits, least), exp_of(hn::Mul(down, inverse)));
}

#if HWY_TARGET == HWY_SCALAR

using Sums = uint64_t;

HWY_INLINE Sums no_sums() { return 0; }

/// The sum with a weight, with the bits of kMagic on top.
HWY_INLINE Sums add_weights(Sums sums, Vec weight) {
  return sums + std::bit_cast<uint64_t>(static_cast<double>(hn::GetLane(weight)) + kMagic);
}

/// The sum of `count` weights.
HWY_INLINE uint64_t total_of(Sums sums, uint64_t count) { return sums - count * std::bit_cast<uint64_t>(kMagic); }

/// The noise of a group against its weights [128].
HWY_INLINE void race_group(const float* group, const float* weights, int64_t begin, const Noise& noise, const RoundKeys&, Race& race) {
  for (int64_t i = 0; i < kNoiseGroup; ++i) {
    if (group[i] < race.can_win()) continue;
    const float left = static_cast<float>(0xFFFF - coarse_noise(noise, begin + i)) * 0x1p-16f;
    if (left <= weights[i] * race.chance()) race.consider(begin + i);
  }
}

#else

using WordTag = hn::RebindToUnsigned<FloatTag>;
using SumTag = hn::Repartition<uint64_t, FloatTag>;
using DoubleTag = hn::Repartition<double, FloatTag>;
using HalfTag = hn::Half<FloatTag>;
using Sums = hn::Vec<SumTag>;

HWY_INLINE Sums no_sums() { return hn::Zero(SumTag()); }

/// The sum with a vector of weights, each with the bits of kMagic on top.
HWY_INLINE Sums add_weights(Sums sums, Vec weights) {
  const DoubleTag d;
  const auto magic = hn::Set(d, kMagic);
  const auto low = hn::Add(hn::PromoteTo(d, hn::LowerHalf(HalfTag(), weights)), magic);
  const auto high = hn::Add(hn::PromoteTo(d, hn::UpperHalf(HalfTag(), weights)), magic);
  return hn::Add(sums, hn::Add(hn::BitCast(SumTag(), low), hn::BitCast(SumTag(), high)));
}

/// The sum of `count` weights.
HWY_INLINE uint64_t total_of(Sums sums, uint64_t count) {
  HWY_ALIGN uint64_t parts[8];
  hn::Store(sums, SumTag(), parts);
  uint64_t total = 0;
  for (size_t i = 0; i < hn::Lanes(SumTag()); ++i) total += parts[i];
  return total - count * std::bit_cast<uint64_t>(kMagic);
}

/// A round of Philox on counters in 64-bit lanes, whose upper halves mean nothing: multiplications do not read them.
HWY_INLINE void philox_round(Sums& x0, Sums& x1, Sums& x2, Sums& x3, Sums key0, Sums key1) {
  const WordTag d;
  const auto a = hn::MulEven(hn::BitCast(d, x0), hn::Set(d, Philox::kFactor0));
  const auto b = hn::MulEven(hn::BitCast(d, x2), hn::Set(d, Philox::kFactor1));
  x0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(b), x1), key0);
  x1 = b;
  x2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(a), x3), key1);
  x3 = a;
}

/// The ids from `begin` on, with their coarse noise.
HWY_INLINE void race_vector(hn::Vec<WordTag> coarse, const float* logits, const float* weights, int64_t begin, Race& race) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> di;
  // 1 - u, rounded down to 16 bits. A weight that was rounded to 0 lets only the largest coarse noise pass, which is too many.
  const auto left = hn::Mul(hn::ConvertTo(d, hn::Sub(hn::Set(di, 0xFFFF), hn::BitCast(di, coarse))), hn::Set(d, 0x1p-16f));
  const auto wins = hn::Le(left, hn::Mul(hn::Load(d, weights), hn::Set(d, race.chance())));
  const auto mask = hn::And(wins, hn::Ge(hn::LoadU(d, logits), hn::Set(d, race.can_win())));
  if (hn::AllFalse(d, mask)) return;
  uint8_t bits[8] = {};
  hn::StoreMaskBits(d, mask, bits);
  for (int64_t lane = 0; lane < lanes(); ++lane) {
    if ((bits[lane / 8] >> (lane % 8)) & 1) race.consider(begin + lane);
  }
}

/// The ids from `begin` on, and those kNoiseBlocks later, whose noise lies in the lower halves of two vectors of 64-bit lanes.
HWY_INLINE void race_words(Sums low, Sums high, const float* logits, const float* weights, int64_t begin, Race& race) {
  const WordTag d;
  const auto words = hn::ConcatEven(d, hn::BitCast(d, high), hn::BitCast(d, low));
  race_vector(hn::And(words, hn::Set(d, 0xFFFFu)), logits, weights, begin, race);
  race_vector(hn::ShiftRight<16>(words), logits + kNoiseBlocks, weights + kNoiseBlocks, begin + kNoiseBlocks, race);
}

/// The noise of a group against its weights [128].
HWY_INLINE void race_group(const float* group, const float* weights, int64_t begin, const Noise& noise, const RoundKeys& keys, Race& race) {
  const SumTag d;
  const int64_t step = lanes();
  for (int64_t at = 0; at < kNoiseBlocks; at += step) {
    const auto block = static_cast<uint64_t>(begin / kNoiseGroup * kNoiseBlocks + at);
    auto a0 = hn::Iota(d, block), a1 = hn::Set(d, noise.position), a2 = hn::Set(d, noise.position >> 32), a3 = hn::Zero(d);
    auto b0 = hn::Iota(d, block + static_cast<uint64_t>(step / 2)), b1 = a1, b2 = a2, b3 = a3;
    for (size_t round = 0; round < keys.first.size(); ++round) {
      const auto key0 = hn::Set(d, keys.first[round]), key1 = hn::Set(d, keys.second[round]);
      philox_round(a0, a1, a2, a3, key0, key1);
      philox_round(b0, b1, b2, b3, key0, key1);
    }
    const float *l = group + at, *w = weights + at;
    race_words(a0, b0, l, w, begin + at, race);
    race_words(a1, b1, l + 32, w + 32, begin + at + 32, race);
    race_words(a2, b2, l + 64, w + 64, begin + at + 64, race);
    race_words(a3, b3, l + 96, w + 96, begin + at + 96, race);
  }
}

#endif

/// A group of logits where it is whole, else a copy that ends in -infinity.
HWY_INLINE const float* whole_group(const float* logits, int64_t count, float* copy) {
  if (count >= kNoiseGroup) return logits;
  std::fill(std::copy_n(logits, count, copy), copy + kNoiseGroup, -kInfinity);
  return copy;
}

HWY_INLINE Vec largest_of_group(const float* group) {
  const FloatTag d;
  auto most = hn::LoadU(d, group);
  for (int64_t i = lanes(); i < kNoiseGroup; i += lanes()) most = hn::Max(most, hn::LoadU(d, group + i));
  return most;
}

Largest FindLargest(const float* logits, int64_t n) {
  const FloatTag d;
  const int64_t step = lanes();
  HWY_ALIGN float copy[kNoiseGroup];
  auto most = hn::Set(d, -kInfinity);
  auto strange = hn::Zero(d);
  for (int64_t begin = 0; begin < n; begin += kNoiseGroup) {
    const float* group = whole_group(logits + begin, n - begin, copy);
    most = hn::Max(most, largest_of_group(group));
    for (int64_t i = 0; i < kNoiseGroup; i += step) strange = hn::Or(strange, hn::VecFromMask(d, hn::IsNaN(hn::LoadU(d, group + i))));
  }
  Largest found;
  if (!hn::AllFalse(d, hn::MaskFromVec(strange))) {
    found.nan = 0;
    while (!std::isnan(logits[found.nan])) ++found.nan;
    return found;
  }
  found.value = hn::GetLane(hn::MaxOfLanes(d, most));
  const auto wanted = hn::Set(d, found.value);
  int64_t id = 0;
  while (id + step <= n && hn::AllFalse(d, hn::Eq(hn::LoadU(d, logits + id), wanted))) id += step;
  while (id < n && logits[id] != found.value) ++id;
  found.id = n == 0 ? -1 : id;
  return found;
}

/// Ids of [0, n) with logits above `least`, behind those in `ids`, up to `room` of them; where it stopped.
int64_t GatherAbove(const float* logits, int64_t begin, int64_t n, float least, int64_t room, std::vector<int64_t>* ids) {
  const FloatTag d;
  const int64_t step = lanes();
  const auto bound = hn::Set(d, least);
  while (begin < n) {
    if (begin + step <= n && hn::AllFalse(d, hn::Gt(hn::LoadU(d, logits + begin), bound))) {
      begin += step;
      continue;
    }
    const int64_t end = std::min(begin + step, n);
    for (; begin < end; ++begin) {
      if (!(logits[begin] > least)) continue;
      if (static_cast<int64_t>(ids->size()) >= room) return begin;
      ids->push_back(begin);
    }
  }
  return n;
}

/// Of ids [0, n) with logits from `least` on.
uint64_t MassOf(const float* logits, int64_t n, const Weighting& weighting, float least) {
  const FloatTag d;
  const float inverse = inverse_of(weighting.temperature);
  const auto lowest = hn::Set(d, std::max(least, float_below(weighting.max + 1.001 * kNoWeight * weighting.temperature)));
  const auto max = hn::Set(d, weighting.max), factor = hn::Set(d, inverse), bound = hn::Set(d, least);
  HWY_ALIGN float copy[kNoiseGroup];
  Sums sums = no_sums();
  uint64_t count = 0;
  for (int64_t begin = 0; begin < n; begin += kNoiseGroup) {
    const float* group = whole_group(logits + begin, n - begin, copy);
    if (hn::AllFalse(d, hn::Ge(largest_of_group(group), lowest))) continue;
    for (int64_t i = 0; i < kNoiseGroup; i += lanes()) sums = add_weights(sums, weights_of(hn::LoadU(d, group + i), bound, max, factor));
    count += static_cast<uint64_t>(kNoiseGroup);
  }
  return total_of(sums, count);
}

int64_t DrawOne(std::span<const float> logits, const Weighting& weighting, const Bound& limit, const Noise& noise, int64_t most_likely) {
  const FloatTag d;
  const int64_t n = std::ssize(logits);
  const RoundKeys keys(noise.seed);
  Race race(logits, weighting, limit, noise, most_likely);
  const auto max = hn::Set(d, weighting.max), factor = hn::Set(d, inverse_of(weighting.temperature)), bound = hn::Set(d, limit.least);
  HWY_ALIGN float copy[kNoiseGroup], weights[kNoiseGroup], no_weights[kNoiseGroup] = {};
  for (int64_t begin = 0; begin < n; begin += kNoiseGroup) {
    const float* group = whole_group(logits.data() + begin, n - begin, copy);
    const auto most = largest_of_group(group);
    if (hn::AllFalse(d, hn::Ge(most, hn::Set(d, race.can_win())))) continue;
    const bool weighs = !hn::AllFalse(d, hn::Ge(most, hn::Set(d, race.needs_weight())));
    for (int64_t i = 0; weighs && i < kNoiseGroup; i += lanes())
      hn::Store(weights_of(hn::LoadU(d, group + i), bound, max, factor), d, weights + i);
    race_group(group, weighs ? weights : no_weights, begin, noise, keys, race);
  }
  return race.best();
}

}  // namespace
}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

HWY_EXPORT(FindLargest);
HWY_EXPORT(GatherAbove);
HWY_EXPORT(MassOf);
HWY_EXPORT(DrawOne);

Largest largest(std::span<const float> logits) { return HWY_DYNAMIC_DISPATCH(FindLargest)(logits.data(), std::ssize(logits)); }

std::vector<int64_t> top_ids(std::span<const float> logits, int64_t count) {
  const int64_t n = std::ssize(logits);
  std::vector<int64_t> ids;
  count = std::min(count, n);
  if (count <= 0) return ids;
  const auto before = [&](int64_t a, int64_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  // Ids gather until there are twice as many as wanted and some more; then the best are kept, and only larger logits than theirs gather from there on: of equal
  // ones the lower ids are there already.
  const int64_t room = 2 * count + 64;
  ids.reserve(static_cast<size_t>(std::min(room, n)));
  for (int64_t i = 0; i < count; ++i) ids.push_back(i);
  float least = *std::min_element(logits.begin(), logits.begin() + count);
  for (int64_t begin = count; begin < n;) {
    begin = HWY_DYNAMIC_DISPATCH(GatherAbove)(logits.data(), begin, n, least, room, &ids);
    if (begin == n) break;
    std::nth_element(ids.begin(), ids.begin() + (count - 1), ids.end(), before);
    ids.resize(static_cast<size_t>(count));
    least = logits[static_cast<size_t>(ids.back())];
  }
  std::nth_element(ids.begin(), ids.begin() + (count - 1), ids.end(), before);
  ids.resize(static_cast<size_t>(count));
  std::sort(ids.begin(), ids.end(), before);
  return ids;
}

uint64_t mass(std::span<const float> logits, const Weighting& weighting, const Bound& bound) {
  // Up to `last` equal logits count, behind it only larger ones.
  const int64_t n = std::ssize(logits), split = bound.last < n - 1 ? bound.last + 1 : n;
  const auto of = [&](int64_t begin, int64_t end, float least) {
    return HWY_DYNAMIC_DISPATCH(MassOf)(logits.data() + begin, end - begin, weighting, least);
  };
  return of(0, split, bound.least) + of(split, n, std::nextafter(bound.least, kInfinity));
}

int64_t draw(std::span<const float> logits, const Weighting& weighting, const Bound& bound, const Noise& noise, int64_t most_likely) {
  return HWY_DYNAMIC_DISPATCH(DrawOne)(logits, weighting, bound, noise, most_likely);
}

}  // namespace dsv4::ops
#endif  // HWY_ONCE
