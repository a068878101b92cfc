// Interface between the binding and the CUDA kernels around a modulated convolution.
#pragma once

#include "format.h"

namespace smoothswap::gpu {

// y = clamp(gain · φ(scale · x + noise + bias)), φ(v) = v above zero, slope · v else.
struct Modulate {
  const void* x;  // [batch, channels, height, width], contiguous or channels_last
  void* y;        // laid out alike; may be x
  const void* scale;  // [batch, channels], fp32 (fp64 for fp64 images), or null: ones
  const void* noise;  // x's format, with the strides below in values, 0 where it is broadcast; or null
  const void* bias;   // [channels], x's format, or null
  int64_t batch, channels, height, width;
  int64_t noise_n, noise_c, noise_h, noise_w;
  double slope, gain, clamp;  // clamp < 0: none
  Format format;
  bool channels_last;
};

const char* modulate(const Modulate& a, void* stream);

}  // namespace smoothswap::gpu
