// e^x of a block of values. The loop over vector_math.h's version compiles to vector code on every processor; AVX-512 has
// instructions for the rounding and the powers of two, which are half of it.
#pragma once

#include "avx512.h"
#include "vector_math.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

// v[i] ← e^(v[i] · scale), i < n; −∞ gives 0, a NaN stays. Beyond ±88 the result may be that of ±88 or ±∞.
template <class A>
inline void exponentials(A* v, A scale, int64_t n) {
  for (int64_t i = 0; i < n; ++i) v[i] = exp(v[i] * scale);
}

#if defined(__AVX512F__)
// e^x = 2^k · 2^r with k + r = x·log2 e, log2 e in two parts, and |r| ≤ 1/2; (2^r − 1) / r by a minimax polynomial, whose
// error is 1.6e-8 of 2^r.
inline __m512 exponential(__m512 x) {
  const __m512 high = _mm512_set1_ps(0x1.715476p0f), low = _mm512_set1_ps(0x1.4ae0cp-26f);
  // The limit is the first argument, so that a NaN, the second, comes through.
  x = _mm512_max_ps(_mm512_set1_ps(-105.f), x);
  const __m512 k = _mm512_roundscale_ps(_mm512_mul_ps(x, high), 8);
  const __m512 r = _mm512_fmadd_ps(x, low, _mm512_fmsub_ps(x, high, k)), rr = _mm512_mul_ps(r, r);
  // Summed as a tree: the loop is bound by its longest chain.
  const __m512 a = _mm512_fmadd_ps(_mm512_set1_ps(0x1.62e43p-1f), r, _mm512_set1_ps(1.f));
  const __m512 b = _mm512_fmadd_ps(_mm512_set1_ps(0x1.c6aee8p-5f), r, _mm512_set1_ps(0x1.ebfbdcp-3f));
  const __m512 c = _mm512_fmadd_ps(_mm512_set1_ps(0x1.5f3e54p-10f), r, _mm512_set1_ps(0x1.3b2d4cp-7f));
  const __m512 d = _mm512_fmadd_ps(_mm512_set1_ps(0x1.41fbbcp-13f), rr, c);
  return _mm512_scalef_ps(_mm512_fmadd_ps(_mm512_fmadd_ps(d, rr, b), rr, a), k);
}
template <>
inline void exponentials<float>(float* v, float scale, int64_t n) {
  const __m512 factor = _mm512_set1_ps(scale);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) _mm512_storeu_ps(v + i, exponential(_mm512_mul_ps(_mm512_loadu_ps(v + i), factor)));
  if (i < n) {
    const __mmask16 rest = __mmask16((1u << (n - i)) - 1);
    _mm512_mask_storeu_ps(v + i, rest, exponential(_mm512_mul_ps(_mm512_maskz_loadu_ps(rest, v + i), factor)));
  }
}
#endif

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
