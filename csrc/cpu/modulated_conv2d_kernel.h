// Interface between the binding and the passes around a convolution that is not Winograd's, compiled for each instruction set.
#pragma once

#include <cstdint>

#include "../common/numbers.h"

namespace smoothswap {

// y = x · scale, fp32 or fp64: the format that `x_format` is computed in.
struct ScaleChannels {
  const void* x;      // [N, C, pixels], or [N, pixels, C] where channels_last
  const void* scale;  // [N, C] in y's format
  void* y;
  int64_t C, pixels;
  Format x_format;
  bool channels_last;
};

// y = clamp(gain · φ(u · scale + noise + bias)), φ(v) = v for v > 0, slope · v else.
struct Epilogue {
  const void* u;      // [N, C, H, W] in memory, or [N, H, W, C] where channels_last; computed in u's format: fp32 or fp64
  const void* scale;  // [N, C] in u's format, or null
  const void* noise;  // in y's format, at n·noise_n + c·noise_c + i·noise_h + j·noise_w, or null
  int64_t noise_n, noise_c, noise_h, noise_w;
  const void* bias;  // [C] in u's format, or null
  double slope, gain, clamp;  // clamp < 0: none
  void* y;                    // may be u
  int64_t C, H, W;
  Format y_format;
  bool channels_last;
};

// dh = d · h, h = g · gain · φ' · [|y| < clamp], φ' from the sign of y; and sums of h and of g · y · [|y| < clamp] − h · noise.
struct GradientHead {
  const float* g;      // [N, O, H, W] in memory, or [N, H, W, O] where channels_last
  const float* y;      // likewise
  const float* noise;  // at n·noise_n + i·noise_h + j·noise_w, or null
  int64_t noise_n, noise_h, noise_w;
  const float* d;  // [N, O] or null
  float* dh;       // like g
  float* sums;     // [2, N, parts, O]: both sums over `rows` rows of pixels
  float* total;    // [N, H, W]: h summed over the channels; zeros at first
  int64_t N, O, H, W, rows;
  double slope, gain, clamp;  // clamp < 0: none
  bool channels_last;

  int64_t parts() const { return (H + rows - 1) / rows; }
};

// Parts [begin, end) of N · parts.
SMOOTHSWAP_FOR_EVERY_ISA(void gradient_head(const GradientHead& a, int64_t begin, int64_t end))
// Planes [begin, end) of N · C, or pixels of N · pixels where channels_last.
SMOOTHSWAP_FOR_EVERY_ISA(void scale_channels(const ScaleChannels& a, int64_t begin, int64_t end))
// Rows [begin, end) of N · C · H, or of N · H where channels_last.
SMOOTHSWAP_FOR_EVERY_ISA(void epilogue(const Epilogue& a, int64_t begin, int64_t end))

}  // namespace smoothswap
