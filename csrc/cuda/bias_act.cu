// bias_act and its gradient on a GPU.
//
// Naive version: one pass each for bias, activation, gain and clamp, 8 units of memory traffic. Here one pass, 2 units (the
// gradient 3: it needs y, not x): 16-byte packs, four of them in flight for each thread, all read before any is written.
// The channel is found once for a tile where runs of one channel are longer than it, else once for each pack, by a 32-bit
// division where that will do.

#include <type_traits>

#include "activations.cuh"

namespace smoothswap::gpu {
namespace {

constexpr int block = 256, in_flight = 4;
template <class T>
constexpr int64_t tile = int64_t(block) * in_flight * pack<T>;  // values that a block does at once

// How the bias lies to the packs.
enum class Bias {
  none,
  runs,    // inner is whole packs, so that each pack has one channel
  packs,   // inner = 1, whole packs of neighbouring channels
  anyhow,  // no assumption, not even about alignment
};

template <class A>
__device__ __forceinline__ A limit(A y, A clamp) {
  // NaN stays NaN, as in torch.clamp.
  return y < -clamp ? -clamp : y > clamp ? clamp : y;
}

template <class T, bool Leaky>
struct Value {
  Act act;
  Wide<T> slope, gain, clamp;
  __device__ __forceinline__ Wide<T> operator()(Wide<T> x) const {
    const Wide<T> y = (Leaky ? leaky(x, slope) : curve(act, x)) * gain;
    return clamp < 0 ? y : limit(y, clamp);
  }
};

template <class T>
__device__ __forceinline__ void read_values(const T* p, int64_t left, bool aligned, Wide<T>* v) {
  constexpr int V = pack<T>;
  if (aligned && left >= V) {
    read_pack(p, v);
  } else {
#pragma unroll
    for (int e = 0; e < V; ++e) v[e] = e < left ? read_one(p + e) : Wide<T>(0);
  }
}
template <class T>
__device__ __forceinline__ void write_values(T* p, int64_t left, bool aligned, const Wide<T>* v) {
  constexpr int V = pack<T>;
  if (aligned && left >= V) {
    write_pack(p, v);
  } else {
#pragma unroll
    for (int e = 0; e < V; ++e)
      if (e < left) p[e] = narrow<T>(v[e]);
  }
}

// Divisions of 64-bit numbers cost several times those of 32 bits; `small`: the latter will do.
__device__ __forceinline__ int64_t channel_of(int64_t at, int64_t inner, int64_t channels, bool small) {
  if (small) return uint32_t(at) / uint32_t(inner) % uint32_t(channels);
  return at / inner % channels;
}

template <class T, Bias B, bool Leaky>
__global__ void __launch_bounds__(block, 2) bias_act_kernel(const T* x, const T* b, T* y, int64_t count, int64_t channels,
                                                         int64_t inner, bool aligned, Value<T, Leaky> value) {
  using A = Wide<T>;
  constexpr int V = pack<T>;
  const int64_t step = int64_t(gridDim.x) * tile<T>;
  const bool small = count <= 0x7fffffff;  // inner and channels are at most count
  for (int64_t start = int64_t(blockIdx.x) * tile<T>; start < count; start += step) {
    A v[in_flight][V];
    const int64_t mine = start + int64_t(threadIdx.x) * V;
#pragma unroll
    for (int p = 0; p < in_flight; ++p) {
      const int64_t at = mine + int64_t(p) * block * V;
      if constexpr (B == Bias::anyhow) {
        read_values(x + at, count - at, aligned, v[p]);
      } else {
        if (at < count) read_pack(x + at, v[p]);
      }
    }
    int64_t border = 0;
    A here = 0, next = 0;
    if (B == Bias::runs && inner >= tile<T>) {  // at most two channels in this tile
      const int64_t channel = channel_of(start, inner, channels, small);
      border = (start / inner + 1) * inner;
      here = read_one(b + channel);
      next = read_one(b + (channel + 1 == channels ? 0 : channel + 1));
    }
#pragma unroll
    for (int p = 0; p < in_flight; ++p) {
      const int64_t at = mine + int64_t(p) * block * V;
      if (at >= count) break;
      if constexpr (B == Bias::runs) {
        A add = at < border ? here : next;
        if (inner < tile<T>) add = read_one(b + channel_of(at, inner, channels, small));
#pragma unroll
        for (int e = 0; e < V; ++e) v[p][e] += add;
      } else if constexpr (B == Bias::packs) {
        A add[V];
        read_pack(b + (small ? int64_t(uint32_t(at) % uint32_t(channels)) : at % channels), add);
#pragma unroll
        for (int e = 0; e < V; ++e) v[p][e] += add[e];
      } else if constexpr (B == Bias::anyhow) {
        if (b != nullptr) {
          int64_t run = at / inner, place = at - run * inner, channel = run % channels;
#pragma unroll
          for (int e = 0; e < V; ++e) {
            v[p][e] += read_one(b + channel);
            if (++place == inner) {
              place = 0;
              if (++channel == channels) channel = 0;
            }
          }
        }
      }
#pragma unroll
      for (int e = 0; e < V; ++e) v[p][e] = value(v[p][e]);
      if constexpr (B == Bias::anyhow) {
        write_values(y + at, count - at, aligned, v[p]);
      } else {
        write_pack(y + at, v[p]);
      }
    }
  }
}

template <class T, bool Leaky>
__global__ void __launch_bounds__(block, 2)
    bias_act_grad_kernel(const T* g, const T* ref, T* dx, int64_t count, bool aligned, Derivative<T, Leaky> derivative) {
  using A = Wide<T>;
  constexpr int V = pack<T>, both = in_flight / 2;
  const int64_t span = int64_t(block) * both * V, step = int64_t(gridDim.x) * span;
  for (int64_t start = int64_t(blockIdx.x) * span; start < count; start += step) {
    A v[both][V], r[both][V];
    const int64_t mine = start + int64_t(threadIdx.x) * V;
#pragma unroll
    for (int p = 0; p < both; ++p) {
      const int64_t at = mine + int64_t(p) * block * V;
      read_values(g + at, count - at, aligned, v[p]);
      read_values(ref + at, count - at, aligned, r[p]);
    }
#pragma unroll
    for (int p = 0; p < both; ++p) {
      const int64_t at = mine + int64_t(p) * block * V;
      if (at >= count) break;
#pragma unroll
      for (int e = 0; e < V; ++e) v[p][e] *= derivative(r[p][e]);
      write_values(dx + at, count - at, aligned, v[p]);
    }
  }
}

bool aligned16(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

// A block for each tile, up to many times what a GPU holds at once.
int64_t blocks_for(int64_t count, int64_t values) {
  const int64_t needed = (count + values - 1) / values, most = int64_t(1) << 22;
  return needed < most ? needed : most;
}

template <class T, bool Leaky>
const char* run(const BiasAct& a, void* stream) {
  using A = Wide<T>;
  constexpr int V = pack<T>;
  const T *x = static_cast<const T*>(a.x), *b = static_cast<const T*>(a.b);
  T* y = static_cast<T*>(a.y);
  const Value<T, Leaky> value{a.act, A(a.slope), A(a.gain), A(a.clamp)};
  const int64_t blocks = blocks_for(a.count, tile<T>);
  const bool aligned = aligned16(x) && aligned16(y), whole = aligned && a.count % V == 0;
  const auto start = [&](auto kernel) {
    return launch(kernel, blocks, block, stream, x, b, y, a.count, a.channels, a.inner, aligned, value);
  };
  if constexpr (Leaky && sizeof(T) < 8) {
    if (whole && b == nullptr) return start(bias_act_kernel<T, Bias::none, Leaky>);
    if (whole && a.inner % V == 0) return start(bias_act_kernel<T, Bias::runs, Leaky>);
    if (whole && a.inner == 1 && a.channels % V == 0 && aligned16(b))
      return start(bias_act_kernel<T, Bias::packs, Leaky>);
  }
  return start(bias_act_kernel<T, Bias::anyhow, Leaky>);
}

template <class T, bool Leaky>
const char* run(const BiasActGrad& a, void* stream) {
  const auto derivative = derivative_of<T, Leaky>(a);
  const bool aligned = aligned16(a.g) && aligned16(a.ref) && aligned16(a.dx);
  return launch(bias_act_grad_kernel<T, Leaky>, blocks_for(a.count, tile<T> / 2), block, stream,
                static_cast<const T*>(a.g), static_cast<const T*>(a.ref), static_cast<T*>(a.dx), a.count, aligned,
                derivative);
}

template <class Arguments>
const char* run_format(const Arguments& a, void* stream) {
  const bool leaky = a.act == Act::leaky;
  switch (a.format) {
    case Format::f32:
      return leaky ? run<float, true>(a, stream) : run<float, false>(a, stream);
    case Format::f64:
      return leaky ? run<double, true>(a, stream) : run<double, false>(a, stream);
    case Format::bf16:
      return leaky ? run<Bf16, true>(a, stream) : run<Bf16, false>(a, stream);
    case Format::f16:
      return leaky ? run<Fp16, true>(a, stream) : run<Fp16, false>(a, stream);
  }
  return "unknown number format";
}

}  // namespace

const char* bias_act(const BiasAct& a, void* stream) { return run_format(a, stream); }
const char* bias_act_grad(const BiasActGrad& a, void* stream) { return run_format(a, stream); }

}  // namespace smoothswap::gpu
