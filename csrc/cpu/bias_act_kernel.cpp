// bias_act on the CPU for linear, relu and lrelu: one pass, x read once and y written once (stock PyTorch: up to four
// passes, and as many results in memory).

#include "bias_act_kernel.h"

#include <limits>

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

template <class A>
inline A activate(A v, A low, A slope_gain, A gain, A clamp) {
  v = v < low ? low : v;  // a slope of zero times −∞ shall be zero
  v *= v > 0 ? gain : slope_gain;
  v = v > clamp ? clamp : v;  // a NaN compares false and stays
  return v < -clamp ? -clamp : v;
}

template <class A>
A limit(double clamp) {
  return clamp < 0 ? std::numeric_limits<A>::infinity() : A(clamp);
}

template <class T>
void forward(const BiasAct& a, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const A gain = A(a.gain), slope_gain = A(a.slope * a.gain), clamp = limit<A>(a.clamp);
  const A low = a.slope == 0 ? std::numeric_limits<A>::lowest() : -std::numeric_limits<A>::infinity();
  const T* b = static_cast<const T*>(a.b);
  const int64_t length = a.inner == 1 ? a.channels : a.inner;
  for (int64_t run = begin; run < end; ++run) {
    const T* __restrict x = static_cast<const T*>(a.x) + run * length;
    T* __restrict y = static_cast<T*>(a.y) + run * length;
    if (a.inner == 1 && b) {
      for (int64_t k = 0; k < length; ++k) store(y + k, activate(load(x + k) + load(b + k), low, slope_gain, gain, clamp));
    } else {
      const A bias = b ? load(b + run % a.channels) : A(0);
      for (int64_t k = 0; k < length; ++k) store(y + k, activate(load(x + k) + bias, low, slope_gain, gain, clamp));
    }
  }
}

template <class T>
void backward(const BiasActGrad& a, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const A gain = A(a.gain), slope_gain = A(a.slope * a.gain), clamp = limit<A>(a.clamp), sign = a.gain < 0 ? -1 : 1;
  const T* __restrict g = static_cast<const T*>(a.g);
  const T* __restrict y = static_cast<const T*>(a.y);
  T* __restrict dx = static_cast<T*>(a.dx);
  for (int64_t k = begin; k < end; ++k) {
    const A v = load(y + k);
    const A slope = v * sign > 0 ? gain : slope_gain;
    store(dx + k, v < clamp && v > -clamp ? load(g + k) * slope : A(0));
  }
}

}  // namespace

void bias_act(const BiasAct& a, int64_t begin, int64_t end) {
  switch (a.format) {
    case Format::f32:
      return forward<float>(a, begin, end);
    case Format::f64:
      return forward<double>(a, begin, end);
    case Format::bf16:
      return forward<BF16>(a, begin, end);
    case Format::f16:
      return forward<F16>(a, begin, end);
  }
}

void bias_act_grad(const BiasActGrad& a, int64_t begin, int64_t end) {
  switch (a.format) {
    case Format::f32:
      return backward<float>(a, begin, end);
    case Format::f64:
      return backward<double>(a, begin, end);
    case Format::bf16:
      return backward<BF16>(a, begin, end);
    case Format::f16:
      return backward<F16>(a, begin, end);
  }
}

}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
