// Interface between the binding and the kernels of bias_act, which are compiled once for each instruction set.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../common/numbers.h"

namespace smoothswap {

enum class Act : int32_t { linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus, swish };

// How the values are cut into units of work. They depend on the shape alone, never on the threads, and so do the sums.
struct Units {
  // runs: memory is [count, length], a run of `length` values having one bias, that of channel run % channels.
  // rows: memory is [count, length], the last row perhaps incomplete, each row having the whole bias side by side.
  bool rows;
  int64_t values, count, length, channels;
  int64_t tile, group;    // a unit is `tile` values of each of `group` runs or rows
  int64_t tiles, groups;  // units along length, along count
  int64_t total() const { return tiles * groups; }
};

struct Activation {
  Act act;
  double alpha, gain, clamp;  // clamp < 0: none
  bool from_output;           // for gradients: ref is y, else x without the bias
  Format format;
};

// y = clamp(gain · φ(x + b))
struct BiasAct {
  Units units;
  Activation activation;
  const void* bias;  // in the arithmetic's format, [channels] for runs, [length] for rows; null: none
  const void* x;
  void* y;
};

// dx = g · s with s = gain · φ' · [|y| < clamp]; and where h is given, dg = h · s and dref = h · g · ds/dref.
struct BiasActGrad {
  Units units;
  Activation activation;
  const void* bias;  // only where ref is x
  const void* h;     // null: first derivative
  const void* g;
  const void* ref;
  void* dx;         // dx or dg
  void* dref;       // with h
  double* partial;  // sums of dx, or with h of dref: [units] for runs, [groups, length] for rows; null: none
};

SMOOTHSWAP_FOR_EVERY_ISA(void bias_act(const BiasAct& arguments, int64_t begin, int64_t end))
SMOOTHSWAP_FOR_EVERY_ISA(void bias_act_grad(const BiasActGrad& arguments, int64_t begin, int64_t end))

}  // namespace smoothswap
