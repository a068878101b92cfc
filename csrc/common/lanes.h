// Vectors as wide as the instruction set's registers, for kernels that decide themselves what a lane is.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "isa.h"
#include "numbers.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int lanes = 16;
#elif defined(__AVX__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif

typedef float Vec __attribute__((vector_size(4 * lanes)));
typedef int32_t IntVec __attribute__((vector_size(4 * lanes)));

inline Vec splat(float value) { return value - Vec{}; }
inline Vec read(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void write(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }

// `count` values of any format, the rest zeros
template <class T>
inline Vec read(const T* p, int64_t count) {
  if constexpr (std::is_same_v<T, float>)
    if (count == lanes) return read(p);
  float values[lanes] = {};
  if (count == lanes)
    for (int k = 0; k < lanes; ++k) values[k] = load(p + k);
  else
    for (int64_t k = 0; k < count; ++k) values[k] = load(p + k);
  return read(values);
}
template <class T>
inline void write(T* p, Vec v, int64_t count) {
  if constexpr (std::is_same_v<T, float>)
    if (count == lanes) return write(p, v);
  float values[lanes];
  write(values, v);
  if (count == lanes)
    for (int k = 0; k < lanes; ++k) store(p + k, values[k]);
  else
    for (int64_t k = 0; k < count; ++k) store(p + k, values[k]);
}

// One of two vectors' lanes each: (a, b)[index of lane]
template <class Index, int... lane>
inline Vec pick(Vec a, Vec b, Index index, std::integer_sequence<int, lane...>) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, Index::at(lane)...);
#else
  (void)index;
  return __builtin_shuffle(a, b, IntVec{Index::at(lane)...});
#endif
}
// Exchanges the off-diagonal blocks of side h: lanes of the upper row that lie right with those of the lower that lie left.
template <int h>
struct Upper {
  static constexpr int at(int lane) { return lane & h ? lanes + lane - h : lane; }
};
template <int h>
struct Lower {
  static constexpr int at(int lane) { return lane & h ? lanes + lane : lane + h; }
};
template <int h>
inline void exchange(Vec* row) {
  constexpr auto all = std::make_integer_sequence<int, lanes>();
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) {
    if (i & h) continue;
    const Vec a = row[i], b = row[i + h];
    row[i] = pick(a, b, Upper<h>(), all);
    row[i + h] = pick(a, b, Lower<h>(), all);
  }
}
inline void transpose(Vec row[lanes]) {
  if constexpr (lanes > 8) exchange<8>(row);
  if constexpr (lanes > 4) exchange<4>(row);
  exchange<2>(row);
  exchange<1>(row);
}

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
