// exp and its kin in fp32, written so that the compiler turns a loop over them into vector code: no branches, no tables, no
// calls. Errors are below 2.6 ulp over the whole range, subnormal results, ±inf and NaN included. fp64 calls the C library.
#pragma once

#include <math.h>

#include "numbers.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

// x = n·ln 2 + r with |r| ≤ ln 2 / 2
struct Exponent {
  float p;      // e^r − 1
  float whole;  // e^r
  float scale;  // 2^(n + Shift), where −126 ≤ n + Shift ≤ 127
  int32_t n;
};
// |x| < 2^14. Adding 1.5 · 2^23 rounds to an integer, which then stands in the lowest bits; 127 + Shift added with it makes
// these the exponent of the scale. ln 2 is taken in two parts, the first so short that n times it is exact.
// (e^r − 1 − r) / r² is a minimax polynomial, its error 1.4e-8 of e^r − 1.
// The polynomial is summed as a tree and not from the innermost bracket out: these loops are bound by their longest chain.
template <int Shift = 0>
inline Exponent split(float x) {
  const float magic = 0x1.8p23f + (127 + Shift), moved = x * 0x1.715476p0f + magic, n = moved - magic;
  const float r = (x - n * 0x1.62e4p-1f) - n * 1.428606820309417e-6f, rr = r * r;
  const float low = 1.66665380156e-1f * r + 0.5f, high = 8.36724675854e-3f * r + 4.16662665450e-2f;
  const float q = (1.39475977666e-3f * rr + high) * rr + low;
  return {q * rr + r, q * rr + (1 + r), from_bits(to_bits(moved) << 23), int32_t(to_bits(moved) - to_bits(magic))};
}
// 2^n, −126 ≤ n ≤ 127
inline float power(int32_t n) { return from_bits(uint32_t(n + 127) << 23); }

inline float magnitude(float x) { return from_bits(to_bits(x) & 0x7fffffffu); }
inline double magnitude(double x) { return __builtin_fabs(x); }

// e^x. Two factors of 2, so that the first may not overflow and subnormal results are rounded once.
inline float exp(float x) {
  x = x < -105.f ? -105.f : x;  // a NaN compares false and stays
  x = x > 90.f ? 90.f : x;
  const Exponent e = split(x);
  const int32_t half = e.n >> 1;
  return e.whole * power(half) * power(e.n - half);
}
inline double exp(double x) { return ::exp(x); }

// e^−m for m ≥ 0, cheaper: 2^n may be subnormal itself, which the detour over 2^(n + 24) allows.
inline float exp_minus(float m) {
  const Exponent e = split<24>(-(m > 104.f ? 104.f : m));
  return e.whole * (e.scale * 0x1p-24f);
}
inline double exp_minus(double m) { return ::exp(-m); }

// e^x − 1 for x ≤ 0, without cancellation where x is small.
inline float expm1_below(float x) {
  const Exponent e = split(x < -20.f ? -20.f : x);
  return e.scale * e.p + (e.scale - 1);
}
inline double expm1_below(double x) { return ::expm1(x); }

// log(1 + z) for 0 ≤ z ≤ 1: above √2 half of 1 + z is taken, so that its distance f from 1 stays small;
// (log(1 + f) − f + f²/2) / f³ is a minimax polynomial, its error 6e-9 of log(1 + f).
inline float log1p_unit(float z) {
  const bool upper = z > 0.41421356f;
  const float f = upper ? 0.5f * z - 0.5f : z;
  const float ff = f * f, a = -2.50008216117e-1f * f + 3.33333163267e-1f, b = -1.66241527665e-1f * f + 2.00023259655e-1f;
  const float c = -1.31318680359e-1f * f + 1.41800519776e-1f, d = -7.86242645407e-2f * f + 1.28910956424e-1f;
  const float q = (d * ff + c) * (ff * ff) + (b * ff + a);
  const float rest = f + ff * (q * f - 0.5f);
  return upper ? rest + 0x1.62e43p-1f : rest;
}
inline double log1p_unit(double z) { return ::log1p(z); }

// 1 / (1 + e^−x)
template <class A>
inline A sigmoid(A x) {
  const A e = exp_minus(magnitude(x));
  return (x >= 0 ? A(1) : e) / (1 + e);
}

// tanh |x| = 1 − 2 / (e^(2|x|) + 1), which would cancel where x is small: below 0.8 it is |x| + |x|³·q(x²), a minimax
// polynomial whose error is 3e-9 of tanh.
inline float tanh(float x) {
  const float whole = magnitude(x), a = whole > 10.f ? 10.f : whole, u = a * a;
  const Exponent e = split(2 * a);
  const float outer = 1 - 2 / (e.whole * e.scale + 1);
  const float uu = u * u, low = 1.33322702035e-1f * u - 3.33332995928e-1f;
  const float middle = 2.13140075460e-2f * u - 5.38558529708e-2f, high = 1.59303750158e-3f * u - 7.42521354772e-3f;
  const float q = (high * uu + middle) * uu + low;
  const float y = a < 0.8f ? a + a * (u * q) : outer;
  return from_bits(to_bits(y) | (to_bits(x) & 0x80000000u));
}
inline double tanh(double x) { return ::tanh(x); }

// log(1 + e^x)
template <class A>
inline A softplus(A x) {
  return (x > 0 ? x : A(0)) + log1p_unit(exp_minus(magnitude(x)));
}

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
