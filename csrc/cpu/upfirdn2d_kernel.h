// Interface between the binding and the kernels of upfirdn2d, which are compiled once for each instruction set.
#pragma once

#include <cstdint>

#include "../common/numbers.h"

namespace smoothswap {

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
  const double* f;   // [h.taps, w.taps], in the order of correlation, gain included
  const double* fh;  // [h.taps], [w.taps] with f = fh ⊗ fw; null where f is not separable
  const double* fw;
  Format format;
  bool channels_last;
};

constexpr int rows_at_once = 4;  // rows of y that are made together, from rows of x that they share

// Units of work, any range of which may be computed alone: groups of rows of the result [planes · ⌈h.out /
// rows_at_once⌉], where the planes of all channels are one in channels_last; for a filter that is not separable whole
// planes [batch · channels] if contiguous, rows [batch · h.out] if channels_last.
inline int64_t units(const Upfirdn& a) {
  const int64_t planes = a.batch * (a.channels_last ? 1 : a.channels);
  if (a.fh != nullptr) return planes * ((a.h.out + rows_at_once - 1) / rows_at_once);
  return a.channels_last ? planes * a.h.out : planes;
}

SMOOTHSWAP_FOR_EVERY_ISA(void upfirdn2d(const Upfirdn& arguments, int64_t begin, int64_t end))

}  // namespace smoothswap
