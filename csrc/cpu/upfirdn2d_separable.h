// upfirdn2d with a separable filter, row by row of the result. A row of y needs Kv = Kh / up rows of x: they are combined
// vertically, straight from x, into a line t in L1 with zeros where x ends; the line is then filtered horizontally into y.
// No row of t serves two rows of y, so the rows can be shared among threads in any way; what Kv rows of x cost again is
// read from L1 or L2. Memory sees x once and y once.
//
// One layout is the other with C = 1: t [columns, C] holds C neighbouring channels of each pixel in channels_last, and
// one value in contiguous planes, where strides of two are done by shuffles.
#pragma once

#include "../common/vectors.h"
#include "upfirdn2d_polyphase.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

// Calls f with the number of taps as a constant where it is a usual one, else with 0.
template <class F>
inline void with_constant(int64_t n, F&& f) {
  switch (n) {
    case 1:
      return f(std::integral_constant<int, 1>());
    case 2:
      return f(std::integral_constant<int, 2>());
    case 3:
      return f(std::integral_constant<int, 3>());
    case 4:
      return f(std::integral_constant<int, 4>());
    case 6:
      return f(std::integral_constant<int, 6>());
    default:
      return f(std::integral_constant<int, 0>());
  }
}

// Writes the first `count` lanes of `vectors` to out.
template <class T, class V, int n>
inline void store_some(T* out, const V (&vectors)[n], int64_t count) {
  constexpr int L = sizeof(V) / sizeof(Wide<T>);
  T lane[n * L];
  for (int i = 0; i < n; ++i) store_vector(lane + i * L, vectors[i]);
  std::memcpy(out, lane, count * sizeof(T));
}

// out[k] = Σ_q taps[q] · rows[q][k], k < size, q < n; N = n, or 0 for any n ≥ 1. `room` ≥ size values may be read from
// every row and written to out, those past size without meaning.
template <int N, class In, class T>
inline void combine(const In* const* rows, const Wide<T>* taps, int64_t n, T* __restrict out, int64_t size,
                    int64_t room) {
  using A = Wide<T>;
  using V = Vector<A>;
  constexpr int L = lanes<A>;
  int64_t k = 0;
  if constexpr (N > 0) {
    const In* row[N];
    A tap[N];
    for (int q = 0; q < N; ++q) row[q] = rows[q], tap[q] = taps[q];
    const auto at = [&](int64_t k) {
      V sum = tap[0] * load_vector(row[0] + k);
      for (int q = 1; q < N; ++q) sum += tap[q] * load_vector(row[q] + k);
      return sum;
    };
    for (; k + L <= size; k += L) store_vector(out + k, at(k));
    if (k == size) return;
    if (k + L <= room) return store_vector(out + k, at(k));
    if (size >= L) return store_vector(out + size - L, at(size - L));
    for (; k < size; ++k) {
      A sum = tap[0] * load(row[0] + k);
      for (int q = 1; q < N; ++q) sum += tap[q] * load(row[q] + k);
      store(out + k, sum);
    }
  } else {
    constexpr int U = 4;
    for (; k + U * L <= size; k += U * L) {
      V sum[U];
      for (int u = 0; u < U; ++u) sum[u] = taps[0] * load_vector(rows[0] + k + u * L);
      for (int64_t q = 1; q < n; ++q)
        for (int u = 0; u < U; ++u) sum[u] += taps[q] * load_vector(rows[q] + k + u * L);
      for (int u = 0; u < U; ++u) store_vector(out + k + u * L, sum[u]);
    }
    while (k < size && k + L <= room) {
      V sum = taps[0] * load_vector(rows[0] + k);
      for (int64_t q = 1; q < n; ++q) sum += taps[q] * load_vector(rows[q] + k);
      store_vector(out + k, sum);
      k += L;
    }
    for (; k < size; ++k) {
      A sum = taps[0] * load(rows[0] + k);
      for (int64_t q = 1; q < n; ++q) sum += taps[q] * load(rows[q] + k);
      store(out + k, sum);
    }
  }
}

// out[k] = Σ_q taps[q] · t[2k + q], k < size. t may be read for three vectors past its end.
template <int N, class T>
inline void every_second(const Wide<T>* t, const Wide<T>* taps, int64_t n, T* __restrict out, int64_t size) {
  using A = Wide<T>;
  using V = Vector<A>;
  constexpr int L = lanes<A>;
  A fixed[N > 0 ? N : 1];
  for (int q = 0; q < N; ++q) fixed[q] = taps[q];
  const auto at = [&](int64_t k) {
    V sum = V{};
    const auto pair = [&](int64_t q, A even, A odd) {
      const A* p = t + 2 * k + q;
      const auto [e, o] = deinterleave(load_vector(p), load_vector(p + L), std::make_index_sequence<L>());
      sum += even * e;
      sum += odd * o;
    };
    if constexpr (N > 0 && N % 2 == 0) {
      for (int q = 0; q < N; q += 2) pair(q, fixed[q], fixed[q + 1]);
    } else {
      int64_t q = 0;
      for (; q + 2 <= n; q += 2) pair(q, taps[q], taps[q + 1]);
      if (q < n) {
        const A* p = t + 2 * k + q;
        sum += taps[q] * deinterleave(load_vector(p), load_vector(p + L), std::make_index_sequence<L>()).first;
      }
    }
    return sum;
  };
  int64_t k = 0;
  for (; k + L <= size; k += L) store_vector(out + k, at(k));
  if (k < size) {
    const V last[1] = {at(k)};
    store_some(out + k, last, size - k);
  }
}

