// Interface between the binding and the kernels of the 3 × 3 convolution by Winograd's F(4 × 4, 3 × 3).
#pragma once

#include <cstdint>

#include "../common/numbers.h"

namespace smoothswap {

// y = clamp(gain · φ(after · C(before · x, w) + noise + bias)), φ(v) = v for v > 0, slope · v else; C: correlation.
// Images are contiguous or channels_last, all in one format; scales and bias are fp32.
struct Winograd {
  const void* x;        // [N, I, H, W]
  const void* weight;   // [O, I, 3, 3], or where a tap (o, i, k) lies elsewhere:
  int64_t weight_o, weight_i;  // its strides in values
  bool reversed;        // taps in reverse order
  const float* before;  // [N, I] or null
  const float* after;   // [N, O] or null
  const void* noise;    // at n·noise_n + o·noise_o + i·noise_h + j·noise_w, or null
  int64_t noise_n, noise_o, noise_h, noise_w;
  const float* bias;  // [O] or null
  double slope, gain, clamp;  // clamp < 0: none
  void* y;  // [N, O, H', W']
  int64_t N, I, O, H, W, out_h, out_w, top, left;  // padding above and left; negative crops
  Format format;
  bool channels_last;
  float* transformed;  // weights, `winograd_weights_size` values, aligned to 64 bytes
  int64_t block;       // tiles whose transforms are worked on together

  int64_t tiles_h() const { return (out_h + 3) / 4; }
  int64_t tiles_w() const { return (out_w + 3) / 4; }
  int64_t tiles() const { return N * tiles_h() * tiles_w(); }
  int64_t blocks() const { return (tiles() + block - 1) / block; }
};

// Values of the transformed weights.
SMOOTHSWAP_FOR_EVERY_ISA(int64_t winograd_weights_size(const Winograd& a))
// Input channels [begin, end) of all weights.
SMOOTHSWAP_FOR_EVERY_ISA(void winograd_weights(const Winograd& a, int64_t begin, int64_t end))
// Tiles for `block`, given the threads that will share them.
SMOOTHSWAP_FOR_EVERY_ISA(int64_t winograd_block(const Winograd& a, int64_t threads))
// Blocks [begin, end) of tiles of the result.
SMOOTHSWAP_FOR_EVERY_ISA(void winograd_tiles(const Winograd& a, int64_t begin, int64_t end))

}  // namespace smoothswap
