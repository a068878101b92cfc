// Where Winograd tiles meet the images: rows of pixels in, scaled; rows of pixels out, with the whole epilogue.
//
// Both go through a strip in L1, [rows][pixels][lanes], in which a lane is a channel whatever the image's layout is and
// pixels outside the image are zero, so that the transforms know neither layouts nor edges nor formats.
#pragma once

#include <algorithm>
#include <limits>

#include "../common/lanes.h"
#include "winograd_kernel.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

// What follows the convolution, for the channels of one vector.
struct Epilogue {
  Vec after, bias, gain, slope_gain, low, clamp;

  Epilogue(const Winograd& a, int64_t n, int64_t channel, int64_t count)
      : after(a.after ? read(a.after + n * a.O + channel, count) : splat(1)),
        bias(a.bias ? read(a.bias + channel, count) : splat(0)),
        gain(splat(float(a.gain))),
        slope_gain(splat(float(a.slope * a.gain))),
        // a slope of zero times −∞ shall be zero
        low(splat(a.slope == 0 ? std::numeric_limits<float>::lowest() : -std::numeric_limits<float>::infinity())),
        clamp(splat(a.clamp < 0 ? std::numeric_limits<float>::infinity() : float(a.clamp))) {}

  Vec operator()(Vec u, Vec noise) const {
    Vec v = u * after + (noise + bias);
    v = v < low ? low : v;  // a NaN compares false and stays
    v *= v > 0 ? gain : slope_gain;
    v = v > clamp ? clamp : v;
    return v < -clamp ? -clamp : v;
  }
};

// Noise of `count` channels at one pixel; zero without noise.
template <class T>
inline Vec noise_at(const Winograd& a, int64_t n, int64_t channel, int64_t count, int64_t i, int64_t j) {
  if (!a.noise) return Vec{};
  const T* p = static_cast<const T*>(a.noise) + n * a.noise_n + channel * a.noise_o + i * a.noise_h + j * a.noise_w;
  if (a.noise_o == 0) return splat(load(p));
  float values[lanes] = {};
  for (int64_t k = 0; k < count; ++k) values[k] = load(p + k * a.noise_o);
  return read(values);
}

// strip [6][width][lanes] ← before · x at rows i … i + 5, columns j … j + width − 1 of the image, channels `channel` ff.;
// rows are `row` values apart, with room for one more vector of pixels.
template <class T>
inline void gather(const Winograd& a, int64_t n, int64_t channel, int64_t i, int64_t j, int64_t width, float* strip,
                   int64_t row) {
  const int64_t count = std::min<int64_t>(lanes, a.I - channel);
  const Vec scale = a.before ? read(a.before + n * a.I + channel, count) : splat(1);
  const T *x = static_cast<const T*>(a.x), *end = x + a.N * a.I * a.H * a.W;
  const int64_t first = std::clamp<int64_t>(-j, 0, width), last = std::clamp<int64_t>(a.W - j, first, width);
  for (int64_t r = 0; r < 6; ++r, ++i) {
    float* to = strip + r * row;
    if (i < 0 || i >= a.H || first == last) {
      std::fill_n(to, width * lanes, 0.0f);
      continue;
    }
    if (a.channels_last) {
      const T* from = x + ((n * a.H + i) * a.W + j) * a.I + channel;
      for (int64_t k = first; k < last; ++k) write(to + k * lanes, read(from + k * a.I, count) * scale);
    } else {
      const T* from = x + ((n * a.I + channel) * a.H + i) * a.W + j;
      for (int64_t k = first; k < last; k += lanes) {
        Vec pixels[lanes];
        for (int64_t c = 0; c < lanes; ++c) {
          const T* p = from + c * a.H * a.W + k;
          // Beyond the row's end lies the next row: read along, and overwritten or never looked at.
          pixels[c] = c >= count ? Vec{} : read(p, end - p >= lanes ? lanes : last - k);
        }
        transpose(pixels);
        for (int64_t q = 0; q < lanes; ++q) write(to + (k + q) * lanes, pixels[q] * scale);
      }
    }
    std::fill_n(to, first * lanes, 0.0f);
    std::fill_n(to + last * lanes, (width - last) * lanes, 0.0f);
  }
}

// y at rows i … i + 3, columns j … j + width − 1, channels `channel` ff. ← epilogue(strip), as far as they lie in y.
template <class T>
inline void scatter(const Winograd& a, int64_t n, int64_t channel, int64_t i, int64_t j, int64_t width,
                    const float* strip, int64_t row) {
  const int64_t count = std::min<int64_t>(lanes, a.O - channel);
  const int64_t rows = std::min<int64_t>(4, a.out_h - i);
  width = std::min(width, a.out_w - j);
  const Epilogue epilogue(a, n, channel, count);
  T* y = static_cast<T*>(a.y);
  for (int64_t r = 0; r < rows; ++r, ++i) {
    const float* from = strip + r * row;
    if (a.channels_last) {
      T* to = y + ((n * a.out_h + i) * a.out_w + j) * a.O + channel;
      for (int64_t k = 0; k < width; ++k)
        write(to + k * a.O, epilogue(read(from + k * lanes), noise_at<T>(a, n, channel, count, i, j + k)), count);
    } else {
      T* to = y + ((n * a.O + channel) * a.out_h + i) * a.out_w + j;
      for (int64_t k = 0; k < width; k += lanes) {
        const int64_t pixels = std::min<int64_t>(lanes, width - k);
        Vec values[lanes];
        for (int64_t q = 0; q < lanes; ++q)
          values[q] = q >= pixels ? Vec{}
                                  : epilogue(read(from + (k + q) * lanes), noise_at<T>(a, n, channel, count, i, j + k + q));
        transpose(values);
        for (int64_t c = 0; c < count; ++c) write(to + c * a.out_h * a.out_w + k, values[c], pixels);
      }
    }
  }
}

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