// out[2k] = Σ_q even.taps[q] · t0[k + q], out[2k + 1] = Σ_q odd.taps[q] · t1[k + q], up to out[size − 1]. t0, t1 may be read
// for two vectors past their ends.
template <int N, class T>
inline void two_phases(const Wide<T>* t0, const Wide<T>* t1, const Phase<Wide<T>>& even, const Phase<Wide<T>>& odd,
                       T* __restrict out, int64_t size) {
  using A = Wide<T>;
  using V = Vector<A>;
  constexpr int L = lanes<A>;
  A c0[N > 0 ? N : 1], c1[N > 0 ? N : 1];
  for (int q = 0; q < N; ++q) c0[q] = even.taps[q], c1[q] = odd.taps[q];
  const auto at = [&](int64_t k) {
    V e = V{}, o = V{};
    if constexpr (N > 0) {
      for (int q = 0; q < N; ++q) e += c0[q] * load_vector(t0 + k + q);
      for (int q = 0; q < N; ++q) o += c1[q] * load_vector(t1 + k + q);
    } else {
      for (int64_t q = 0; q < even.n; ++q) e += even.taps[q] * load_vector(t0 + k + q);
      for (int64_t q = 0; q < odd.n; ++q) o += odd.taps[q] * load_vector(t1 + k + q);
    }
    return interleave(e, o, std::make_index_sequence<L>());
  };
  int64_t k = 0;
  for (; 2 * (k + L) <= size; k += L) {
    const auto [low, high] = at(k);
    store_vector(out + 2 * k, low);
    store_vector(out + 2 * k + L, high);
  }
  if (2 * k < size) {
    const auto [low, high] = at(k);
    const V last[2] = {low, high};
    store_some(out + 2 * k, last, size - 2 * k);
  }
}

// Any factors: phase by phase. t points at input 0 of the first output.
template <class T>
inline void any_phases(const Wide<T>* t, const Polyphase<Wide<T>>& h, T* __restrict out, int64_t size) {
  using A = Wide<T>;
  constexpr int64_t chunk = 64;
  A sum[chunk];
  for (int64_t r = 0; r < std::min(size, h.P); ++r) {
    const auto& phase = h.phases[r];
    const A* in = t + phase.first;
    const int64_t all = (size - r + h.P - 1) / h.P;
    for (int64_t k0 = 0; k0 < all; k0 += chunk) {
      const int64_t count = std::min(chunk, all - k0);
      std::fill_n(sum, count, A(0));
      for (int64_t q = 0; q < phase.n; ++q) {
        const A tap = phase.taps[q], *p = in + k0 * h.S + q;
        if (h.S == 1)
          for (int64_t k = 0; k < count; ++k) sum[k] += tap * p[k];
        else
          for (int64_t k = 0; k < count; ++k) sum[k] += tap * p[h.S * k];
      }
      for (int64_t k = 0; k < count; ++k) store(out + (k0 + k) * h.P + r, sum[k]);
    }
  }
}

template <class T>
class SeparableRows {
  using A = Wide<T>;
  // Outputs [j, j + size) of a row and the columns [lo, hi) of t that they need, of which x has [begin, end).
  struct Block {
    int64_t j, size, lo, hi, begin, end;
  };
  const Upfirdn& a;
  const Polyphase<A> v, h;
  const int64_t C, width;  // values of a pixel, of a row of x
  const int64_t taps;      // of every horizontal phase, 0 where they differ
  std::vector<Block> blocks;
  std::vector<A> line;             // t [columns of a block, C] and room for whole vectors
  std::vector<const T*> rows, at;  // [h.taps] those of x that a row of y needs, and where in them a block begins
  std::vector<A> row_taps;         // [h.taps]
  std::vector<const A*> columns;   // [w.taps]

