// upfirdn2d with a separable filter, row by row of the result. A row of y needs Kv = Kh / up rows of x: they are
// combined vertically, straight from x, into a line t in L1 with zeros where x ends; the line is then filtered
// horizontally into y. With two or four taps a phase four rows of y are made at once and load the rows of x that they
// share but once; other numbers of taps read x from L1 or L2 again. Memory sees x once and y once, and threads can
// share the groups of rows in any way: no line serves two groups.
//
// One layout is the other with C = 1: t [columns, C] holds C neighbouring channels of each pixel in channels_last, and
// one value in contiguous planes, where strides of two are done by shuffles.
#pragma once

#include <limits>

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

// Zeros from p on, `count` of them or up to a vector more.
template <class A>
inline void clear(A* p, int64_t count) {
  for (int64_t k = 0; k < count; k += lanes<A>) store_vector(p + k, Vector<A>{});
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

// out[2k] = Σ_q even.taps[q] · t0[k + q], out[2k + 1] = Σ_q odd.taps[q] · t1[k + q], up to out[size − 1]. t0, t1 may be
// read for two vectors past their ends.
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

// Shapes of the vertical step that have a kernel for several rows at once: factors P / S, N taps a phase, and P = 2
// phases that begin at the same input (D = 0) or one apart (D = 1).
template <int P_, int S_, int N_, int D_>
struct Shape {
  static constexpr int P = P_, S = S_, N = N_, D = D_;
  static constexpr int first(int r) { return r / P * S + r % P * D; }  // input of row r's first tap, from that of row 0
  static constexpr int window = std::max(first(rows_at_once - 1), first(rows_at_once - P)) + N;
  static constexpr int step = rows_at_once / P * S;  // from one group to the next
};

// t[r][k] = Σ_q taps[r % P][q] · rows[first(r) + q][k], r < rows_at_once, k < size: rows [window] of x are loaded once
// for all r. Lines t lie `stride` apart; rows may be read and lines written up to `room`. What lies `ahead` is fetched
// meanwhile: in planes the rows of the next group, which the processor by itself fetches too late.
template <class Shape, class T>
inline void combine_group(const T* const* rows, const Wide<T>* const* taps, Wide<T>* __restrict t, int64_t stride,
                          int64_t size, int64_t room, int64_t ahead) {
  using A = Wide<T>;
  using V = Vector<A>;
  constexpr int L = lanes<A>, R = rows_at_once, W = Shape::window;
  const T* row[W];
  A tap[Shape::P][Shape::N];
  for (int w = 0; w < W; ++w) row[w] = rows[w];
  for (int p = 0; p < Shape::P; ++p)
    for (int q = 0; q < Shape::N; ++q) tap[p][q] = taps[p][q];
  const auto at = [&](int64_t k) __attribute__((always_inline)) {
    V sum[R];
#pragma GCC unroll 16
    for (int w = 0; w < W; ++w) {
      const V v = load_vector(row[w] + k);
      if (w >= W - Shape::step) __builtin_prefetch(row[w] + k + ahead);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const int q = w - Shape::first(r);
        if (q == 0) sum[r] = tap[r % Shape::P][0] * v;
        if (q > 0 && q < Shape::N) sum[r] += tap[r % Shape::P][q] * v;
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) store_vector(t + r * stride + k, sum[r]);
  };
  int64_t k = 0;
  for (; k + L <= size; k += L) at(k);
  if (k == size) return;
  if (k + L <= room) return at(k);
  if (size >= L) return at(size - L);
  for (; k < size; ++k)
    for (int r = 0; r < R; ++r) {
      A sum = 0;
      for (int q = 0; q < Shape::N; ++q) sum += tap[r % Shape::P][q] * load(row[Shape::first(r) + q] + k);
      t[r * stride + k] = sum;
    }
}

template <class T>
class SeparableRows {
  using A = Wide<T>;
  static constexpr int R = rows_at_once;
  // Outputs [j, j + size) of a row and the columns of t that they need, [lo, hi), of which those from `fresh` on are
  // not in the block before, and x has [begin, end) of these.
  struct Block {
    int64_t j, size, lo, fresh, hi, begin, end;
  };
  // The rows of x that one row of y combines.
  struct Sum {
    int64_t n = 0;
    std::vector<const T*> rows;
    std::vector<A> taps;
  };
  const Upfirdn& a;
  const Polyphase<A> v, h;  // of the vertical and the horizontal axis
  const int64_t C, width;   // values of a pixel, of a row of x
  const int64_t taps;      // of every horizontal phase, 0 where they differ
  std::vector<Block> blocks;
  std::vector<A> memory;
  A* lines;            // t: R lines [columns of a block, C] with room for whole vectors
  int64_t stride = 0;  // from line to line
  Sum sums[R];
  std::vector<const T*> window, at;  // rows of x for combine_group; at: where in them a block begins
  std::vector<T> zeros;              // [width] and a vector: stands for the rows beyond x
  std::vector<const A*> columns;     // [w.taps]
  void (*group)(const T* const*, const A* const*, A*, int64_t, int64_t, int64_t, int64_t) = nullptr;
  int64_t group_window = 0, group_step = 0;

 public:
  explicit SeparableRows(const Upfirdn& a)
      : a(a), v(a.h, a.fh, 1), h(a.w, a.fw, 1), C(a.channels_last ? a.channels : 1), width(a.w.in * C),
        taps(h.common_taps()), at(a.h.taps), columns(a.w.taps) {
    // 4 KiB of each line, or in channels_last 8 pixels where they are longer
    const int64_t inputs = std::max<int64_t>(8, 1024 / C);
    const int64_t unit = a.channels_last ? h.P : 64 * h.P;
    const int64_t step = std::max<int64_t>(1, inputs * h.P / h.S / unit) * unit;
    int64_t longest = 0, previous = std::numeric_limits<int64_t>::min();
    for (int64_t j = 0; j < a.w.out; j += step) {
      const int64_t size = std::min(step, a.w.out - j);
      const auto [lo, hi] = h.inputs(j, j + size);
      const int64_t fresh = std::clamp(previous, lo, hi), begin = std::clamp<int64_t>(fresh, 0, a.w.in);
      blocks.push_back({j, size, lo, fresh, hi, begin, std::clamp<int64_t>(hi, begin, a.w.in)});
      longest = std::max(longest, hi - lo);
      previous = hi;
    }
    // Lines begin on boundaries of 64 bytes, and not a power of two apart, where the caches would keep few of them.
    stride = ((longest * C + 4 * lanes<A>) * int64_t(sizeof(A)) + 127) / 128 * 128 + 64;
    stride /= sizeof(A);
    memory.assign(R * stride + 64 / sizeof(A), A(0));
    lines = reinterpret_cast<A*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) & ~uintptr_t(63));
    for (Sum& sum : sums) sum.rows.resize(a.h.taps), sum.taps.resize(a.h.taps);
    if (v.P == 1 && v.S == 1 && v.common_taps() == 4) use_group<Shape<1, 1, 4, 0>>();
    if (v.P == 1 && v.S == 2 && v.common_taps() == 4) use_group<Shape<1, 2, 4, 0>>();
    if (v.P == 2 && v.S == 1 && v.common_taps() == 2 && a.h.out >= R) {
      if (v.phases[1].first == v.phases[0].first) use_group<Shape<2, 1, 2, 0>>();
      if (v.phases[1].first == v.phases[0].first + 1) use_group<Shape<2, 1, 2, 1>>();
    }
  }

  // Groups [begin, end) of R rows of y, of which the last of each plane may be smaller.
  void run(int64_t begin, int64_t end) {
    const int64_t groups = (a.h.out + R - 1) / R;
    for (int64_t g = begin; g < end; ++g) {
      const int64_t plane = g / groups, i = g % groups * R, count = std::min<int64_t>(R, a.h.out - i);
      const T* x = static_cast<const T*>(a.x) + plane * a.h.in * width;
      T* y = static_cast<T*>(a.y) + (plane * a.h.out + i) * a.w.out * C;
      const bool together = group != nullptr && count == R;
      if (together) {
        const int64_t first = v.phases[0].first + i / v.P * v.S;
        for (int64_t w = 0; w < group_window; ++w)
          window[w] = first + w < 0 || first + w >= a.h.in ? nullptr : x + (first + w) * width;
      } else {
        for (int64_t r = 0; r < count; ++r) choose_rows(sums[r], v.phases[(i + r) % v.P], v.first(i + r), x);
      }
      for (const Block& block : blocks) {
        const int64_t kept = (block.fresh - block.lo) * C;
        if (kept > 0)
          for (int64_t r = 0; r < count; ++r) {
            A* line = lines + r * stride;
            std::memmove(line, line + (&block)[-1].hi * C - (&block)[-1].lo * C - kept, kept * sizeof(A));
          }
        if (together)
          vertically_together(block);
        else
          for (int64_t r = 0; r < count; ++r) vertically(block, sums[r], lines + r * stride);
        horizontally(block, count, y + block.j * C);
      }
    }
  }

 private:
  template <class Shape>
  void use_group() {
    group = combine_group<Shape, T>;
    group_window = Shape::window;
    group_step = Shape::step;
    window.resize(Shape::window);
    at.resize(std::max<int64_t>(Shape::window, a.h.taps));
    zeros.assign(width + lanes<A>, T{});
  }

  // Those rows of a plane of x that phase p combines from row `first` on.
  void choose_rows(Sum& sum, const Phase<A>& p, int64_t first, const T* x) const {
    sum.n = 0;
    for (int64_t q = std::max<int64_t>(0, -first); q < std::min(p.n, a.h.in - first); ++q) {
      sum.rows[sum.n] = x + (first + q) * width;
      sum.taps[sum.n++] = p.taps[q];
    }
  }

  // Values that may be read from p on, at most those of `count` and a vector.
  int64_t room(const T* p, int64_t count) const {
    const T* x_end = static_cast<const T*>(a.x) + a.batch * a.channels * a.h.in * a.w.in;
    return std::min<int64_t>(count + lanes<A>, x_end - p);
  }

  // Zeros in a line [hi − lo, C] where x has no columns: before what x gives, and after that is written.
  void clear_before(const Block& block, A* line) const {
    clear(line + (block.fresh - block.lo) * C, (block.begin - block.fresh) * C);
  }
  void clear_after(const Block& block, A* line) const {
    clear(line + (block.end - block.lo) * C, (block.hi - block.end) * C);
  }

  // Fills a line for a block.
  void vertically(const Block& block, const Sum& sum, A* line) {
    const int64_t count = (block.end - block.begin) * C;
    if (sum.n == 0) return clear(line + (block.fresh - block.lo) * C, (block.hi - block.fresh) * C);
    clear_before(block, line);
    if (count > 0) {
      for (int64_t q = 0; q < sum.n; ++q) at[q] = sum.rows[q] + block.begin * C;
      A* t = line + (block.begin - block.lo) * C;
      const int64_t limit = room(at[sum.n - 1], count);
      with_constant(sum.n, [&](auto N) { combine<N>(at.data(), sum.taps.data(), sum.n, t, count, limit); });
    }
    clear_after(block, line);
  }

  // Fills all lines for a block.
  void vertically_together(const Block& block) {
    const int64_t count = (block.end - block.begin) * C;
    for (int r = 0; r < R; ++r) clear_before(block, lines + r * stride);
    if (count > 0) {
      int64_t limit = count + lanes<A>;
      for (int64_t w = 0; w < group_window; ++w) {
        at[w] = (window[w] ? window[w] : zeros.data()) + block.begin * C;
        if (window[w]) limit = std::min(limit, room(at[w], count));
      }
      const A* phase_taps[2] = {v.phases[0].taps.data(), v.phases.back().taps.data()};
      const int64_t ahead = a.channels_last ? 0 : group_step * width;
      group(at.data(), phase_taps, lines + (block.begin - block.lo) * C, stride, count, limit, ahead);
    }
    for (int r = 0; r < R; ++r) clear_after(block, lines + r * stride);
  }

  // out: a block [size, C] of each of `count` rows of y, from their lines.
  void horizontally(const Block& block, int64_t count, T* out) {
    const Phase<A>& p = h.phases[0];
    const int64_t shift = blocks.size() == 1 ? 0 : block.j / h.P * h.S;
    const A* t = lines + (shift - block.lo) * C;  // points at column 0 of the block's first output
    const int64_t next = a.w.out * C, s = stride;
    if (h.P == 1 && h.S == 1 && p.n > 0) {
      const int64_t size = block.size * C, room = (a.w.out - block.j) * C;
      for (int64_t q = 0; q < p.n; ++q) columns[q] = t + (p.first + q) * C;
      return with_constant(p.n, [&](auto N) {
        for (int64_t r = 0; r < count; ++r) {
          combine<N>(columns.data(), p.taps.data(), p.n, out + r * next, size, room);
          for (int64_t q = 0; q < p.n; ++q) columns[q] += s;
        }
      });
    }
    if (C == 1 && h.P == 1 && h.S == 2)
      return with_constant(p.n, [&](auto N) {
        for (int64_t r = 0; r < count; ++r)
          every_second<N>(t + p.first + r * s, p.taps.data(), p.n, out + r * next, block.size);
      });
    if (C == 1 && h.P == 2 && h.S == 1 && h.phases.size() == 2) {
      const Phase<A>& odd = h.phases[1];
      return with_constant(taps, [&](auto N) {
        for (int64_t r = 0; r < count; ++r)
          two_phases<N>(t + p.first + r * s, t + odd.first + r * s, p, odd, out + r * next, block.size);
      });
    }
    for (int64_t r = 0; r < count; ++r, t += s, out += next) {
      if (C == 1)
        any_phases(t, h, out, block.size);
      else
        with_constant(taps, [&](auto N) { pixels<N>(t, out, block.size); });
    }
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
