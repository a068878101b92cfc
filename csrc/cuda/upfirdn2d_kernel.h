// Interface between the binding and the CUDA kernels of upfirdn2d.
#pragma once

#include "format.h"

namespace smoothswap::gpu {

// One axis: `in` pixels are followed by up−1 zeros each, `pad` zeros precede them (negative: cropped), every down-th of
// the filtered ones is kept, `out` of them.
struct Axis {
  int64_t in, out, up, down, pad, taps;
};

struct Upfirdn {
  const void* x;  // [batch, channels, h.in, w.in], contiguous or channels_last
  void* y;        // [batch, channels, h.out, w.out], laid out alike
  int64_t batch, channels;
  Axis h, w;
  Format format;
  bool channels_last;
};

// Taps of four by four that are an outer product, in the order of correlation, gain included.
struct FourTaps {
  double h[4], w[4];
};

// A filter in the device's memory, fp32 (fp64 for fp64 images), contiguous: [h.taps, w.taps], or [h.taps] along both axes.
struct DeviceTaps {
  const void* f;
  bool one_axis, flip;  // flip: correlate
  double gain;
};

// Whether `upfirdn2d_four` serves these arguments: four taps along both axes, the same up 2, down 2 or neither, fewer than
// 2³² strips of work.
bool four_taps_fit(const Upfirdn& a);

// All launch on `stream` of the current device, and give null or the reason why they did not start.
const char* upfirdn2d_four(const Upfirdn& a, const FourTaps& taps, void* stream);
const char* upfirdn2d_any(const Upfirdn& a, const DeviceTaps& taps, void* stream);

}  // namespace smoothswap::gpu
