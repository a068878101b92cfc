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

// dx = g · gain · φ' · [|y| < clamp], the clamp as ref holds it; φ' and y follow from ref, which is y, or x + b where not from_output.
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

// The same with db_c = Σ dx[:, c, :], added in an order that depends on the shape alone.
struct BiasActBackward {
  const void* g;  // [outer, channels, inner] in memory
  const void* ref;
  const void* b;  // [channels], added to ref, or null
  void* dx;
  void* db;       // [channels], or null: not wanted
  void* partial;  // [channels, parts], fp32 (fp64 for fp64), or null
  int64_t outer, channels, inner, parts;
  Act act;
  bool from_output;
  double slope, gain, clamp;
  Format format;
};

const char* bias_act(const BiasAct& a, void* stream);
const char* bias_act_grad(const BiasActGrad& a, void* stream);
const char* bias_act_backward(const BiasActBackward& a, void* stream);

}  // namespace smoothswap::gpu
