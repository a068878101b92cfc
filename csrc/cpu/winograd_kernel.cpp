// 3 × 3 convolution with stride 1 between two scalings of channels, with noise, bias and activation, on the CPU.
//
// The naive version, for each sample n, output o and pixel (i, j):
//
//     y[n][o][i][j] = φ(after[n][o] · Σ_c Σ_kl w[o][c][k][l] · before[n][c] · x[n][c][i + k − top][j + l − left] + …)
//
// takes nine multiply-adds for each pair of channels and pixel, and stock PyTorch five more passes over images: x · before
// before it, · after, + noise, + bias, activation behind it. Winograd's F(4 × 4, 3 × 3) takes 36 multiply-adds for sixteen
// pixels, a quarter: 6 × 6 inputs of a tile become 36 points, in each of which tiles and channels form a matrix product.
// x is read once (rows between tiles twice), y written once; scales, noise, bias and activation cost no pass.
//
// A block of tiles at a time: its points and products share one space (a point's products go where the point before it
// lay), which the block's size keeps in L2 where the weights allow it.

#include "winograd_kernel.h"

#include <algorithm>
#include <cstdlib>

#include "../common/lanes.h"
#include "winograd_edges.h"
#include "winograd_product.h"
#include "winograd_transforms.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

constexpr int64_t points = 36;
constexpr int64_t in_run = 11, out_run = 8;  // tiles of one strip: 46 and 32 pixels, few unused in whole vectors

int64_t vectors(int64_t channels) { return (channels + lanes - 1) / lanes; }

// Values between the weights of two points: whole vectors of outputs, and a cache line so that points fall into
// different cache sets.
int64_t weight_stride(const Winograd& a) { return a.I * vectors(a.O) * lanes + 16; }

// The same for the points of a block, in an odd number of cache lines.
int64_t space_stride(const Winograd& a) {
  const int64_t values = a.block * std::max(vectors(a.I), vectors(a.O)) * lanes;
  return ((values + 15) / 16 | 1) * 16;
}

struct Space {
  float* data;
  explicit Space(int64_t values) : data(static_cast<float*>(std::aligned_alloc(64, size_t(values + 15) / 16 * 64))) {}
  Space(const Space&) = delete;
  ~Space() { std::free(data); }
};

// Tiles [tile, stop) of the block, in runs of at most `most` along one row of tiles: run(n, ti, tj, count, first in block).
template <class Run>
void runs(const Winograd& a, int64_t tile, int64_t stop, int64_t most, const Run& run) {
  const int64_t across = a.tiles_w(), down = a.tiles_h(), begin = tile;
  while (tile < stop) {
    const int64_t tj = tile % across, ti = tile / across % down, n = tile / across / down;
    const int64_t count = std::min({most, across - tj, stop - tile});
    run(n, ti, tj, count, tile - begin);
    tile += count;
  }
}

// A few input channels at a time, so that every point's weights are written in runs of cache lines.
template <class T>
void weights(const Winograd& a, int64_t begin, int64_t end) {
  constexpr int64_t most = 4;
  const T* w = static_cast<const T*>(a.weight);
  const int64_t stride = weight_stride(a), outputs = vectors(a.O) * lanes;
  for (int64_t panel = 0; panel < outputs; panel += 2 * lanes) {
    const int64_t wide = std::min<int64_t>(outputs - panel, 2 * lanes);
    for (int64_t first = begin; first < end; first += most) {
      const int64_t last = std::min(end, first + most), run = (last - first) * wide;
      alignas(64) float some[points * most * 2 * lanes];
      for (int64_t i = first; i < last; ++i)
        for (int64_t o = 0; o < wide; o += lanes) {
          alignas(64) float taps[9][lanes] = {};
          for (int64_t k = 0; k < std::min<int64_t>(lanes, a.O - panel - o); ++k) {
            const T* from = w + (panel + o + k) * a.weight_o + i * a.weight_i;
            for (int q = 0; q < 9; ++q) taps[q][k] = load(from + (a.reversed ? 8 - q : q));
          }
          Vec g[9];
          for (int q = 0; q < 9; ++q) g[q] = read(taps[q]);
          weight_tile(g, some + (i - first) * wide + o, run);
        }
      float* to = a.transformed + panel * a.I + first * wide;
      for (int64_t k = 0; k < points; ++k)
        for (int64_t q = 0; q < run; q += lanes) write(to + k * stride + q, read(some + k * run + q));
    }
  }
}

