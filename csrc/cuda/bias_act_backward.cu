// The gradients of bias_act's input and bias on a GPU: dx = g · φ'(…) · …, db_c = Σ dx[:, c, :].
//
// Naive version: dx in one pass, then read again for the sum, with atomic additions in an order that changes from run to
// run; 4 units of memory traffic. Here 3, those of dx alone: each block computes its part of a channel (inner = 1: of some
// neighbouring channels) and adds it up in a fixed order; a second launch adds each channel's few parts in turn.

#include "activations.cuh"

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

// E neighbouring values at p, of which `left` are there; packs where E says so.
template <class T, int E>
__device__ __forceinline__ void get(const T* p, int64_t left, bool packed, Wide<T>* v) {
  if constexpr (E == pack<T>) {
    if (packed) return read_pack(p, v);
  }
#pragma unroll
  for (int e = 0; e < E; ++e) v[e] = e < left ? read_one(p + e) : Wide<T>(0);
}
template <class T, int E>
__device__ __forceinline__ void put(T* p, int64_t left, bool packed, const Wide<T>* v) {
  if constexpr (E == pack<T>) {
    if (packed) return write_pack(p, v);
  }
#pragma unroll
  for (int e = 0; e < E; ++e)
    if (e < left) p[e] = narrow<T>(v[e]);
}

// Runs of `inner` values: block (channel, part) takes `share` of the channel's packs. packed: runs are whole aligned packs.
template <class T, bool Leaky>
__global__ void __launch_bounds__(block, 2)
    bias_act_backward_runs(BiasActBackward a, Derivative<T, Leaky> derivative, int64_t share, bool packed) {
  using A = Wide<T>;
  constexpr int V = pack<T>;
  const int64_t channel = blockIdx.x / a.parts, part = blockIdx.x % a.parts;
  const int64_t packs = (a.inner + V - 1) / V, all = a.outer * packs;
  const int64_t end = (part + 1) * share < all ? (part + 1) * share : all;
  const bool small = all <= 0x7fffffff;
  const A bias = a.b != nullptr ? read_one(static_cast<const T*>(a.b) + channel) : A(0);
  A sum = 0;
  for (int64_t i = part * share + threadIdx.x; i < end; i += block) {
    const int64_t outer = small ? int64_t(uint32_t(i) / uint32_t(packs)) : i / packs;
    const int64_t place = (i - outer * packs) * V, at = (outer * a.channels + channel) * a.inner + place;
    A v[V], r[V];
    get<T, V>(static_cast<const T*>(a.g) + at, a.inner - place, packed, v);
    get<T, V>(static_cast<const T*>(a.ref) + at, a.inner - place, packed, r);
#pragma unroll
    for (int e = 0; e < V; ++e) {
      v[e] *= derivative(r[e] + bias);
      if (packed || place + e < a.inner) sum += v[e];
    }
    put<T, V>(static_cast<T*>(a.dx) + at, a.inner - place, packed, v);
  }
  sum = sum_of_block(sum);
  if (threadIdx.x == 0 && a.db != nullptr) static_cast<A*>(a.partial)[channel * a.parts + part] = sum;
}

