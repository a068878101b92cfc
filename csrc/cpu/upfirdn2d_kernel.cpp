// upfirdn2d on the CPU. The naive version, for each output (i, j) of a plane:
//
//     for a < Kh, b < Kw:  y[i][j] += f[a][b] · v[i·down + a − pad][j·down + b − pad]      v: x with zeros between
//
// reads Kh·Kw values, most of them stuffed zeros when it upsamples. Here (polyphase): outputs whose distance is
// P = up / gcd(up, down) use the same taps, n = Kh / up of them, on inputs that lie S = down / gcd apart.
//
// A separable filter costs Kh + Kw, see upfirdn2d_separable.h. Others are here: plane by plane, or in channels_last
// pixel by pixel of the result.

#include "upfirdn2d_kernel.h"

#include "upfirdn2d_polyphase.h"
#include "upfirdn2d_separable.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

// out[P·k] += Σ_q c[q] · in[S·k + q], k < count
template <class A>
void any_taps(const A* __restrict in, const Phase<A>& phase, A* __restrict out, int64_t P, int64_t S, int64_t count) {
  for (int64_t q = 0; q < phase.n; ++q) {
    const A tap = phase.taps[q];
    for (int64_t k = 0; k < count; ++k) out[P * k] += tap * in[S * k + q];
  }
}

// One row: in points at input 0 and has the polyphase's margins; out [size].
template <class A>
void add_row(const A* in, const Polyphase<A>& p, A* out, int64_t size) {
  for (int64_t r = 0; r < int64_t(p.phases.size()); ++r)
    any_taps(in + p.phases[r].first, p.phases[r], out + r, p.P, p.S, (size - r + p.P - 1) / p.P);
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
        add_row(image.data() + (first + q) * width + left, h[skip + q * a.h.up], sum.data(), a.w.out);
      }
      for (int64_t k = 0; k < a.w.out; ++k) store(y + i * a.w.out + k, sum[k]);
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
  if (a.fh) return SeparableRows<T>(a).run(begin, end);
  return a.channels_last ? general_rows_of_channels<T>(a, begin, end) : general_planes<T>(a, begin, end);
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
