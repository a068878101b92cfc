// upfirdn2d on the CPU. The naive version, for each output (i, j) of a plane:
//
//     for a < Kh, b < Kw:  y[i][j] += f[a][b] · v[i·down + a − pad][j·down + b − pad]      v: x with zeros between
//
// reads Kh·Kw values, most of them stuffed zeros when it upsamples. Here (polyphase): outputs whose distance is
// P = up / gcd(up, down) use the same taps, n = Kh / up of them, on inputs that lie S = down / gcd apart.
//
// Contiguous: plane by plane. A separable filter runs along each input row once; the filtered rows stay in a ring in L1,
// where the vertical taps combine them: x is read once, y written once. channels_last: row by row of the result,
// vertically along W·C values, then horizontally along C values.

#include "upfirdn2d_kernel.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

// Taps [n] of one phase and the input `first` that meets taps[0] at the phase's first output.
template <class A>
struct Phase {
  int64_t first, n;
  std::vector<A> taps;
};

// Polyphase form of one axis: output p + k·P takes phase p, shifted by k·S inputs. The inputs that any output touches are
// [−left, in + right).
template <class A>
struct Polyphase {
  int64_t P, S, left = 0, right = 0;
  std::vector<Phase<A>> phases;

  Polyphase(const Axis& axis, const double* f, int64_t stride) {
    const int64_t g = std::gcd(axis.up, axis.down);
    P = axis.up / g;
    S = axis.down / g;
    for (int64_t p = 0; p < std::min(P, axis.out); ++p) {
      const int64_t start = p * axis.down - axis.pad;  // in the upsampled image
      const int64_t skip = ((-start) % axis.up + axis.up) % axis.up;
      Phase<A> phase{(start + skip) / axis.up, 0, {}};
      for (int64_t k = skip; k < axis.taps; k += axis.up) phase.taps.push_back(A(f[k * stride]));
      phase.n = int64_t(phase.taps.size());
      const int64_t last = phase.first + (axis.out - 1 - p) / P * S + phase.n;
      left = std::max(left, -phase.first);
      right = std::max(right, last - axis.in);
      phases.push_back(std::move(phase));
    }
  }
  int64_t first(int64_t j) const { return phases[j % P].first + j / P * S; }
};

// out[P·k] (+)= Σ_q c[q] · in[S·k + q], k < count
template <int P, int S, int N, class A>
void fixed_taps(const A* __restrict in, const A* c, A* __restrict out, int64_t count) {
  A taps[N];
  for (int q = 0; q < N; ++q) taps[q] = c[q];
  for (int64_t k = 0; k < count; ++k) {
    A sum = 0;
    for (int q = 0; q < N; ++q) sum += taps[q] * in[S * k + q];
    out[P * k] = sum;
  }
}

template <class A>
void any_taps(const A* __restrict in, const Phase<A>& phase, A* __restrict out, int64_t P, int64_t S, int64_t count,
              bool add) {
  if (!add)
    for (int64_t k = 0; k < count; ++k) out[P * k] = 0;
  for (int64_t q = 0; q < phase.n; ++q) {
    const A tap = phase.taps[q];
    for (int64_t k = 0; k < count; ++k) out[P * k] += tap * in[S * k + q];
  }
}

// out[2k], out[2k+1]: two phases of two taps each, together, so that the stores are whole vectors
template <class A>
void up_by_two(const A* __restrict even, const A* __restrict odd, const A* ce, const A* co, A* __restrict out,
               int64_t count) {
  const A e0 = ce[0], e1 = ce[1], o0 = co[0], o1 = co[1];
  for (int64_t k = 0; k < count; ++k) {
    out[2 * k] = e0 * even[k] + e1 * even[k + 1];
    out[2 * k + 1] = o0 * odd[k] + o1 * odd[k + 1];
  }
}

// One row: in points at input 0 and has the polyphase's margins; out [size].
template <class A>
void along_row(const A* in, const Polyphase<A>& p, A* out, int64_t size, bool add) {
  const auto& phases = p.phases;
  if (!add && p.P == 1 && phases[0].n == 4 && p.S <= 2) {
    const A *start = in + phases[0].first, *taps = phases[0].taps.data();
    if (p.S == 1) fixed_taps<1, 1, 4>(start, taps, out, size);
    if (p.S == 2) fixed_taps<1, 2, 4>(start, taps, out, size);
    return;
  }
  if (!add && p.P == 2 && p.S == 1 && size >= 2 && phases[0].n == 2 && phases[1].n == 2) {
    up_by_two(in + phases[0].first, in + phases[1].first, phases[0].taps.data(), phases[1].taps.data(), out, size / 2);
    if (size % 2) fixed_taps<1, 1, 2>(in + phases[0].first + size / 2, phases[0].taps.data(), out + size - 1, 1);
    return;
  }
  for (int64_t r = 0; r < int64_t(phases.size()); ++r) {
    const int64_t count = (size - r + p.P - 1) / p.P;
    any_taps(in + phases[r].first, phases[r], out + r, p.P, p.S, count, add);
  }
}

