// The product of one point: m [tiles, O] = v [tiles, I] · u [I, O], lanes along O, in registers.
//
//     v  [I / lanes][block][lanes]    as the input transform writes it
//     u  panels of two vectors of outputs (the last may have one): [panel][I][vectors][lanes]
//     m  [O / lanes][block][lanes]
//
// Naively each multiply-add reads two values and writes one. Here `rows` tiles times two vectors of outputs stay in
// registers over all of I, so that a multiply-add costs about half a load.
#pragma once

#include <algorithm>

#include "../common/lanes.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

// As many as registers hold: 14 · 2 of 32, or 6 · 2 of 16, beside two vectors of u and one of v.
#if defined(__AVX512F__)
constexpr int most_rows = 14;
#else
constexpr int most_rows = 6;
#endif

constexpr int ahead = 16;  // input channels whose weights are on their way from L3

// Unrolled by the language, since only then are the sums kept in registers.
template <int vectors, int... r, int... c>
inline void rows_of_panel(const float* v, int64_t v_stride, const float* u, int64_t I, float* m, int64_t m_stride,
                          std::integer_sequence<int, r...>, std::integer_sequence<int, c...>) {
  Vec sum[sizeof...(r)][vectors] = {};
  for (int64_t first = 0; first < I; first += lanes, v += v_stride) {
    const float *next = v, *end = v + std::min<int64_t>(lanes, I - first);
    for (; next < end; ++next, u += vectors * lanes) {
      const Vec w[vectors] = {read(u + c * lanes)...};
      (__builtin_prefetch(u + (ahead * vectors + c) * lanes), ...);
      const auto row = [&](Vec* s, float value) { ((s[c] += splat(value) * w[c]), ...); };
      (row(sum[r], next[r * lanes]), ...);
    }
  }
  const auto put = [&](const Vec* s, float* to) { (write(to + c * m_stride, s[c]), ...); };
  (put(sum[r], m + r * lanes), ...);
}

template <int rows, int vectors>
void product(const float* v, int64_t v_stride, const float* u, int64_t I, float* m, int64_t m_stride) {
  rows_of_panel<vectors>(v, v_stride, u, I, m, m_stride, std::make_integer_sequence<int, rows>(),
                         std::make_integer_sequence<int, vectors>());
}

using Product = void (*)(const float*, int64_t, const float*, int64_t, float*, int64_t);

// The product for 1 … most_rows rows
template <int vectors, int... r>
Product product_for(int64_t rows, std::integer_sequence<int, r...>) {
  static constexpr Product table[] = {product<r + 1, vectors>...};
  return table[rows - 1];
}

// All outputs of one point for `tiles` tiles; outputs is O rounded up to whole vectors.
inline void multiply_point(const float* v, int64_t v_stride, const float* u, int64_t I, int64_t outputs, float* m,
                           int64_t m_stride, int64_t tiles) {
  constexpr auto all = std::make_integer_sequence<int, most_rows>();
  for (int64_t o = 0; o < outputs; o += 2 * lanes) {
    const bool two = outputs - o > lanes;
    for (int64_t t = 0; t < tiles; t += most_rows) {
      const int64_t rows = std::min<int64_t>(most_rows, tiles - t);
      const Product kernel = two ? product_for<2>(rows, all) : product_for<1>(rows, all);
      kernel(v + t * lanes, v_stride, u + o * I, I, m + o / lanes * m_stride + t * lanes, m_stride);
    }
  }
}

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
