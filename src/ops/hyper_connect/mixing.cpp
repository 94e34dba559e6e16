// Hyper-connections in vectors: along D where streams are read, with a token a lane where a token has only a few numbers (sigmoids, Sinkhorn).
#include "ops/hyper_connect/mixing.h"

#include <algorithm>
#include <cmath>

// Highway compiles what is between the two marks once for each instruction set, by including this file again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/hyper_connect/mixing.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include "ops/support/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {
namespace {

using Four = hn::CappedTag<float, 4>;  // narrow: a division of few lanes has less latency

/// kStreams: hc where it is known when compiling, so that loops over streams are unrolled; 0 otherwise.
template <int kStreams>
HWY_INLINE float post(int64_t any_streams, int64_t width, const float* streams, const float* output, const float* weights,
                      const float* comb, float* next) {
  const int64_t hc = kStreams > 0 ? kStreams : any_streams;
  return sum_over(width, [=](auto d, int64_t i) HWY_ATTR {
    const auto o = hn::LoadU(d, output + i);
    auto squares = hn::Zero(d);
    for (int64_t k = 0; k < hc; ++k) {
      auto sum = hn::Mul(hn::Set(d, weights[k]), o);
      for (int64_t j = 0; j < hc; ++j) sum = hn::MulAdd(hn::Set(d, comb[j * hc + k]), hn::LoadU(d, streams + j * width + i), sum);
      hn::StoreU(sum, d, next + k * width + i);
      squares = hn::MulAdd(sum, sum, squares);
    }
    return squares;
  });
}

float ApplyPost(const MixingSite& site, const float* streams, const float* output, const float* weights, const float* comb, float* next) {
  const int64_t hc = site.streams, n = hc * site.width;
  float squares = 0.0f;
  if (!output) {
    squares = sum_over(n, [=](auto d, int64_t i) HWY_ATTR {
      const auto x = hn::LoadU(d, streams + i);
      hn::StoreU(x, d, next + i);
      return hn::Mul(x, x);
    });
  } else if (hc == 4) {
    squares = post<4>(hc, site.width, streams, output, weights, comb, next);
  } else {
    squares = post<0>(hc, site.width, streams, output, weights, comb, next);
  }
  return 1.0f / std::sqrt(squares / static_cast<float>(n) + site.norm_eps);
}

template <int kStreams>
HWY_INLINE float weighted_sum(int64_t any_streams, int64_t width, const float* streams, const float* weights, float* x) {
  const int64_t hc = kStreams > 0 ? kStreams : any_streams;
  return sum_over(width, [=](auto d, int64_t i) HWY_ATTR {
    auto sum = hn::Zero(d);
    for (int64_t j = 0; j < hc; ++j) sum = hn::MulAdd(hn::Set(d, weights[j]), hn::LoadU(d, streams + j * width + i), sum);
    hn::StoreU(sum, d, x + i);
    return hn::Mul(sum, sum);
  });
}

void MixStreams(const MixingSite& site, const float* streams, const float* pre, const float* norm, float* x) {
  const int64_t width = site.width;
  const float squares =
      site.streams == 4 ? weighted_sum<4>(4, width, streams, pre, x) : weighted_sum<0>(site.streams, width, streams, pre, x);
  const float inverse = 1.0f / std::sqrt(squares / static_cast<float>(width) + site.norm_eps);
  for_each_vector(width, [=](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::Mul(hn::Mul(hn::LoadU(d, x + i), hn::Set(d, inverse)), hn::LoadU(d, norm + i)), d, x + i);
  });
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid(D d, V v) {
  const V e = hn::Exp(d, hn::Neg(hn::Abs(v)));  // at most 1
  return hn::Div(hn::IfThenElse(hn::Lt(v, hn::Zero(d)), e, hn::Set(d, 1.0f)), hn::Add(hn::Set(d, 1.0f), e));
}

/// Four numbers divided by their sum + eps.
template <class D, class V>
HWY_INLINE void normalise(D d, float eps, V& a, V& b, V& c, V& e) {
  const V inverse = hn::Div(hn::Set(d, 1.0f), hn::Add(hn::Add(hn::Add(a, b), hn::Add(c, e)), hn::Set(d, eps)));
  a = hn::Mul(a, inverse);
  b = hn::Mul(b, inverse);
  c = hn::Mul(c, inverse);
  e = hn::Mul(e, inverse);
}

/// From the column step of the first iteration on; c [4,4] numbers of a vector each, in registers meanwhile.
template <class D>
void alternate_four(D d, int64_t iterations, float eps, float* c) {
  const size_t n = hn::Lanes(d);
  auto c00 = hn::LoadU(d, c), c01 = hn::LoadU(d, c + n), c02 = hn::LoadU(d, c + 2 * n), c03 = hn::LoadU(d, c + 3 * n);
  auto c10 = hn::LoadU(d, c + 4 * n), c11 = hn::LoadU(d, c + 5 * n), c12 = hn::LoadU(d, c + 6 * n), c13 = hn::LoadU(d, c + 7 * n);
  auto c20 = hn::LoadU(d, c + 8 * n), c21 = hn::LoadU(d, c + 9 * n), c22 = hn::LoadU(d, c + 10 * n), c23 = hn::LoadU(d, c + 11 * n);
  auto c30 = hn::LoadU(d, c + 12 * n), c31 = hn::LoadU(d, c + 13 * n), c32 = hn::LoadU(d, c + 14 * n), c33 = hn::LoadU(d, c + 15 * n);
  for (int64_t i = 0; i < iterations; ++i) {
    if (i > 0) {
      normalise(d, eps, c00, c01, c02, c03);
      normalise(d, eps, c10, c11, c12, c13);
      normalise(d, eps, c20, c21, c22, c23);
      normalise(d, eps, c30, c31, c32, c33);
    }
    normalise(d, eps, c00, c10, c20, c30);
    normalise(d, eps, c01, c11, c21, c31);
    normalise(d, eps, c02, c12, c22, c32);
    normalise(d, eps, c03, c13, c23, c33);
  }
  hn::StoreU(c00, d, c), hn::StoreU(c01, d, c + n), hn::StoreU(c02, d, c + 2 * n), hn::StoreU(c03, d, c + 3 * n);
  hn::StoreU(c10, d, c + 4 * n), hn::StoreU(c11, d, c + 5 * n), hn::StoreU(c12, d, c + 6 * n), hn::StoreU(c13, d, c + 7 * n);
  hn::StoreU(c20, d, c + 8 * n), hn::StoreU(c21, d, c + 9 * n), hn::StoreU(c22, d, c + 10 * n), hn::StoreU(c23, d, c + 11 * n);
  hn::StoreU(c30, d, c + 12 * n), hn::StoreU(c31, d, c + 13 * n), hn::StoreU(c32, d, c + 14 * n), hn::StoreU(c33, d, c + 15 * n);
}

/// `count` numbers of a vector each, `step` vectors apart, divided by their sum + eps.
template <class D>
HWY_INLINE void normalise_any(D d, float eps, int64_t count, int64_t step, float* c) {
  const int64_t apart = step * static_cast<int64_t>(hn::Lanes(d));
  auto sum = hn::Set(d, eps);
  for (int64_t i = 0; i < count; ++i) sum = hn::Add(sum, hn::LoadU(d, c + i * apart));
  const auto inverse = hn::Div(hn::Set(d, 1.0f), sum);
  for (int64_t i = 0; i < count; ++i) hn::StoreU(hn::Mul(hn::LoadU(d, c + i * apart), inverse), d, c + i * apart);
}

template <class D>
void alternate_any(D d, int64_t hc, int64_t iterations, float eps, float* c) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < iterations; ++i) {
    if (i > 0) {
      for (int64_t j = 0; j < hc; ++j) normalise_any(d, eps, hc, 1, c + j * hc * lanes);
    }
    for (int64_t k = 0; k < hc; ++k) normalise_any(d, eps, hc, hc, c + k * lanes);
  }
}