// out[k] = Σ_q taps[q] · rows[q][k] over the rows that are not null, in blocks that stay in L1
template <class A, class T>
void across_rows(const A* const* rows, const A* taps, int64_t n, T* __restrict out, int64_t size) {
  const A* in[4];
  A c[4];
  int m = 0;
  bool few = true;
  for (int64_t q = 0; q < n; ++q) {
    if (rows[q] == nullptr) continue;
    if (m == 4) {
      few = false;
      break;
    }
    in[m] = rows[q];
    c[m++] = taps[q];
  }
  if (few && m == 4) {
    const A *__restrict r0 = in[0], *__restrict r1 = in[1], *__restrict r2 = in[2], *__restrict r3 = in[3];
    const A c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3];
    for (int64_t k = 0; k < size; ++k) store(out + k, (c0 * r0[k] + c1 * r1[k]) + (c2 * r2[k] + c3 * r3[k]));
    return;
  }
  if (few && m == 2) {
    const A *__restrict r0 = in[0], *__restrict r1 = in[1];
    const A c0 = c[0], c1 = c[1];
    for (int64_t k = 0; k < size; ++k) store(out + k, c0 * r0[k] + c1 * r1[k]);
    return;
  }
  constexpr int64_t block = 512;
  A sum[block];
  for (int64_t start = 0; start < size; start += block) {
    const int64_t length = std::min(block, size - start);
    std::fill_n(sum, length, A(0));
    for (int64_t q = 0; q < n; ++q) {
      if (rows[q] == nullptr) continue;
      const A *__restrict row = rows[q] + start, tap = taps[q];
      for (int64_t k = 0; k < length; ++k) sum[k] += tap * row[k];
    }
    for (int64_t k = 0; k < length; ++k) store(out + start + k, sum[k]);
  }
}

template <class T>
void separable_planes(const Upfirdn& a, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const Polyphase<A> v(a.h, a.fh, 1), h(a.w, a.fw, 1);
  const int64_t slots = (a.h.taps + a.h.up - 1) / a.h.up;
  std::vector<A> padded(h.left + a.w.in + h.right, A(0)), ring(slots * a.w.out);
  std::vector<const A*> rows(slots);
  for (int64_t plane = begin; plane < end; ++plane) {
    const T* x = static_cast<const T*>(a.x) + plane * a.h.in * a.w.in;
    T* y = static_cast<T*>(a.y) + plane * a.h.out * a.w.out;
    int64_t next = 0;  // the first input row not yet filtered
    for (int64_t i = 0; i < a.h.out; ++i) {
      const auto& phase = v.phases[i % v.P];
      const int64_t first = v.first(i);
      for (next = std::max(next, first); next < std::min(first + phase.n, a.h.in); ++next) {
        for (int64_t k = 0; k < a.w.in; ++k) padded[h.left + k] = load(x + next * a.w.in + k);
        along_row(padded.data() + h.left, h, ring.data() + next % slots * a.w.out, a.w.out, false);
      }
      for (int64_t q = 0; q < phase.n; ++q) {
        const int64_t row = first + q;
        rows[q] = row < 0 || row >= a.h.in ? nullptr : ring.data() + row % slots * a.w.out;
      }
      across_rows(rows.data(), phase.taps.data(), phase.n, y + i * a.w.out, a.w.out);
    }
  }
}

template <class T>
void general_planes(const Upfirdn& a, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const Polyphase<A> v(a.h, a.f, a.w.taps);  // its taps are unused: they differ from column to column
  std::vector<Polyphase<A>> h;               // one for each row of the filter
  for (int64_t k = 0; k < a.h.taps; ++k) h.emplace_back(a.w, a.f + k * a.w.taps, 1);
  const int64_t left = h[0].left, width = left + a.w.in + h[0].right;
  std::vector<A> image(width * a.h.in, A(0)), sum(a.w.out);
  for (int64_t plane = begin; plane < end; ++plane) {
    const T* x = static_cast<const T*>(a.x) + plane * a.h.in * a.w.in;
    T* y = static_cast<T*>(a.y) + plane * a.h.out * a.w.out;
    for (int64_t i = 0; i < a.h.in; ++i)
      for (int64_t k = 0; k < a.w.in; ++k) image[i * width + left + k] = load(x + i * a.w.in + k);
    for (int64_t i = 0; i < a.h.out; ++i) {
      const int64_t first = v.first(i), skip = first * a.h.up - (i * a.h.down - a.h.pad);
      std::fill(sum.begin(), sum.end(), A(0));
      for (int64_t q = 0; q < v.phases[i % v.P].n; ++q) {
        if (first + q < 0 || first + q >= a.h.in) continue;
        along_row(image.data() + (first + q) * width + left, h[skip + q * a.h.up], sum.data(), a.w.out, true);
      }
      for (int64_t k = 0; k < a.w.out; ++k) store(y + i * a.w.out + k, sum[k]);
    }
  }
}

