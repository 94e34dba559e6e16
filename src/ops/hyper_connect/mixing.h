// The arithmetic of hyper-connections (spec 2.3) for one token or some, without products of matrices.
#pragma once

#include <cstdint>

namespace dsv4::ops {

/// What turns the outputs u of fn into weights. Pointers need no alignment.
struct MixingSite {
  int64_t streams = 0;           ///< hc
  int64_t width = 0;             ///< D
  const float* base = nullptr;   ///< [(2+hc)*hc], or [hc] of a head
  const float* scale = nullptr;  ///< [3], or [1] of a head
  bool head = false;             ///< pre only
  int64_t iterations = 0;        ///< of Sinkhorn
  float eps = 0.0f;
  float norm_eps = 0.0f;

  int64_t outputs() const { return head ? streams : (2 + streams) * streams; }
};

/// next_k = post_k * output + sum_j comb_jk * streams_j for one token: streams and next [hc,D], output [D], post [hc], comb [hc,hc]. Without `output`, a copy.
/// The inverse RMS of all of next.
float apply_post(const MixingSite& site, const float* streams, const float* output, const float* post, const float* comb, float* next);

/// Floats of working memory that a call of mixing_weights() needs.
int64_t mixing_memory(const MixingSite& site);

/// u [tokens, outputs()] and inverse RMS [tokens] -> pre, post [tokens,hc], comb [tokens,hc,hc]; the latter two are not touched at a head.
void mixing_weights(const MixingSite& site, const float* u, const float* inverse_rms, int64_t tokens, float* memory, float* pre,
                    float* post, float* comb);

/// x = RMSNorm(sum_j pre_j * streams_j) * norm, one token.
void mix_streams(const MixingSite& site, const float* streams, const float* pre, const float* norm, float* x);

}  // namespace dsv4::ops
