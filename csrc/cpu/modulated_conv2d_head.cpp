// What modulated_conv2d's gradient needs of g and y in one pass: g and y are read once, d · h is written once. Naively nine
// passes: φ', its product with g, d · h, g · y, h · noise and their difference, and three sums.

#include <algorithm>
#include <limits>

#include "../common/lanes.h"
#include "modulated_conv2d_kernel.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

struct Slopes {
  Vec gain, slope_gain, sign, clamp;
  explicit Slopes(const GradientHead& a)
      : gain(splat(float(a.gain))),
        slope_gain(splat(float(a.slope * a.gain))),
        sign(splat(a.gain < 0 ? -1 : 1)),
        clamp(splat(a.clamp < 0 ? std::numeric_limits<float>::infinity() : float(a.clamp))) {}

  // h, and g where y is not clamped
  void operator()(Vec& g, Vec y, Vec& h) const {
    g = y < clamp && y > -clamp ? g : Vec{};
    h = g * (y * sign > 0 ? gain : slope_gain);
  }
};

float across(Vec v) {
  float sum = 0;
  for (int k = 0; k < lanes; ++k) sum += v[k];
  return sum;
}

// One part of the planes of a sample.
void planes(const GradientHead& a, const Slopes& slopes, int64_t n, int64_t part) {
  const int64_t first = part * a.rows, last = std::min(a.H, first + a.rows);
  for (int64_t o = 0; o < a.O; ++o) {
    const Vec d = splat(a.d ? a.d[n * a.O + o] : 1);
    Vec h_sum = {}, unit = {};
    for (int64_t i = first; i < last; ++i) {
      const int64_t at = ((n * a.O + o) * a.H + i) * a.W;
      const float* noise = a.noise ? a.noise + n * a.noise_n + i * a.noise_h : nullptr;
      float* total = a.total + (n * a.H + i) * a.W;
      for (int64_t j = 0; j < a.W; j += lanes) {
        const int64_t count = std::min<int64_t>(lanes, a.W - j);
        Vec g = read(a.g + at + j, count), h, dots;
        const Vec y = read(a.y + at + j, count);
        slopes(g, y, h);
        dots = g * y;
        if (noise) {
          Vec by;
          if (a.noise_w == 1)
            by = read(noise + j, count);
          else if (a.noise_w == 0)
            by = splat(*noise);
          else
            for (int64_t k = 0; k < lanes; ++k) by[k] = k < count ? noise[(j + k) * a.noise_w] : 0;
          dots -= h * by;
        }
        h_sum += h;
        unit += dots;
        write(a.dh + at + j, h * d, count);
        write(total + j, read(total + j, count) + h, count);
      }
    }
    float* sums = a.sums + (n * a.parts() + part) * a.O + o;
    sums[0] = across(h_sum);
    sums[a.N * a.parts() * a.O] = across(unit);
  }
}

// One part of the pixels of a sample.
void pixels(const GradientHead& a, const Slopes& slopes, int64_t n, int64_t part) {
  const int64_t first = part * a.rows, last = std::min(a.H, first + a.rows);
  float* h_sum = a.sums + (n * a.parts() + part) * a.O;
  float* unit = h_sum + a.N * a.parts() * a.O;
  for (int64_t i = first; i < last; ++i)
    for (int64_t j = 0; j < a.W; ++j) {
      const int64_t at = ((n * a.H + i) * a.W + j) * a.O;
      const Vec noise = splat(a.noise ? a.noise[n * a.noise_n + i * a.noise_h + j * a.noise_w] : 0);
      Vec total = {};
      for (int64_t o = 0; o < a.O; o += lanes) {
        const int64_t count = std::min<int64_t>(lanes, a.O - o);
        Vec g = read(a.g + at + o, count), h;
        const Vec y = read(a.y + at + o, count), d = a.d ? read(a.d + n * a.O + o, count) : splat(1);
        slopes(g, y, h);
        write(a.dh + at + o, h * d, count);
        write(h_sum + o, read(h_sum + o, count) + h, count);
        write(unit + o, read(unit + o, count) + (g * y - h * noise), count);
        total += h;
      }
      a.total[(n * a.H + i) * a.W + j] = across(total);
    }
}

}  // namespace

void gradient_head(const GradientHead& a, int64_t begin, int64_t end) {
  const Slopes slopes(a);
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t n = unit / a.parts(), part = unit % a.parts();
    a.channels_last ? pixels(a, slopes, n, part) : planes(a, slopes, n, part);
  }
}

}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