template <class T>
void separable_rows_of_channels(const Upfirdn& a, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const Polyphase<A> v(a.h, a.fh, 1), h(a.w, a.fw, 1);
  const int64_t C = a.channels, width = a.w.in * C;
  std::vector<A> wide, row((h.left + a.w.in + h.right) * C, A(0));
  std::vector<const A*> rows(std::max(a.h.taps, a.w.taps));
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t n = unit / a.h.out, i = unit % a.h.out, first = v.first(i);
    const auto& down = v.phases[i % v.P];
    const T* x = static_cast<const T*>(a.x) + n * a.h.in * width;
    if constexpr (!std::is_same_v<T, A>) wide.resize(down.n * width);
    for (int64_t q = 0; q < down.n; ++q) {
      rows[q] = nullptr;
      if (first + q < 0 || first + q >= a.h.in) continue;
      if constexpr (std::is_same_v<T, A>) {
        rows[q] = x + (first + q) * width;
      } else {
        for (int64_t k = 0; k < width; ++k) wide[q * width + k] = load(x + (first + q) * width + k);
        rows[q] = wide.data() + q * width;
      }
    }
    across_rows(rows.data(), down.taps.data(), down.n, row.data() + h.left * C, width);
    T* y = static_cast<T*>(a.y) + unit * a.w.out * C;
    for (int64_t j = 0; j < a.w.out; ++j) {
      const auto& phase = h.phases[j % h.P];
      for (int64_t q = 0; q < phase.n; ++q) rows[q] = row.data() + (h.left + h.first(j) + q) * C;
      across_rows(rows.data(), phase.taps.data(), phase.n, y + j * C, C);
    }
  }
}

template <class T>
void general_rows_of_channels(const Upfirdn& a, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const Polyphase<A> v(a.h, a.f, a.w.taps), h(a.w, a.f, 1);
  const int64_t C = a.channels;
  std::vector<A> sum(C);
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t n = unit / a.h.out, i = unit % a.h.out, top = v.first(i);
    const int64_t skip_h = top * a.h.up - (i * a.h.down - a.h.pad);
    T* y = static_cast<T*>(a.y) + unit * a.w.out * C;
    for (int64_t j = 0; j < a.w.out; ++j) {
      const int64_t left = h.first(j), skip_w = left * a.w.up - (j * a.w.down - a.w.pad);
      std::fill(sum.begin(), sum.end(), A(0));
      for (int64_t q = 0; q < v.phases[i % v.P].n; ++q) {
        if (top + q < 0 || top + q >= a.h.in) continue;
        for (int64_t r = 0; r < h.phases[j % h.P].n; ++r) {
          if (left + r < 0 || left + r >= a.w.in) continue;
          const A tap = A(a.f[(skip_h + q * a.h.up) * a.w.taps + skip_w + r * a.w.up]);
          const T* x = static_cast<const T*>(a.x) + ((n * a.h.in + top + q) * a.w.in + left + r) * C;
          for (int64_t c = 0; c < C; ++c) sum[c] += tap * load(x + c);
        }
      }
      for (int64_t c = 0; c < C; ++c) store(y + j * C + c, sum[c]);
    }
  }
}

template <class T>
void run(const Upfirdn& a, int64_t begin, int64_t end) {
  if (a.channels_last)
    return a.fh ? separable_rows_of_channels<T>(a, begin, end) : general_rows_of_channels<T>(a, begin, end);
  return a.fh ? separable_planes<T>(a, begin, end) : general_planes<T>(a, begin, end);
}

}  // namespace

void upfirdn2d(const Upfirdn& a, int64_t begin, int64_t end) {
  switch (a.format) {
    case Format::f32:
      return run<float>(a, begin, end);
    case Format::f64:
      return run<double>(a, begin, end);
    case Format::bf16:
      return run<BF16>(a, begin, end);
    case Format::f16:
      return run<F16>(a, begin, end);
  }
}

}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
