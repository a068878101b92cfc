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
  int rows;                // rows of the result in a strip (pairs of rows where it upsamples), a multiple of 4
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

// Runs down a strip of `a.rows` rows (up: pairs of rows) from `first`, G at a time: first the G rows' new input rows are
// read and filtered along, all of them in flight together, then combined; rows that are still needed stay in registers.
//   fetch(row, inside, values): values [N], row of the input filtered along; zeros where not inside [0, in_h)
//   store(row, values): row of the result
template <Mode M, int N, int G, class Fetch, class Store>
__device__ __forceinline__ void down_a_strip(const Four& a, int first, Fetch fetch, Store store) {
  constexpr int step = M == Mode::down ? 2 : 1, kept = M == Mode::up ? 2 : 4 - step;
  const auto get = [&](int row, float* values) { fetch(row, unsigned(row) < unsigned(a.in_h), values); };
  // Up: pairs start on an even phase; with odd padding the first row of the first pair lies above the result.
  const int odd = M == Mode::up ? a.pad_h & 1 : 0;
  int input = M == Mode::up ? (-odd - a.pad_h) / 2 + first : first * step - a.pad_h;  // the division is exact
  float rows[kept + G * step][N];
#pragma unroll
  for (int q = 0; q < kept; ++q) get(input + q, rows[q]);
  for (int at = first; at < first + a.rows; at += G, input += G * step) {
    if ((M == Mode::up ? 2 * at - odd : at) >= a.out_h) break;
#pragma unroll
    for (int q = kept; q < kept + G * step; ++q) get(input + q, rows[q]);
#pragma unroll
    for (int g = 0; g < G; ++g) {
      float values[N];
      if constexpr (M == Mode::up) {
        const int row = 2 * (at + g) - odd;
#pragma unroll
        for (int n = 0; n < N; ++n) values[n] = a.h[0] * rows[g][n] + a.h[2] * rows[g + 1][n];
        if (unsigned(row) < unsigned(a.out_h)) store(row, values);
#pragma unroll
        for (int n = 0; n < N; ++n) values[n] = a.h[1] * rows[g + 1][n] + a.h[3] * rows[g + 2][n];
        if (row + 1 < a.out_h) store(row + 1, values);
      } else {
#pragma unroll
        for (int n = 0; n < N; ++n) {
          values[n] = a.h[0] * rows[g * step][n];
#pragma unroll
          for (int k = 1; k < 4; ++k) values[n] += a.h[k] * rows[g * step + k][n];
        }
        if (at + g < a.out_h) store(at + g, values);
      }
    }
#pragma unroll
    for (int q = 0; q < kept; ++q) {
#pragma unroll
      for (int n = 0; n < N; ++n) rows[q][n] = rows[q + G * step][n];
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