template <class T>
void tiles(const Winograd& a, int64_t begin, int64_t end) {
  const int64_t stride = space_stride(a), column = a.block * lanes;
  const int64_t in_row = (4 * in_run + 2 + lanes) * lanes, out_row = 4 * out_run * lanes;
  const Space space((points + 1) * stride), strip(std::max(6 * in_row, 4 * out_row));
  for (int64_t block = begin; block < end; ++block) {
    const int64_t first = block * a.block, last = std::min(first + a.block, a.tiles());
    // Points v of the inputs lie one place behind their products m, so that products may overwrite the points before.
    float *m = space.data, *v = space.data + stride;
    runs(a, first, last, in_run, [&](int64_t n, int64_t ti, int64_t tj, int64_t count, int64_t at) {
      for (int64_t c = 0; c < vectors(a.I); ++c) {
        gather<T>(a, n, c * lanes, 4 * ti - a.top, 4 * tj - a.left, 4 * count + 2, strip.data, in_row);
        for (int64_t t = 0; t < count; ++t)
          input_tile(strip.data + 4 * t * lanes, in_row, v + c * column + (at + t) * lanes, stride);
      }
    });
    for (int64_t k = 0; k < points; ++k)
      multiply_point(v + k * stride, column, a.transformed + k * weight_stride(a), a.I, vectors(a.O) * lanes, m + k * stride,
                     column, last - first);
    runs(a, first, last, out_run, [&](int64_t n, int64_t ti, int64_t tj, int64_t count, int64_t at) {
      for (int64_t c = 0; c < vectors(a.O); ++c) {
        for (int64_t t = 0; t < count; ++t)
          output_tile(m + c * column + (at + t) * lanes, stride, strip.data + 4 * t * lanes, out_row);
        scatter<T>(a, n, c * lanes, 4 * ti, 4 * tj, 4 * count, strip.data, out_row);
      }
    });
  }
}

}  // namespace

int64_t winograd_weights_size(const Winograd& a) { return points * weight_stride(a); }

int64_t winograd_block(const Winograd& a, int64_t threads) {
  // Weights come from L3 once a block, so that few tiles wait for them; many leave L2 (28 tiles take 330 KiB at 64
  // channels). Measured with two cores of a Cascade Lake, 28 tiles were as quick as 56 at 64 channels and quicker at 256.
  constexpr int64_t most = 28 / most_rows * most_rows;
  const int64_t rounds = std::max<int64_t>(1, (a.tiles() + most * threads - 1) / (most * threads));
  return std::max<int64_t>(1, (a.tiles() + rounds * threads - 1) / (rounds * threads));
}

void winograd_weights(const Winograd& a, int64_t begin, int64_t end) {
  switch (a.format) {
    case Format::f32:
      return weights<float>(a, begin, end);
    case Format::bf16:
      return weights<BF16>(a, begin, end);
    case Format::f16:
      return weights<F16>(a, begin, end);
    case Format::f64:
      return;
  }
}

void winograd_tiles(const Winograd& a, int64_t begin, int64_t end) {
  switch (a.format) {
    case Format::f32:
      return tiles<float>(a, begin, end);
    case Format::bf16:
      return tiles<BF16>(a, begin, end);
    case Format::f16:
      return tiles<F16>(a, begin, end);
    case Format::f64:
      return;
  }
}

}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
