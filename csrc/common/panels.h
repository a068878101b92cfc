// A matrix product out of packed panels: the part in registers, and what packs.
//
//     c [rows, panel] (+)= Σ_k a(row, k) · b [k][panel]
//
// Naively each multiply-add reads two values and writes one. Here panel_rows rows times a panel of two vectors stay in
// registers over all k, so that a multiply-add costs about half a load.
#pragma once

#include <type_traits>
#include <utility>

#include "vectors.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

// As many rows as registers hold beside two vectors of b and one of a: 12 · 2 of 32, or 6 · 2 of 16.
#if defined(__AVX512F__)
constexpr int panel_rows = 12;
#else
constexpr int panel_rows = 6;
#endif
template <class A>
constexpr int panel_width = 2 * lanes<A>;

template <class A>
inline Vector<A> splat(A value) {
  return value - Vector<A>{};
}

// Unrolled by the language, since only then are the sums kept in registers.
template <int a_row, int a_step, class A, int... r>
inline void sums_of_panel(const A* a, const A* b, int64_t K, Vector<A> (&sum)[panel_rows][2],
                          std::integer_sequence<int, r...>) {
  Vector<A> s[panel_rows][2] = {};
  for (int64_t k = 0; k < K; ++k, a += a_step, b += panel_width<A>) {
    const Vector<A> left = load_vector(b), right = load_vector(b + lanes<A>);
    const auto row = [&](Vector<A>* t, A value) { t[0] += splat(value) * left, t[1] += splat(value) * right; };
    (row(s[r], a[r * a_row]), ...);
  }
  ((sum[r][0] = s[r][0], sum[r][1] = s[r][1]), ...);
}

// c ← sums, or c + sums; a(row, k) = a[row · a_row + k · a_step]. All panel_rows rows of a are read, and rows × columns of
// the result, which lies c_stride apart, are written.
template <bool add, int a_row, int a_step, class A>
inline void multiply_panel(const A* a, const A* b, int64_t K, A* c, int64_t c_stride, int64_t rows = panel_rows,
                           int64_t columns = panel_width<A>) {
  // What the result is added to comes from far: asked for now, it is there when the sums are.
  if constexpr (add)
    for (int64_t r = 0; r < rows; ++r) {
      __builtin_prefetch(c + r * c_stride, 1);
      __builtin_prefetch(c + r * c_stride + lanes<A>, 1);
    }
  Vector<A> sum[panel_rows][2];
  sums_of_panel<a_row, a_step>(a, b, K, sum, std::make_integer_sequence<int, panel_rows>());
  if (columns == panel_width<A>) {
    for (int64_t r = 0; r < rows; ++r, c += c_stride)
      for (int half = 0; half < 2; ++half) {
        A* to = c + half * lanes<A>;
        store_vector(to, add ? load_vector(to) + sum[r][half] : sum[r][half]);
      }
    return;
  }
  A values[panel_width<A>];
  for (int64_t r = 0; r < rows; ++r, c += c_stride) {
    store_vector(values, sum[r][0]);
    store_vector(values + lanes<A>, sum[r][1]);
    for (int64_t k = 0; k < columns; ++k) c[k] = add ? c[k] + values[k] : values[k];
  }
}

// The first `count` of a vector's values from memory, the rest zeros
template <class T>
inline Vector<Wide<T>> load_some(const T* p, int64_t count) {
  using A = Wide<T>;
  if (count >= lanes<A>) return load_vector(p);
  A values[lanes<A>] = {};
  for (int64_t k = 0; k < count; ++k) values[k] = load(p + k);
  return load_vector(values);
}

// to [rows][to_stride] ← x [rows, count], rows `stride` apart; whole vectors are written, padded with zeros
template <class T, class A>
inline void pack_rows(const T* x, int64_t stride, int64_t rows, int64_t count, A* to, int64_t to_stride) {
  for (int64_t r = 0; r < rows; ++r, x += stride, to += to_stride)
    for (int64_t k = 0; k < count; k += lanes<A>) store_vector(to + k, load_some(x + k, count - k));
}

// Panels [panel][rows][panel_width] ← x [rows, count], rows `stride` apart; the last is padded with zeros
template <class T, class A>
inline void pack_panels(const T* x, int64_t stride, int64_t rows, int64_t count, A* to) {
  for (int64_t r = 0; r < rows; ++r, x += stride, to += panel_width<A>)
    for (int64_t k = 0; k < count; k += panel_width<A>)
      for (int half = 0; half < 2; ++half) {
        const int64_t at = k + half * lanes<A>;
        store_vector(to + k * rows + half * lanes<A>, at < count ? load_some(x + at, count - at) : Vector<A>{});
      }
}

template <class V, std::size_t n>
inline void transpose(V (&row)[n]) {  // n vectors of n
  V other[n];
  for (std::size_t step = 1; step < n; step *= 2) {
    for (std::size_t i = 0; i < n / 2; ++i) {
      const auto pair = interleave(row[i], row[i + n / 2], std::make_index_sequence<n>());
      other[2 * i] = pair.first, other[2 * i + 1] = pair.second;
    }
    for (std::size_t i = 0; i < n; ++i) row[i] = other[i];
  }
}

// Panels [panel][count][panel_width] ← x [rows, count], transposed; columns of panels beyond `rows` are zeros
template <class T, class A>
inline void pack_transposed(const T* x, int64_t stride, int64_t rows, int64_t count, A* to) {
  constexpr int n = lanes<A>;
  for (int64_t first = 0; first < rows; first += panel_width<A>, to += count * panel_width<A>)
    for (int half = 0; half < 2; ++half) {
      const int64_t row = first + half * n;
      A* column = to + half * n;
      for (int64_t k = 0; k < count; k += n) {
        Vector<A> block[n];
        for (int i = 0; i < n; ++i)
          block[i] = row + i < rows ? load_some(x + (row + i) * stride + k, count - k) : Vector<A>{};
        transpose(block);
        for (int64_t i = 0; i < n && k + i < count; ++i) store_vector(column + (k + i) * panel_width<A>, block[i]);
      }
    }
}

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
