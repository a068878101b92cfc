// Number formats of tensors and the type each is computed in: fp32 for bf16 and fp16.
#pragma once

#include <cstdint>
#include <cstring>

#include "isa.h"

namespace smoothswap {

enum class Format : int32_t { f32, f64, bf16, f16 };

namespace SMOOTHSWAP_ISA {
namespace {

struct BF16 {
  using Wide = float;
  uint16_t bits;
};
struct F16 {
  using Wide = float;
  uint16_t bits;
};
template <class T>
struct WideOf {
  using type = typename T::Wide;
};
template <>
struct WideOf<float> {
  using type = float;
};
template <>
struct WideOf<double> {
  using type = double;
};
template <class T>
using Wide = typename WideOf<T>::type;

inline float from_bits(uint32_t u) {
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}
inline uint32_t to_bits(float f) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  return u;
}

inline float load(const float* p) { return *p; }
inline double load(const double* p) { return *p; }
inline float load(const BF16* p) { return from_bits(uint32_t(p->bits) << 16); }
inline float load(const F16* p) {
  // The exponent is moved by scaling with 2^112, which is exact and handles subnormals; all ones stay inf and nan.
  const uint32_t h = p->bits, sign = (h & 0x8000u) << 16, rest = (h & 0x7fffu) << 13;
  const uint32_t scaled = to_bits(from_bits(rest) * 0x1p112f);
  return from_bits(sign | ((h & 0x7c00u) == 0x7c00u ? rest | 0x7f800000u : scaled));
}

inline void store(float* p, float v) { *p = v; }
inline void store(double* p, double v) { *p = v; }
// Both round to nearest, ties to even.
inline void store(BF16* p, float v) {
  const uint32_t u = to_bits(v);
  const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  p->bits = uint16_t(v != v ? 0x7fc0u : rounded);
}
inline void store(F16* p, float v) {
  const uint32_t u = to_bits(v), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
  // Normal: shift the exponent and round. Subnormal: adding 1/2 lets the adder round at bit 2^-24.
  const uint32_t normal = (a - 0x38000000u + 0xfffu + ((a >> 13) & 1u)) >> 13;
  const uint32_t small = to_bits(from_bits(a) + 0.5f) - 0x3f000000u;
  uint32_t h = a < 0x38800000u ? small : normal;
  h = a >= 0x477ff000u ? 0x7c00u : h;
  h = a > 0x7f800000u ? 0x7e00u : h;
  p->bits = uint16_t(sign | h);
}

// call(T()) with the type T of a format
template <class Call>
auto with_type(Format format, Call call) {
  switch (format) {
    case Format::f32:
      return call(float());
    case Format::f64:
      return call(double());
    case Format::bf16:
      return call(BF16());
    default:
      return call(F16());
  }
}

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