/// comb logits [hc,hc] numbers of a vector each -> doubly stochastic ones.
template <class D>
HWY_INLINE void sinkhorn(D d, const MixingSite& site, float* c) {
  const int64_t hc = site.streams, lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t j = 0; j < hc; ++j) {  // softmax of each row, + eps
    float* row = c + j * hc * lanes;
    auto largest = hn::LoadU(d, row);
    for (int64_t k = 1; k < hc; ++k) largest = hn::Max(largest, hn::LoadU(d, row + k * lanes));
    auto sum = hn::Zero(d);
    for (int64_t k = 0; k < hc; ++k) {
      const auto e = hn::Exp(d, hn::Sub(hn::LoadU(d, row + k * lanes), largest));
      hn::StoreU(e, d, row + k * lanes);
      sum = hn::Add(sum, e);
    }
    const auto inverse = hn::Div(hn::Set(d, 1.0f), sum);
    for (int64_t k = 0; k < hc; ++k) {
      hn::StoreU(hn::Add(hn::Mul(hn::LoadU(d, row + k * lanes), inverse), hn::Set(d, site.eps)), d, row + k * lanes);
    }
  }
  if (hc == 4) {
    alternate_four(d, site.iterations, site.eps, c);
  } else {
    alternate_any(d, hc, site.iterations, site.eps, c);
  }
}

