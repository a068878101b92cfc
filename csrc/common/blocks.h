// Blocks of numbers between their format in memory and the arithmetic's.
#pragma once

#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "numbers.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

template <class T>
inline void widen(const T* __restrict from, Wide<T>* __restrict to, int64_t n) {
  for (int64_t k = 0; k < n; ++k) to[k] = load(from + k);
}
template <class T>
inline void narrow(const Wide<T>* __restrict from, T* __restrict to, int64_t n) {
  for (int64_t k = 0; k < n; ++k) store(to + k, from[k]);
}

#if defined(__F16C__)
// The processor converts fp16 itself, rounding to nearest, ties to even.
inline void widen(const F16* __restrict from, float* __restrict to, int64_t n) {
  int64_t k = 0;
  for (; k + 8 <= n; k += 8)
    _mm256_storeu_ps(to + k, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + k))));
  for (; k < n; ++k) to[k] = load(from + k);
}
inline void narrow(const float* __restrict from, F16* __restrict to, int64_t n) {
  int64_t k = 0;
  for (; k + 8 <= n; k += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + k),
                     _mm256_cvtps_ph(_mm256_loadu_ps(from + k), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  for (; k < n; ++k) store(to + k, from[k]);
}
#endif

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
