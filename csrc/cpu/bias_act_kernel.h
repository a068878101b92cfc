// Interface between the binding and the kernels of bias_act, which are compiled once for each instruction set.
#pragma once

#include <cstdint>

#include "../common/numbers.h"

namespace smoothswap {

// y = clamp(gain · φ(x + b)) with φ(v) = v for v > 0, slope · v else: linear, relu and lrelu in one.
struct BiasAct {
  const void* x;  // [outer, channels, inner]
  const void* b;  // [channels] or null
  void* y;
  int64_t channels, inner;
  double slope, gain, clamp;  // clamp < 0: none
  Format format;
};

// dx = g · gain · (slope where y is on the negative side) · [|y| < clamp]
struct BiasActGrad {
  const void* g;
  const void* y;
  void* dx;
  double slope, gain, clamp;
  Format format;
};

// runs [outer · channels], or [outer] if inner = 1
SMOOTHSWAP_FOR_EVERY_ISA(void bias_act(const BiasAct& arguments, int64_t begin, int64_t end))
// elements
SMOOTHSWAP_FOR_EVERY_ISA(void bias_act_grad(const BiasActGrad& arguments, int64_t begin, int64_t end))

}  // namespace smoothswap
