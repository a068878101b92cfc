// Gradient of the bias on a GPU: db_c = Σ dx[:, c, :].
//
// Naive version: atomic additions, in an order that changes from run to run. Here two launches: each block adds its part of
// a channel in a fixed order, then one thread for each channel adds the parts in turn. dx is read once, the parts are few.

#include "bias_act_kernel.h"
#include "platform.cuh"

namespace smoothswap::gpu {
namespace {

constexpr int block = 256;

// The sum over a block's threads, in a fixed tree; valid in thread 0.
template <class A>
__device__ __forceinline__ A sum_of_block(A v) {
  __shared__ A warps[block / 32];
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) v += __shfl_xor_sync(0xffffffffu, v, lanes);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
  __syncthreads();
  A sum = 0;
  if (threadIdx.x == 0) {
#pragma unroll
    for (int w = 0; w < block / 32; ++w) sum += warps[w];
  }
  return sum;
}

// Runs of `inner` values: block (channel, part) adds the values of its share of the runs' packs.
template <class T>
__global__ void __launch_bounds__(block, 2) bias_grad_runs(BiasGrad a, int64_t share, bool packed) {
  using A = Wide<T>;
  constexpr int V = pack<T>;
  const int64_t channel = blockIdx.x / a.parts, part = blockIdx.x % a.parts;
  const int64_t packs = (a.inner + V - 1) / V, all = a.outer * packs;
  const int64_t end = (part + 1) * share < all ? (part + 1) * share : all;
  A sum = 0;
  for (int64_t i = part * share + threadIdx.x; i < end; i += block) {
    const int64_t outer = i / packs, place = (i - outer * packs) * V;
    const T* p = static_cast<const T*>(a.dx) + (outer * a.channels + channel) * a.inner + place;
    A v[V];
    if (packed) {
      read_pack(p, v);
    } else {
#pragma unroll
      for (int e = 0; e < V; ++e) v[e] = place + e < a.inner ? read_one(p + e) : A(0);
    }
#pragma unroll
    for (int e = 1; e < V; ++e) v[0] += v[e];
    sum += v[0];
  }
  sum = sum_of_block(sum);
  if (threadIdx.x == 0) static_cast<A*>(a.partial)[channel * a.parts + part] = sum;
}

// inner = 1: warps take 32 neighbouring channels, the rows of a part are dealt to the block's warps.
template <class T>
__global__ void __launch_bounds__(block) bias_grad_rows(BiasGrad a, int64_t share) {
  using A = Wide<T>;
  __shared__ A sums[block];
  const int64_t group = blockIdx.x / a.parts, part = blockIdx.x % a.parts;
  const int64_t channel = group * 32 + threadIdx.x % 32;
  const int64_t end = (part + 1) * share < a.outer ? (part + 1) * share : a.outer;
  A sum = 0;
  if (channel < a.channels) {
    const T* p = static_cast<const T*>(a.dx) + channel;
#pragma unroll 4
    for (int64_t row = part * share + threadIdx.x / 32; row < end; row += block / 32) sum += read_one(p + row * a.channels);
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x >= 32 || channel >= a.channels) return;
#pragma unroll
  for (int w = 1; w < block / 32; ++w) sum += sums[w * 32 + threadIdx.x];
  static_cast<A*>(a.partial)[channel * a.parts + part] = sum;
}

template <class T>
__global__ void __launch_bounds__(block) bias_grad_parts_kernel(BiasGrad a) {
  using A = Wide<T>;
  const int64_t channel = int64_t(blockIdx.x) * block + threadIdx.x;
  if (channel >= a.channels) return;
  A sum = 0;
  for (int64_t part = 0; part < a.parts; ++part) sum += static_cast<const A*>(a.partial)[channel * a.parts + part];
  static_cast<T*>(a.db)[channel] = narrow<T>(sum);
}

template <class T>
const char* run(const BiasGrad& a, void* stream) {
  constexpr int V = pack<T>;
  const char* error;
  if (a.inner == 1) {
    const int64_t share = (a.outer + a.parts - 1) / a.parts;
    error = launch(bias_grad_rows<T>, (a.channels + 31) / 32 * a.parts, block, stream, a, share);
  } else {
    const int64_t all = a.outer * ((a.inner + V - 1) / V), share = (all + a.parts - 1) / a.parts;
    const bool packed = a.inner % V == 0 && reinterpret_cast<uintptr_t>(a.dx) % 16 == 0;
    error = launch(bias_grad_runs<T>, a.channels * a.parts, block, stream, a, share, packed);
  }
  if (error != nullptr) return error;
  return launch(bias_grad_parts_kernel<T>, (a.channels + block - 1) / block, block, stream, a);
}

}  // namespace

int64_t bias_grad_parts(int64_t outer, int64_t channels, int64_t inner) {
  // About 2¹² blocks, each of at least 2¹³ values.
  const int64_t rows = inner == 1 ? 32 : 1, groups = (channels + rows - 1) / rows, values = outer * inner * rows;
  const int64_t by_work = (values + 8191) / 8192, by_blocks = (4096 + groups - 1) / groups;
  const int64_t parts = by_work < by_blocks ? by_work : by_blocks;
  return parts < 1 ? 1 : parts;
}

const char* bias_grad(const BiasGrad& a, void* stream) {
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
