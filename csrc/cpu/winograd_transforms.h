// The transforms of Winograd's F(4 × 4, 3 × 3): polynomial evaluation at the points 0, ±a, ±b, ∞ (Toom-Cook), along both axes.
//
// Any a ≠ b will do in exact arithmetic. The usual 1 and 2 lose twice as much in fp32 as 5/8 and 3/2, whose powers stay
// near one; both are exact in binary. A lane is a channel, so that no transform crosses lanes.
#pragma once

#include "../common/lanes.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

constexpr float a1 = 0.625f, b1 = 1.5f, a2 = a1 * a1, b2 = b1 * b1, a3 = a2 * a1, b3 = b2 * b1;

// Bᵀ d: six values of the input at the six points, up to the factors that the weights' transform holds.
inline void input_line(const Vec d[6], Vec out[6]) {
  const Vec even_a = d[4] - b2 * d[2], odd_a = a1 * (d[3] - b2 * d[1]);
  const Vec even_b = d[4] - a2 * d[2], odd_b = b1 * (d[3] - a2 * d[1]);
  out[0] = (a2 * b2) * d[0] - (a2 + b2) * d[2] + d[4];
  out[1] = even_a + odd_a;
  out[2] = even_a - odd_a;
  out[3] = even_b + odd_b;
  out[4] = even_b - odd_b;
  out[5] = (a2 * b2) * d[1] - (a2 + b2) * d[3] + d[5];
}

// G g: three taps at the six points.
inline void weight_line(const Vec g[3], Vec out[6]) {
  constexpr double A = double(a2) * (a2 - b2) * 2, B = double(b2) * (b2 - a2) * 2, Z = double(a2) * b2;
  const Vec even_a = float(1 / A) * g[0] + float(a2 / A) * g[2], odd_a = float(a1 / A) * g[1];
  const Vec even_b = float(1 / B) * g[0] + float(b2 / B) * g[2], odd_b = float(b1 / B) * g[1];
  out[0] = float(1 / Z) * g[0];
  out[1] = even_a + odd_a;
  out[2] = even_a - odd_a;
  out[3] = even_b + odd_b;
  out[4] = even_b - odd_b;
  out[5] = g[2];
}

// Aᵀ m: four values of the result from the six products.
inline void output_line(const Vec m[6], Vec out[4]) {
  const Vec even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
  out[0] = m[0] + even_a + even_b;
  out[1] = a1 * odd_a + b1 * odd_b;
  out[2] = a2 * even_a + b2 * even_b;
  out[3] = a3 * odd_a + b3 * odd_b + m[5];
}

// d: 6 × 6 pixels, rows `row` values apart, columns one vector; point k of the result goes to out + k·stride.
inline void input_tile(const float* d, int64_t row, float* out, int64_t stride) {
  Vec columns[6][6];  // [column][point]
  for (int j = 0; j < 6; ++j) {
    Vec line[6];
    for (int i = 0; i < 6; ++i) line[i] = read(d + i * row + j * lanes);
    input_line(line, columns[j]);
  }
  for (int i = 0; i < 6; ++i) {
    const Vec line[6] = {columns[0][i], columns[1][i], columns[2][i], columns[3][i], columns[4][i], columns[5][i]};
    Vec points[6];
    input_line(line, points);
    for (int j = 0; j < 6; ++j) write(out + (6 * i + j) * stride, points[j]);
  }
}

// g: 3 × 3 taps, one vector each.
inline void weight_tile(const Vec g[9], float* out, int64_t stride) {
  Vec columns[3][6];
  for (int j = 0; j < 3; ++j) {
    const Vec line[3] = {g[j], g[3 + j], g[6 + j]};
    weight_line(line, columns[j]);
  }
  for (int i = 0; i < 6; ++i) {
    const Vec line[3] = {columns[0][i], columns[1][i], columns[2][i]};
    Vec points[6];
    weight_line(line, points);
    for (int j = 0; j < 6; ++j) write(out + (6 * i + j) * stride, points[j]);
  }
}

// Products m + k·stride of the 36 points to 4 × 4 pixels, rows `row` values apart.
inline void output_tile(const float* m, int64_t stride, float* out, int64_t row) {
  Vec columns[6][4];
  for (int j = 0; j < 6; ++j) {
    Vec line[6];
    for (int i = 0; i < 6; ++i) line[i] = read(m + (6 * i + j) * stride);
    output_line(line, columns[j]);
  }
  for (int i = 0; i < 4; ++i) {
    const Vec line[6] = {columns[0][i], columns[1][i], columns[2][i], columns[3][i], columns[4][i], columns[5][i]};
    Vec pixels[4];
    output_line(line, pixels);
    for (int j = 0; j < 4; ++j) write(out + i * row + j * lanes, pixels[j]);
  }
}

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