// inner = 1: `lanes` threads take E neighbouring channels each, the block's other threads further rows of the part.
template <class T, bool Leaky, int E>
__global__ void __launch_bounds__(block, 2)
    bias_act_backward_rows(BiasActBackward a, Derivative<T, Leaky> derivative, int64_t share, int lanes) {
  using A = Wide<T>;
  __shared__ A sums[E * block];
  const int64_t group = blockIdx.x / a.parts, part = blockIdx.x % a.parts;
  const int lane = int(threadIdx.x) % lanes, first = int(threadIdx.x) / lanes, rows = block / lanes;
  const int64_t channel = (group * lanes + lane) * E;
  const int64_t end = (part + 1) * share < a.outer ? (part + 1) * share : a.outer;
  const bool busy = channel < a.channels && first < rows;
  A sum[E], bias[E];
#pragma unroll
  for (int e = 0; e < E; ++e) {
    sum[e] = 0;
    bias[e] = busy && a.b != nullptr ? read_one(static_cast<const T*>(a.b) + channel + e) : A(0);
  }
  if (busy) {
    for (int64_t row = part * share + first; row < end; row += rows) {
      const int64_t at = row * a.channels + channel;
      A v[E], r[E];
      get<T, E>(static_cast<const T*>(a.g) + at, E, true, v);
      get<T, E>(static_cast<const T*>(a.ref) + at, E, true, r);
#pragma unroll
      for (int e = 0; e < E; ++e) {
        v[e] *= derivative(r[e] + bias[e]);
        sum[e] += v[e];
      }
      put<T, E>(static_cast<T*>(a.dx) + at, E, true, v);
    }
  }
#pragma unroll
  for (int e = 0; e < E; ++e) sums[e * block + threadIdx.x] = sum[e];
  __syncthreads();
  if (!busy || first > 0 || a.db == nullptr) return;
  for (int other = 1; other < rows; ++other) {
#pragma unroll
    for (int e = 0; e < E; ++e) sum[e] += sums[e * block + other * lanes + lane];
  }
#pragma unroll
  for (int e = 0; e < E; ++e) static_cast<A*>(a.partial)[(channel + e) * a.parts + part] = sum[e];
}

template <class T>
__global__ void __launch_bounds__(block) bias_act_backward_parts(BiasActBackward a) {
  using A = Wide<T>;
  const int64_t channel = int64_t(blockIdx.x) * block + threadIdx.x;
  if (channel >= a.channels) return;
  A sum = 0;
  for (int64_t part = 0; part < a.parts; ++part) sum += static_cast<const A*>(a.partial)[channel * a.parts + part];
  static_cast<T*>(a.db)[channel] = narrow<T>(sum);
}

bool aligned16(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

template <class T, bool Leaky, int E>
const char* run_rows(const BiasActBackward& a, void* stream) {
  const int64_t packs = (a.channels + E - 1) / E, lanes = packs < block ? packs : block;
  const int64_t groups = (packs + lanes - 1) / lanes, share = (a.outer + a.parts - 1) / a.parts;
  return launch(bias_act_backward_rows<T, Leaky, E>, groups * a.parts, block, stream, a, derivative_of<T, Leaky>(a),
                share, int(lanes));
}

template <class T, bool Leaky>
const char* run(const BiasActBackward& a, void* stream) {
  constexpr int V = pack<T>;
  const bool aligned = aligned16(a.g) && aligned16(a.ref) && aligned16(a.dx);
  const char* error;
  if (a.inner == 1 && aligned && a.channels % V == 0) {
    error = run_rows<T, Leaky, V>(a, stream);
  } else if (a.inner == 1) {
    error = run_rows<T, Leaky, 1>(a, stream);
  } else {
    const int64_t all = a.outer * ((a.inner + V - 1) / V), share = (all + a.parts - 1) / a.parts;
    error = launch(bias_act_backward_runs<T, Leaky>, a.channels * a.parts, block, stream, a, derivative_of<T, Leaky>(a),
                   share, aligned && a.inner % V == 0);
  }
  if (error != nullptr || a.db == nullptr) return error;
  return launch(bias_act_backward_parts<T>, (a.channels + block - 1) / block, block, stream, a);
}

template <class T>
const char* run_act(const BiasActBackward& a, void* stream) {
  return a.act == Act::leaky ? run<T, true>(a, stream) : run<T, false>(a, stream);
}

}  // namespace

const char* bias_act_backward(const BiasActBackward& a, void* stream) {
  switch (a.format) {
    case Format::f32:
      return run_act<float>(a, stream);
    case Format::f64:
      return run_act<double>(a, stream);
    case Format::bf16:
      return run_act<Bf16>(a, stream);
    case Format::f16:
      return run_act<Fp16>(a, stream);
  }
  return "unknown number format";
}

}  // namespace smoothswap::gpu
