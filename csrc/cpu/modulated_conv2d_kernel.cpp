// The passes around modulated_conv2d's convolution where another library's convolution runs: one before it, one behind.
//
// Naively there are six: x · style, then u · scale, + noise, + bias, activation · gain, clamp, each reading and writing an
// image. Here x is read and x · style written once; u is read and y written once.

#include "modulated_conv2d_kernel.h"

#include <limits>

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

template <class T>
void scale(const ScaleChannels& a, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const A* s = static_cast<const A*>(a.scale);
  const int64_t run = a.channels_last ? a.C : a.pixels;
  for (int64_t unit = begin; unit < end; ++unit) {
    const T* __restrict x = static_cast<const T*>(a.x) + unit * run;
    A* __restrict y = static_cast<A*>(a.y) + unit * run;
    if (a.channels_last) {
      const A* __restrict by = s + unit / a.pixels * a.C;
      for (int64_t k = 0; k < run; ++k) y[k] = load(x + k) * by[k];
    } else {
      const A by = s[unit];
      for (int64_t k = 0; k < run; ++k) y[k] = load(x + k) * by;
    }
  }
}

template <class A>
struct Activation {
  A gain, slope_gain, low, clamp;
  explicit Activation(const Epilogue& a)
      : gain(A(a.gain)),
        slope_gain(A(a.slope * a.gain)),
        // a slope of zero times −∞ shall be zero
        low(a.slope == 0 ? std::numeric_limits<A>::lowest() : -std::numeric_limits<A>::infinity()),
        clamp(a.clamp < 0 ? std::numeric_limits<A>::infinity() : A(a.clamp)) {}
  A operator()(A v) const {
    v = v < low ? low : v;  // a NaN compares false and stays
    v *= v > 0 ? gain : slope_gain;
    v = v > clamp ? clamp : v;
    return v < -clamp ? -clamp : v;
  }
};

// y and u may be one image, but then every value is read before it is written, at the same place.
template <class T>
void finish(const Epilogue& a, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const Activation<A> activation(a);
  const A *scale = static_cast<const A*>(a.scale), *bias = static_cast<const A*>(a.bias);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t i = row % a.H, plane = row / a.H;
    const int64_t n = a.channels_last ? plane : plane / a.C, c = a.channels_last ? 0 : plane % a.C;
    const T* noise = static_cast<const T*>(a.noise);
    if (noise) noise += n * a.noise_n + c * a.noise_c + i * a.noise_h;
    if (a.channels_last) {
      for (int64_t j = 0; j < a.W; ++j) {
        const A* u = static_cast<const A*>(a.u) + (row * a.W + j) * a.C;
        T* y = static_cast<T*>(a.y) + (row * a.W + j) * a.C;
        const A shared = noise && a.noise_c == 0 ? load(noise + j * a.noise_w) : A(0);
        const T* own = noise && a.noise_c != 0 ? noise + j * a.noise_w : nullptr;
#pragma GCC ivdep
        for (int64_t k = 0; k < a.C; ++k) {
          const A v = u[k] * (scale ? scale[n * a.C + k] : A(1));
          store(y + k, activation(v + ((own ? load(own + k * a.noise_c) : shared) + (bias ? bias[k] : A(0)))));
        }
      }
    } else {
      const A* u = static_cast<const A*>(a.u) + row * a.W;
      T* y = static_cast<T*>(a.y) + row * a.W;
      const A by = scale ? scale[n * a.C + c] : A(1), shift = bias ? bias[c] : A(0);
      if (noise && a.noise_w == 1) {
#pragma GCC ivdep
        for (int64_t j = 0; j < a.W; ++j) store(y + j, activation(u[j] * by + (load(noise + j) + shift)));
      } else {
        const int64_t step = noise ? a.noise_w : 0;
#pragma GCC ivdep
        for (int64_t j = 0; j < a.W; ++j)
          store(y + j, activation(u[j] * by + ((noise ? load(noise + j * step) : A(0)) + shift)));
      }
    }
  }
}

}  // namespace

void scale_channels(const ScaleChannels& a, int64_t begin, int64_t end) {
  switch (a.x_format) {
    case Format::f32:
      return scale<float>(a, begin, end);
    case Format::f64:
      return scale<double>(a, begin, end);
    case Format::bf16:
      return scale<BF16>(a, begin, end);
    case Format::f16:
      return scale<F16>(a, begin, end);
  }
}

void epilogue(const Epilogue& a, int64_t begin, int64_t end) {
  switch (a.y_format) {
    case Format::f32:
      return finish<float>(a, begin, end);
    case Format::f64:
      return finish<double>(a, begin, end);
    case Format::bf16:
      return finish<BF16>(a, begin, end);
    case Format::f16:
      return finish<F16>(a, begin, end);
  }
}

}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