/// Some tokens, at most one a lane; v [outputs] vectors.
template <class D>
HWY_INLINE void weights_of(D d, const MixingSite& site, const float* u, const float* inverse_rms, int64_t tokens, float* v, float* pre,
                           float* post, float* comb) {
  const int64_t hc = site.streams, outputs = site.outputs(), lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t o = 0; o < outputs; ++o) {
    const float scale = site.scale[o < hc ? 0 : o < 2 * hc ? 1 : 2];
    for (int64_t t = 0; t < lanes; ++t) v[o * lanes + t] = t < tokens ? u[t * outputs + o] * inverse_rms[t] * scale + site.base[o] : 0.0f;
  }
  for (int64_t j = 0; j < hc; ++j) {
    hn::StoreU(hn::Add(sigmoid(d, hn::LoadU(d, v + j * lanes)), hn::Set(d, site.eps)), d, v + j * lanes);
  }
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t j = 0; j < hc; ++j) pre[t * hc + j] = v[j * lanes + t];
  }
  if (site.head) return;
  float* second = v + hc * lanes;
  for (int64_t j = 0; j < hc; ++j) {
    const auto s = sigmoid(d, hn::LoadU(d, second + j * lanes));
    hn::StoreU(hn::Add(s, s), d, second + j * lanes);
  }
  float* third = v + 2 * hc * lanes;
  sinkhorn(d, site, third);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t j = 0; j < hc; ++j) post[t * hc + j] = second[j * lanes + t];
    for (int64_t jk = 0; jk < hc * hc; ++jk) comb[t * hc * hc + jk] = third[jk * lanes + t];
  }
}

void MixingWeights(const MixingSite& site, const float* u, const float* inverse_rms, int64_t tokens, float* memory, float* pre, float* post,
                   float* comb) {
  const int64_t hc = site.streams;
  const auto group = [&](auto d, int64_t t, int64_t n) HWY_ATTR {
    weights_of(d, site, u + t * site.outputs(), inverse_rms + t, n, memory, pre + t * hc, site.head ? nullptr : post + t * hc,
               site.head ? nullptr : comb + t * hc * hc);
  };
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(FloatTag())), few = static_cast<int64_t>(hn::Lanes(Four()));
  for (int64_t t = 0; t < tokens;) {
    const int64_t left = tokens - t;
    if (left > few) {
      group(FloatTag(), t, std::min(left, lanes));
      t += lanes;
    } else {
      group(Four(), t, left);
      t += few;
    }
  }
}

int64_t LanesOf() { return static_cast<int64_t>(hn::Lanes(FloatTag())); }

}  // namespace
}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

namespace {
HWY_EXPORT(ApplyPost);
HWY_EXPORT(MixStreams);
HWY_EXPORT(MixingWeights);
HWY_EXPORT(LanesOf);
}  // namespace

float apply_post(const MixingSite& site, const float* streams, const float* output, const float* post, const float* comb, float* next) {
  return HWY_DYNAMIC_DISPATCH(ApplyPost)(site, streams, output, post, comb, next);
}

int64_t mixing_memory(const MixingSite& site) { return site.outputs() * HWY_DYNAMIC_DISPATCH(LanesOf)(); }

void mixing_weights(const MixingSite& site, const float* u, const float* inverse_rms, int64_t tokens, float* memory, float* pre,
                    float* post, float* comb) {
  HWY_DYNAMIC_DISPATCH(MixingWeights)(site, u, inverse_rms, tokens, memory, pre, post, comb);
}

void mix_streams(const MixingSite& site, const float* streams, const float* pre, const float* norm, float* x) {
  HWY_DYNAMIC_DISPATCH(MixStreams)(site, streams, pre, norm, x);
}

}  // namespace dsv4::ops
#endif  // HWY_ONCE