 public:
  explicit SeparableRows(const Upfirdn& a)
      : a(a), v(a.h, a.fh, 1), h(a.w, a.fw, 1), C(a.channels_last ? a.channels : 1), width(a.w.in * C),
        taps(h.common_taps()), rows(a.h.taps), at(a.h.taps), row_taps(a.h.taps), columns(a.w.taps) {
    // 8 KiB of a plane; in channels_last 16 KiB, or 16 pixels where they are longer, so that little is done twice
    const int64_t inputs = a.channels_last ? std::max<int64_t>(16, 4096 / C) : 2048;
    const int64_t unit = a.channels_last ? h.P : 64 * h.P;
    const int64_t step = std::max<int64_t>(1, inputs * h.P / h.S / unit) * unit;
    int64_t longest = 0;
    for (int64_t j = 0; j < a.w.out; j += step) {
      const int64_t size = std::min(step, a.w.out - j);
      const auto [lo, hi] = h.inputs(j, j + size);
      const int64_t begin = std::clamp<int64_t>(lo, 0, a.w.in);
      blocks.push_back({j, size, lo, hi, begin, std::clamp<int64_t>(hi, begin, a.w.in)});
      longest = std::max(longest, hi - lo);
    }
    line.assign(longest * C + 4 * lanes<A>, A(0));
  }

  // Rows [begin, end) of y as [planes · h.out, w.out, C].
  void run(int64_t begin, int64_t end) {
    int64_t plane = begin / a.h.out, i = begin % a.h.out, phase = i % v.P, shift = i / v.P * v.S;
    for (int64_t unit = begin; unit < end; ++unit) {
      const auto& p = v.phases[phase];
      const int64_t n = choose_rows(p, p.first + shift, static_cast<const T*>(a.x) + plane * a.h.in * width);
      T* y = static_cast<T*>(a.y) + unit * a.w.out * C;
      for (const Block& block : blocks) {
        vertically(block, n);
        horizontally(block, y + block.j * C);
      }
      if (++phase == v.P) phase = 0, shift += v.S;
      if (++i == a.h.out) i = phase = shift = 0, ++plane;
    }
  }

 private:
  // Those rows of a plane of x that phase p combines from row `first` on; gives their number.
  int64_t choose_rows(const Phase<A>& p, int64_t first, const T* x) {
    int64_t n = 0;
    for (int64_t q = std::max<int64_t>(0, -first); q < std::min(p.n, a.h.in - first); ++q) {
      rows[n] = x + (first + q) * width;
      row_taps[n++] = p.taps[q];
    }
    return n;
  }

  // Fills the line for a block from n rows of x.
  void vertically(const Block& block, int64_t n) {
    const int64_t count = n == 0 ? 0 : (block.end - block.begin) * C;
    A *begin = line.data(), *t = begin + (block.begin - block.lo) * C, *end = begin + (block.hi - block.lo) * C;
    if (count == 0) return void(std::fill(begin, end, A(0)));
    for (int64_t q = 0; q < n; ++q) at[q] = rows[q] + block.begin * C;
    const T* x_end = static_cast<const T*>(a.x) + a.batch * a.channels * a.h.in * a.w.in;
    const int64_t room = std::min<int64_t>(count + lanes<A>, x_end - at[n - 1]);
    with_constant(n, [&](auto N) { combine<N>(at.data(), row_taps.data(), n, t, count, room); });
    std::fill(begin, t, A(0));
    std::fill(t + count, end, A(0));
  }

  // out [size, C]: a block of a row of y, from the line.
  void horizontally(const Block& block, T* out) {
    const Phase<A>& p = h.phases[0];
    const A* t = line.data() - block.lo * C;  // points at column 0
    const int64_t shift = blocks.size() == 1 ? 0 : block.j / h.P * h.S;
    if (h.P == 1 && h.S == 1 && p.n > 0) {
      for (int64_t q = 0; q < p.n; ++q) columns[q] = t + (p.first + shift + q) * C;
      return with_constant(p.n, [&](auto N) {
        combine<N>(columns.data(), p.taps.data(), p.n, out, block.size * C, (a.w.out - block.j) * C);
      });
    }
    if (C == 1 && h.P == 1 && h.S == 2)
      return with_constant(p.n, [&](auto N) {
        every_second<N>(t + p.first + shift, p.taps.data(), p.n, out, block.size);
      });
    if (C == 1 && h.P == 2 && h.S == 1 && h.phases.size() == 2) {
      const Phase<A>& odd = h.phases[1];
      return with_constant(taps, [&](auto N) {
        two_phases<N>(t + p.first + shift, t + odd.first + shift, p, odd, out, block.size);
      });
    }
    if (C == 1) return any_phases(t + shift, h, out, block.size);
    with_constant(taps, [&](auto N) { pixels<N>(t + shift * C, out, block.size); });
  }

  // Pixel by pixel, for channels_last: vectors along C. What a vector writes past its pixel the next one overwrites.
  template <int N>
  void pixels(const A* t, T* out, int64_t size) {
    int64_t phase = 0;
    for (int64_t k = 0; k < size; ++k, out += C) {
      const Phase<A>& p = h.phases[phase];
      for (int64_t q = 0; q < p.n; ++q) columns[q] = t + (p.first + q) * C;
      if (p.n > 0)
        combine<N>(columns.data(), p.taps.data(), p.n, out, C, (size - k) * C);
      else
        for (int64_t c = 0; c < C; ++c) store(out + c, A(0));
      if (++phase == h.P) phase = 0, t += h.S * C;
    }
  }
};

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
