// Sigmoid of a block of values. The loop over vector_math.h's version compiles to vector code on every processor; with
// AVX-512 half of its time goes into a division and the making of powers of two, for which there are instructions.
#pragma once

#include "avx512.h"
#include "vector_math.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

// s[i] = 1 / (1 + e^−v[i]), i < n
template <class A>
inline void sigmoids(const A* __restrict v, A* __restrict s, int64_t n) {
  for (int64_t i = 0; i < n; ++i) s[i] = sigmoid(v[i]);
}

#if defined(__AVX512F__)
// e^−v = 2^k · 2^r with k + r = −v·log2 e, |r| ≤ 1/2; 2^r − 1 by a minimax polynomial, its error 9.2e-8 of 2^r. The quotient
// is the processor's 14-bit guess and a step of Newton's. Beyond ±87 the sigmoid no longer changes by a normal number.
inline __m512 sigmoid_of(__m512 v) {
  const __m512 limit = _mm512_set1_ps(87.f), rate = _mm512_set1_ps(-0x1.715476p0f), one = _mm512_set1_ps(1.f);
  // A NaN is replaced by the limit here: it comes back with v itself, which every user of the sigmoid multiplies by.
  v = _mm512_min_ps(_mm512_max_ps(v, _mm512_sub_ps(_mm512_setzero_ps(), limit)), limit);
  const __m512 k = _mm512_roundscale_ps(_mm512_mul_ps(v, rate), 8), r = _mm512_fmsub_ps(v, rate, k);
  __m512 q = _mm512_set1_ps(1.326477607e-3f);
  q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(9.671513380e-3f));
  q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(5.550733613e-2f));
  q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(2.402224207e-1f));
  q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(6.931469776e-1f));
  q = _mm512_fmadd_ps(q, r, one);
  const __m512 below = _mm512_add_ps(_mm512_scalef_ps(q, k), one), guess = _mm512_rcp14_ps(below);
  return _mm512_fmadd_ps(_mm512_fnmadd_ps(below, guess, one), guess, guess);
}
template <>
inline void sigmoids<float>(const float* __restrict v, float* __restrict s, int64_t n) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) _mm512_storeu_ps(s + i, sigmoid_of(_mm512_loadu_ps(v + i)));
  if (i < n) {
    const __mmask16 rest = __mmask16((1u << (n - i)) - 1);
    _mm512_mask_storeu_ps(s + i, rest, sigmoid_of(_mm512_maskz_loadu_ps(rest, v + i)));
  }
}
#endif

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
