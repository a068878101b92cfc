// Interface between the binding and the CUDA kernels of bias_act.
#pragma once

#include "format.h"

namespace smoothswap::gpu {

// `leaky` is linear, relu and lrelu in one: the slope below zero tells which.
enum class Act : int32_t { leaky, tanh, sigmoid, elu, selu, softplus, swish };

// y = clamp(gain · φ(x + b))
struct BiasAct {
  const void* x;  // [outer, channels, inner] in memory
  const void* b;  // [channels] or null
  void* y;        // as x
  int64_t count, channels, inner;  // count: values of x
  Act act;
  double slope, gain, clamp;  // clamp < 0: none
  Format format;
};

// dx = g · gain · φ' · [|y| < clamp]; φ' and y follow from ref, which is y, or x + b where not from_output.
struct BiasActGrad {
  const void* g;  // [count]
  const void* ref;
  void* dx;
  int64_t count;
  Act act;
  bool from_output;
  double slope, gain, clamp;
  Format format;
};

// db_c = Σ dx[:, c, :], added in an order that depends on the shape alone.
struct BiasGrad {
  const void* dx;  // [outer, channels, inner] in memory
  void* db;        // [channels], dx's format
  void* partial;   // [channels, parts]: fp32, fp64 for fp64
  int64_t outer, channels, inner, parts;
  Format format;
};

// Parts that the sum of a channel is cut into: enough to fill a GPU, none for nothing.
int64_t bias_grad_parts(int64_t outer, int64_t channels, int64_t inner);

const char* bias_act(const BiasAct& a, void* stream);
const char* bias_act_grad(const BiasActGrad& a, void* stream);
const char* bias_grad(const BiasGrad& a, void* stream);

}  // namespace smoothswap::gpu
