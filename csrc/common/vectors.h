// Vectors of the instruction set that the file is compiled for, through GCC's vector extensions, which Clang shares:
// the same source gives SSE2 or NEON, AVX2 and AVX-512. Tensors of 16 bits are widened to fp32 by their loads and
// rounded by their stores, as in numbers.h.
#pragma once

#include <utility>

#include "numbers.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

template <class A>
constexpr int lanes = vector_bytes / int(sizeof(A));

template <class A>
struct VectorOf {
  typedef A type __attribute__((vector_size(vector_bytes)));
};
template <class A>
using Vector = typename VectorOf<A>::type;  // [lanes<A>]

using Words = Vector<uint32_t>;
typedef uint16_t Halves __attribute__((vector_size(vector_bytes / 2)));  // [lanes<float>]

inline Vector<float> load_vector(const float* p) {
  Vector<float> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline Vector<double> load_vector(const double* p) {
  Vector<double> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline Words load_halves(const void* p) {
  Halves h;
  std::memcpy(&h, p, sizeof h);
  return __builtin_convertvector(h, Words);
}
inline Vector<float> load_vector(const BF16* p) { return (Vector<float>)(load_halves(p) << 16); }
inline Vector<float> load_vector(const F16* p) {
#if defined(__AVX512F__)
  return (Vector<float>)_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(__F16C__)
  return (Vector<float>)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
  const Words h = load_halves(p), sign = (h & 0x8000u) << 16, rest = (h & 0x7fffu) << 13;
  const Words special = (Words)((h & 0x7c00u) == 0x7c00u), scaled = (Words)((Vector<float>)rest * 0x1p112f);
  return (Vector<float>)(sign | (special & (rest | 0x7f800000u)) | (~special & scaled));
#endif
}

template <class Bits>
inline void store_bits(void* p, const Bits& v) {
  std::memcpy(p, &v, sizeof v);
}
inline void store_vector(float* p, Vector<float> v) {
  store_bits(p, v);
}
inline void store_vector(double* p, Vector<double> v) {
  store_bits(p, v);
}
inline void store_vector(BF16* p, Vector<float> v) {
  const Words u = (Words)v, nan = (Words)(v != v), rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  store_bits(p, __builtin_convertvector((nan & 0x7fc0u) | (~nan & rounded), Halves));
}
inline void store_vector(F16* p, Vector<float> v) {
#if defined(__AVX512F__)
  store_bits(p, _mm512_maskz_cvtps_ph(0xffff, (__m512)v, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
  store_bits(p, _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#else
  const Words u = (Words)v, sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
  const Words normal = (a - 0x38000000u + 0xfffu + ((a >> 13) & 1u)) >> 13;
  const Words small = (Words)((Vector<float>)a + 0.5f) - 0x3f000000u;
  const Words is_small = (Words)(a < 0x38800000u), over = (Words)(a >= 0x477ff000u), nan = (Words)(a > 0x7f800000u);
  Words h = (is_small & small) | (~is_small & normal);
  h = (over & 0x7c00u) | (~over & h);
  h = (nan & 0x7e00u) | (~nan & h);
  store_bits(p, __builtin_convertvector(sign | h, Halves));
#endif
}

// a0 b0 a1 b1 … of vectors a, b, and back.
template <class V, std::size_t... i>
inline std::pair<V, V> interleave(V a, V b, std::index_sequence<i...>) {
  constexpr int n = sizeof...(i);
  return {__builtin_shufflevector(a, b, (int(i) / 2 + int(i) % 2 * n)...),
          __builtin_shufflevector(a, b, (n / 2 + int(i) / 2 + int(i) % 2 * n)...)};
}
template <class V, std::size_t... i>
inline std::pair<V, V> deinterleave(V a, V b, std::index_sequence<i...>) {
  return {__builtin_shufflevector(a, b, (2 * int(i))...), __builtin_shufflevector(a, b, (2 * int(i) + 1)...)};
}

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
