// Parts of the four-tap upfirdn2d: windows of pixels, one axis of the filter, strips of rows.
#pragma once

#include "platform.cuh"
#include "upfirdn2d_kernel.h"

namespace smoothswap::gpu {

// Everything that a thread needs, in the precision it computes in; sizes of one image fit 31 bits.
struct Four {
  const void* x;
  void* y;
  uint32_t strips, lanes;  // pieces of an image along its height; threads along the rest of it
  uint32_t total;          // planes · strips · lanes
  int rows;                // rows of the result in a strip (pairs of rows where it upsamples)
  int in_h, out_h, in_w, out_w, pad_h, pad_w;
  int channels;      // 1 in contiguous images
  bool whole_packs;  // contiguous images: every row of y consists of aligned packs
  float h[4], w[4];
};

// How the result of one axis comes from four taps t:
//   neither  y_j = Σ_k t_k x_{j−p+k}                 down 2   y_j = Σ_k t_k x_{2j−p+k}
//   up 2     for j − p even, with a = (j − p) / 2:   y_j = t_0 x_a + t_2 x_{a+1},  y_{j+1} = t_1 x_{a+1} + t_3 x_{a+2}
enum class Mode { filter, down, up };

// Pixels that `count` neighbouring results need; for up, count is even and the first result on an even phase.
template <Mode M>
__host__ __device__ constexpr int window(int count) {
  return M == Mode::filter ? count + 3 : M == Mode::down ? 2 * count + 2 : count / 2 + 2;
}

// out [Count] from in [window<M>(Count)], for vectors of `Inner` values: in[i · Inner + e]
template <Mode M, int Count, int Inner>
__device__ __forceinline__ void along(const float* in, const float (&t)[4], float* out) {
#pragma unroll
  for (int e = 0; e < Inner; ++e) {
    if constexpr (M == Mode::up) {
#pragma unroll
      for (int m = 0; m < Count / 2; ++m) {
        const float a = in[m * Inner + e], b = in[(m + 1) * Inner + e], c = in[(m + 2) * Inner + e];
        out[2 * m * Inner + e] = t[0] * a + t[2] * b;
        out[(2 * m + 1) * Inner + e] = t[1] * b + t[3] * c;
      }
    } else {
      constexpr int step = M == Mode::down ? 2 : 1;
#pragma unroll
      for (int j = 0; j < Count; ++j) {
        float sum = t[0] * in[j * step * Inner + e];
#pragma unroll
        for (int k = 1; k < 4; ++k) sum += t[k] * in[(j * step + k) * Inner + e];
        out[j * Inner + e] = sum;
      }
    }
  }
}

// Runs down a strip of `rows` rows (up: pairs of rows) from `first`: each input row is fetched and filtered along once,
// the rows that are still needed stay in registers.
//   fetch(row, values): values [N], row of the input in [0, in_h), filtered along
//   store(row, values): row of the result
template <Mode M, int N, class Fetch, class Store>
__device__ __forceinline__ void down_a_strip(const Four& a, int first, int rows, Fetch fetch, Store store) {
  float ring[4][N];
  const auto get = [&](int row, float* values) {
    if (unsigned(row) < unsigned(a.in_h)) {
      fetch(row, values);
    } else {
#pragma unroll
      for (int n = 0; n < N; ++n) values[n] = 0;
    }
  };
  if constexpr (M == Mode::up) {
    // Pairs start on an even phase: with odd padding the first row of the first pair lies above the result.
    const int odd = a.pad_h & 1;
    int input = (-odd - a.pad_h) / 2 + first;  // exact
    get(input, ring[0]);
    get(input + 1, ring[1]);
#pragma unroll 2
    for (int pair = first; pair < first + rows; ++pair, ++input) {
      get(input + 2, ring[2]);
      float values[N];
      const int row = 2 * pair - odd;
      if (row >= 0 && row < a.out_h) {
#pragma unroll
        for (int n = 0; n < N; ++n) values[n] = a.h[0] * ring[0][n] + a.h[2] * ring[1][n];
        store(row, values);
      }
      if (row + 1 < a.out_h) {
#pragma unroll
        for (int n = 0; n < N; ++n) values[n] = a.h[1] * ring[1][n] + a.h[3] * ring[2][n];
        store(row + 1, values);
      }
#pragma unroll
      for (int n = 0; n < N; ++n) {
        ring[0][n] = ring[1][n];
        ring[1][n] = ring[2][n];
      }
    }
  } else {
    constexpr int step = M == Mode::down ? 2 : 1;
    int input = first * step - a.pad_h;
#pragma unroll
    for (int q = 0; q < 4 - step; ++q) get(input + q, ring[q]);
    const int last = first + rows < a.out_h ? first + rows : a.out_h;
#pragma unroll 4 / step
    for (int row = first; row < last; ++row, input += step) {
#pragma unroll
      for (int q = 4 - step; q < 4; ++q) get(input + q, ring[q]);
      float values[N];
#pragma unroll
      for (int n = 0; n < N; ++n)
        values[n] = a.h[0] * ring[0][n] + a.h[1] * ring[1][n] + (a.h[2] * ring[2][n] + a.h[3] * ring[3][n]);
      store(row, values);
#pragma unroll
      for (int q = 0; q < 4 - step; ++q) {
#pragma unroll
        for (int n = 0; n < N; ++n) ring[q][n] = ring[q + step][n];
      }
    }
  }
}

// Place of a thread: lane along the image, strip of rows, plane (or sample, in channels_last).
struct Place {
  uint32_t lane, strip, plane;
};
__device__ __forceinline__ bool find_place(const Four& a, Place& place) {
  const uint32_t id = blockIdx.x * blockDim.x + threadIdx.x;
  if (id >= a.total) return false;
  place.lane = id % a.lanes;
  const uint32_t rest = id / a.lanes;
  place.strip = rest % a.strips;
  place.plane = rest / a.strips;
  return true;
}

}  // namespace smoothswap::gpu
