// What surrounds the convolution of modulated_conv2d on a GPU: the styles on its input, and demodulation, noise, bias and
// activation on its result.
//
// Naive version: one pass over the images for each of the five, 10 units of memory traffic and up to five tensors. Here one
// pass in 16-byte packs, 2 units and the noise, in place if wished. A block stays within one plane (channels_last: one
// sample), so that scale and bias are found once for each thread, or lie beside each other as the pixels do.

#include "modulate_kernel.h"
#include "platform.cuh"

namespace smoothswap::gpu {
namespace {

constexpr int most_threads = 256, in_flight = 2;

// What happens to a value after its scale, noise and bias.
template <class A>
struct Finish {
  A slope, gain, clamp;
  __device__ __forceinline__ A operator()(A v) const {
    v = (v > 0 ? v : slope == 0 && v == v ? A(0) : slope * v) * gain;
    if (clamp < 0) return v;
    return v < -clamp ? -clamp : v > clamp ? clamp : v;
  }
};

// The result may overwrite x, so x is read as memory that changes.
template <class T>
__device__ __forceinline__ void get(const T* p, int64_t left, bool aligned, Wide<T>* v) {
  constexpr int V = pack<T>;
  if (aligned) {
    widen_pack<T>(read16_changing(p), v);
  } else {
#pragma unroll
    for (int e = 0; e < V; ++e) v[e] = e < left ? widen(p[e]) : Wide<T>(0);
  }
}
template <class T>
__device__ __forceinline__ void put(T* p, int64_t left, bool aligned, const Wide<T>* v) {
  constexpr int V = pack<T>;
  if (aligned) {
    write_pack(p, v);
  } else {
#pragma unroll
    for (int e = 0; e < V; ++e)
      if (e < left) p[e] = narrow<T>(v[e]);
  }
}

// Contiguous images. aligned: planes are whole packs at aligned addresses; noise_packs: those of the noise too.
template <class T>
__global__ void __launch_bounds__(most_threads)
    modulate_planes(Modulate a, Finish<Wide<T>> finish, int64_t tiles, bool aligned, bool noise_packs) {
  using A = Wide<T>;
  constexpr int V = pack<T>;
  const int64_t plane = blockIdx.x / tiles, tile = blockIdx.x % tiles, area = a.height * a.width;
  const int64_t n = plane / a.channels, c = plane % a.channels;
  const T* x = static_cast<const T*>(a.x) + plane * area;
  T* y = static_cast<T*>(a.y) + plane * area;
  const T* noise = static_cast<const T*>(a.noise);
  if (noise != nullptr) noise += n * a.noise_n + c * a.noise_c;
  const A scale = a.scale != nullptr ? __ldg(static_cast<const A*>(a.scale) + plane) : A(1);
  const A bias = a.bias != nullptr ? read_one(static_cast<const T*>(a.bias) + c) : A(0);
  const int64_t mine = (tile * in_flight * blockDim.x + threadIdx.x) * V, step = int64_t(blockDim.x) * V;
  A v[in_flight][V];
#pragma unroll
  for (int p = 0; p < in_flight; ++p) {
    const int64_t at = mine + p * step;
    if (at < area) get(x + at, area - at, aligned, v[p]);
  }
#pragma unroll
  for (int p = 0; p < in_flight; ++p) {
    const int64_t at = mine + p * step;
    if (at >= area) return;
    A add[V];
#pragma unroll
    for (int e = 0; e < V; ++e) add[e] = bias;
    if (noise_packs) {
      A more[V];
      read_pack(noise + at, more);
#pragma unroll
      for (int e = 0; e < V; ++e) add[e] += more[e];
    } else if (noise != nullptr) {
      int64_t row = at / a.width, column = at - row * a.width;
#pragma unroll
      for (int e = 0; e < V; ++e) {
        if (at + e < area) add[e] += read_one(noise + row * a.noise_h + column * a.noise_w);
        if (++column == a.width) {
          column = 0;
          ++row;
        }
      }
    }
#pragma unroll
    for (int e = 0; e < V; ++e) v[p][e] = finish(scale * v[p][e] + add[e]);
    put(y + at, area - at, aligned, v[p]);
  }
}

// channels_last images: packs of channels. aligned: pixels are whole packs at aligned addresses, of the bias too.
template <class T>
__global__ void __launch_bounds__(most_threads)
    modulate_pixels(Modulate a, Finish<Wide<T>> finish, int64_t tiles, bool aligned) {
  using A = Wide<T>;
  constexpr int V = pack<T>;
  const int64_t n = blockIdx.x / tiles, tile = blockIdx.x % tiles;
  const int64_t packs = (a.channels + V - 1) / V, all = a.height * a.width * packs;
  const T* x = static_cast<const T*>(a.x) + n * a.height * a.width * a.channels;
  T* y = static_cast<T*>(a.y) + n * a.height * a.width * a.channels;
  const T *noise = static_cast<const T*>(a.noise), *bias = static_cast<const T*>(a.bias);
  if (noise != nullptr) noise += n * a.noise_n;
  const A* scale = static_cast<const A*>(a.scale);
  if (scale != nullptr) scale += n * a.channels;
  for (int p = 0; p < in_flight; ++p) {
    const int64_t i = (tile * in_flight + p) * blockDim.x + threadIdx.x;
    if (i >= all) return;
    const int64_t pixel = i / packs, c = (i - pixel * packs) * V, at = pixel * a.channels + c, left = a.channels - c;
    A v[V], add[V];
    get(x + at, left, aligned, v);
    if (bias != nullptr && aligned) {
      read_pack(bias + c, add);
    } else {
#pragma unroll
      for (int e = 0; e < V; ++e) add[e] = bias != nullptr && e < left ? read_one(bias + c + e) : A(0);
    }
    if (noise != nullptr) {
      const int64_t row = pixel / a.width, column = pixel - row * a.width;
      const T* here = noise + row * a.noise_h + column * a.noise_w + c * a.noise_c;
      if (a.noise_c == 0) {
        const A same = read_one(here);
#pragma unroll
        for (int e = 0; e < V; ++e) add[e] += same;
      } else {
#pragma unroll
        for (int e = 0; e < V; ++e)
          if (e < left) add[e] += read_one(here + e * a.noise_c);
      }
    }
#pragma unroll
    for (int e = 0; e < V; ++e) {
      const A factor = scale != nullptr && (aligned || e < left) ? __ldg(scale + c + e) : A(1);
      v[e] = finish(factor * v[e] + add[e]);
    }
    put(y + at, left, aligned, v);
  }
}

bool divides(int64_t n, const void* p) { return reinterpret_cast<uintptr_t>(p) % uintptr_t(n) == 0; }

template <class T>
const char* run(const Modulate& a, void* stream) {
  using A = Wide<T>;
  constexpr int V = pack<T>;
  const Finish<A> finish{A(a.slope), A(a.gain), A(a.clamp)};
  const int64_t area = a.height * a.width, row = a.channels_last ? a.channels : area;
  const bool aligned = row % V == 0 && divides(16, a.x) && divides(16, a.y);
  const int64_t packs = (row + V - 1) / V * (a.channels_last ? area : 1), blocks_of = a.batch * (a.channels_last ? 1 : a.channels);
  // Small planes get small blocks.
  int threads = most_threads;
  while (threads > 32 && (threads / 2) * in_flight >= packs) threads /= 2;
  const int64_t tiles = (packs + threads * in_flight - 1) / (threads * in_flight);
  if (a.channels_last) {
    const bool whole = aligned && (a.bias == nullptr || divides(16, a.bias));
    return launch(modulate_pixels<T>, blocks_of * tiles, threads, stream, a, finish, tiles, whole);
  }
  const bool noise_packs = a.noise != nullptr && aligned && divides(16, a.noise) && a.noise_w == 1 &&
                           a.noise_h == a.width && a.noise_n % V == 0 && a.noise_c % V == 0;
  return launch(modulate_planes<T>, blocks_of * tiles, threads, stream, a, finish, tiles, aligned, noise_packs);
}

}  // namespace

const char* modulate(const Modulate& a, void* stream) {
  switch (a.format) {
    case Format::f32:
      return run<float>(a, stream);
    case Format::f64:
      return run<double>(a, stream);
    case Format::bf16:
      return run<Bf16>(a, stream);
    case Format::f16:
      return run<Fp16>(a, stream);
  }
  return "unknown number format";
}

}  // namespace smoothswap::gpu
