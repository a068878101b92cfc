// Activations φ and their derivatives for one value; the formulas of smoothswap/ops/bias_act.py.
#pragma once

#include <cmath>

#include "bias_act_kernel.h"
#include "platform.cuh"

namespace smoothswap::gpu {

__device__ __forceinline__ float exp_of(float x) { return expf(x); }
__device__ __forceinline__ double exp_of(double x) { return exp(x); }
__device__ __forceinline__ float expm1_of(float x) { return expm1f(x); }
__device__ __forceinline__ double expm1_of(double x) { return expm1(x); }
__device__ __forceinline__ float log1p_of(float x) { return log1pf(x); }
__device__ __forceinline__ double log1p_of(double x) { return log1p(x); }
__device__ __forceinline__ float tanh_of(float x) { return tanhf(x); }
__device__ __forceinline__ double tanh_of(double x) { return tanh(x); }

// linear, relu and lrelu in one: x above zero, slope · x else, so that NaN stays NaN and relu(−1) is 0, not −0.
template <class A>
__device__ __forceinline__ A leaky(A x, A slope) {
  return x > 0 ? x : slope == 0 && x == x ? A(0) : slope * x;
}

template <class A>
__device__ __forceinline__ A logistic(A x) {
  return 1 / (1 + exp_of(-x));
}

constexpr double selu_scale = 1.0507009873554805, selu_alpha = 1.6732632423543772;

template <class A>
__device__ __forceinline__ A curve(Act act, A x) {
  switch (act) {
    case Act::tanh:
      return tanh_of(x);
    case Act::sigmoid:
      return logistic(x);
    case Act::elu:
      return x > 0 ? x : expm1_of(x);
    case Act::selu:
      return A(selu_scale) * (x > 0 ? x : A(selu_alpha) * expm1_of(x));
    case Act::softplus:  // as torch: above 20 the line is exact in fp32
      return x > 20 ? x : log1p_of(exp_of(x));
    case Act::swish:
      return x * logistic(x);
    default:
      return x;
  }
}

// φ' as a function of t = φ(x); swish: of t = x.
template <class A>
__device__ __forceinline__ A curve_slope(Act act, A t) {
  switch (act) {
    case Act::tanh:
      return 1 - t * t;
    case Act::sigmoid:
      return t * (1 - t);
    case Act::elu:
      return (t < 0 ? t : t != t ? t : A(0)) + 1;
    case Act::selu:
      return t > 0 ? A(selu_scale) : t + A(selu_scale * selu_alpha);
    case Act::softplus:
      return -expm1_of(-t);
    case Act::swish: {
      const A s = logistic(t);
      return s * (1 + t * (1 - s));
    }
    default:
      return 1;
  }
}

// The factor of g in dx = g · gain · φ' · [|y| < clamp], as a function of ref: y, or x + b where not from_output.
template <class T, bool Leaky>
struct Derivative {
  Act act;
  bool from_output;
  Wide<T> slope, gain, per_gain, clamp;  // per_gain = 1 / gain
  __device__ __forceinline__ Wide<T> operator()(Wide<T> ref) const {
    using A = Wide<T>;
    A d;
    if constexpr (Leaky) {
      d = (from_output ? ref * per_gain : ref) > 0 ? gain : gain * slope;
    } else {
      const A t = from_output ? ref * per_gain : act == Act::swish ? ref : curve(act, ref);
      d = gain * curve_slope(act, t);
    }
    if (clamp < 0) return d;
    const A y = from_output ? ref : gain * (Leaky ? leaky(ref, slope) : curve(act, ref));
    return y > -clamp && y < clamp ? d : A(0);
  }
};

template <class T, bool Leaky, class Arguments>
Derivative<T, Leaky> derivative_of(const Arguments& a) {
  using A = Wide<T>;
  return {a.act, a.from_output, A(a.slope), A(a.gain), A(a.gain == 0 ? 0 : 1 / a.gain), A(a.clamp)};
}

}  // namespace smoothswap::gpu
