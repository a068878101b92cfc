// upfirdn2d for any filter, factors, padding and size on a GPU; what upfirdn2d_four.cu does not serve.
//
// Naive version: build the zero-stuffed, padded image, then for each output sum f[a, b] · v[i·down + a, j·down + b] over
// all taps. Here: one thread an output, in the order of memory, over the taps that meet a pixel alone, Kh·Kw / up² of
// them. Reads Kh·Kw / up² values an output from L1 and L2, writes one; taps come from memory, where every thread of a
// warp asks for the same few. Nothing is read on the host, so that it runs under capture into a CUDA graph.

#include "upfirdn2d_kernel.h"

#include "platform.cuh"

namespace smoothswap::gpu {
namespace {

// The first tap that meets a pixel, and that pixel, for output j; taps k0, k0 + up, … meet pixels i0, i0 + 1, …
struct Start {
  int64_t tap, pixel;
};
__device__ __forceinline__ Start start(const Axis& axis, int64_t j) {
  const int64_t left = j * axis.down - axis.pad;  // in the upsampled image
  int64_t skip = (-left) % axis.up;
  if (skip < 0) skip += axis.up;
  Start s{skip, (left + skip) / axis.up};  // an exact division
  if (s.pixel < 0) {
    s.tap -= s.pixel * axis.up;
    s.pixel = 0;
  }
  return s;
}

// I: type of the count of outputs, since a division by 64-bit numbers costs much.
template <class T, class I>
__global__ void __launch_bounds__(256) upfirdn2d_any_kernel(Upfirdn a, DeviceTaps taps, I total) {
  using A = Wide<T>;
  const T* x = static_cast<const T*>(a.x);
  const A* f = static_cast<const A*>(taps.f);
  const I step = I(gridDim.x) * I(blockDim.x);
  const I channels = I(a.channels), height = I(a.h.out), width = I(a.w.out);
  const int64_t pixel = a.channels_last ? a.channels : 1, line = pixel * a.w.in;
  for (I o = I(blockIdx.x) * I(blockDim.x) + I(threadIdx.x); o < total; o += step) {
    I rest = o, c = 0;
    if (a.channels_last) {
      c = rest % channels;
      rest /= channels;
    }
    const I j = rest % width;
    rest /= width;
    const I i = rest % height, plane = rest / height;  // plane: n in channels_last, else n · channels + c
    const T* image = x + int64_t(plane) * a.h.in * line + int64_t(c);
    const Start v = start(a.h, int64_t(i)), h = start(a.w, int64_t(j));
    A sum = 0;
    int64_t row = v.pixel;
    for (int64_t p = v.tap; p < a.h.taps && row < a.h.in; p += a.h.up, ++row) {
      const int64_t fp = taps.flip ? p : a.h.taps - 1 - p;
      A across = 0;
      int64_t column = h.pixel;
      for (int64_t q = h.tap; q < a.w.taps && column < a.w.in; q += a.w.up, ++column) {
        const int64_t fq = taps.flip ? q : a.w.taps - 1 - q;
        across += __ldg(f + (taps.one_axis ? fq : fp * a.w.taps + fq)) * read_one(image + row * line + column * pixel);
      }
      sum += taps.one_axis ? __ldg(f + fp) * across : across;
    }
    static_cast<T*>(a.y)[o] = narrow<T>(sum * A(taps.gain));
  }
}

template <class T>
const char* run(const Upfirdn& a, const DeviceTaps& taps, void* stream) {
  constexpr int threads = 256;
  const int64_t total = a.batch * a.channels * a.h.out * a.w.out, most = int64_t(1) << 20;
  const int64_t needed = (total + threads - 1) / threads, blocks = needed < most ? needed : most;
  // Room for one more step beyond the last output.
  if (total < (int64_t(1) << 31) - most * threads)
    return launch(upfirdn2d_any_kernel<T, uint32_t>, blocks, threads, stream, a, taps, uint32_t(total));
  return launch(upfirdn2d_any_kernel<T, int64_t>, blocks, threads, stream, a, taps, total);
}

}  // namespace

const char* upfirdn2d_any(const Upfirdn& a, const DeviceTaps& taps, void* stream) {
  switch (a.format) {
    case Format::f32:
      return run<float>(a, taps, stream);
    case Format::f64:
      return run<double>(a, taps, stream);
    case Format::bf16:
      return run<Bf16>(a, taps, stream);
    case Format::f16:
      return run<Fp16>(a, taps, stream);
  }
  return "unknown number format";
}

}  // namespace smoothswap::gpu
