// upfirdn2d with four taps along each axis on a GPU: up 2, down 2 or neither.
//
// Naive version: each output reads its 16 (up 2: 4) pixels and taps. Memory traffic that must be: x once, y once.
// Here, without shared memory: a thread makes 16 bytes of neighbouring outputs, row after row down a strip. It reads each
// input row once, 16 bytes at a time, the pixels beside them through L1, where the neighbouring threads bring them; filters
// the row along, and keeps the up to four rows in registers that the filter combines downwards. Taps are kernel parameters.
// Strips overlap by three input rows, which L2 serves.

#include "upfirdn2d_four.cuh"

namespace smoothswap::gpu {
namespace {

constexpr int block = 256;

// ---- contiguous images: a lane makes pack<T> columns

// Pixels [first, first + N) of a row of `width`; those outside are 0, as are all where the row is.
template <class T, int N>
__device__ __forceinline__ void read_anywhere(const T* row, int first, int width, bool inside, float* in) {
#pragma unroll
  for (int e = 0; e < N; ++e) in[e] = inside && unsigned(first + e) < unsigned(width) ? read_one(row + first + e) : 0.f;
}

// The window of a row whose width, address and padding are such that packs need no shifting.
template <class T, Mode M, int Pad>
__device__ __forceinline__ void read_aligned(const T* row, int column, int width, bool inside, float* in) {
  constexpr int V = pack<T>, N = window<M>(V);
  constexpr int left = M == Mode::up ? Pad / 2 : Pad;  // pixels before the packs
  constexpr int packed = M == Mode::up ? V / 2 : M == Mode::down ? 2 * V : V;
  const int main = M == Mode::up ? column / 2 : M == Mode::down ? 2 * column : column;
  const T* p = row + main;
  const auto one = [&](int e) { return inside && unsigned(main + e) < unsigned(width) ? read_one(p + e) : 0.f; };
#pragma unroll
  for (int e = 0; e < left; ++e) in[e] = one(e - left);
  if constexpr (M == Mode::up) {
    uint2 half{0, 0};
    if (inside && main < width) half = read<uint2>(p);
    float wide[V];
    widen_pack<T>(uint4{half.x, half.y, 0, 0}, wide);
#pragma unroll
    for (int e = 0; e < packed; ++e) in[left + e] = wide[e];
  } else {
#pragma unroll
    for (int e = 0; e < packed; e += V) {
      uint4 raw{0, 0, 0, 0};
      if (inside && main + e < width) raw = read<uint4>(p + e);
      widen_pack<T>(raw, in + left + e);
    }
  }
#pragma unroll
  for (int e = left + packed; e < N; ++e) in[e] = one(e - left);
}

// Pad: padding before the image; −1: any, read pixel by pixel.
template <class T, Mode M, int Pad>
__global__ void __launch_bounds__(block, 2) upfirdn2d_planes(Four a) {
  constexpr int V = pack<T>, N = window<M>(V);
  Place place;
  if (!find_place(a, place)) return;
  const int odd = M == Mode::up ? a.pad_w & 1 : 0;
  const int column = int(place.lane) * V - odd;
  const T* x = static_cast<const T*>(a.x) + int64_t(place.plane) * a.in_h * a.in_w;
  T* y = static_cast<T*>(a.y) + int64_t(place.plane) * a.out_h * a.out_w;
  const int first = M == Mode::up ? (column - a.pad_w) / 2 : M == Mode::down ? 2 * column - a.pad_w : column - a.pad_w;
  down_a_strip<M, V, Pad < 0 ? 1 : M == Mode::filter ? 4 : 2>(
      a, int(place.strip) * a.rows,
      [&](int row, bool inside, float* values) {
        float in[N];
        if constexpr (Pad >= 0) {
          read_aligned<T, M, Pad>(x + int64_t(row) * a.in_w, column, a.in_w, inside, in);
        } else {
          read_anywhere<T, N>(x + int64_t(row) * a.in_w, first, a.in_w, inside, in);
        }
        along<M, V, 1>(in, a.w, values);
      },
      [&](int row, const float* values) {
        T* out = y + int64_t(row) * a.out_w;
        if (Pad >= 0 || a.whole_packs) {
          write_pack(out + column, values);
        } else {
#pragma unroll
          for (int e = 0; e < V; ++e)
            if (unsigned(column + e) < unsigned(a.out_w)) out[column + e] = narrow<T>(values[e]);
        }
      });
}

// ---- channels_last images: a lane makes E channels of one column (up: of two)

template <class T, Mode M, int E>
__global__ void __launch_bounds__(block, 2) upfirdn2d_channels(Four a) {
  constexpr int columns = M == Mode::up ? 2 : 1, N = window<M>(columns);
  Place place;
  if (!find_place(a, place)) return;
  const int packs = a.channels / E;
  const int channel = int(place.lane % packs) * E, odd = M == Mode::up ? a.pad_w & 1 : 0;
  const int column = int(place.lane / packs) * columns - odd;
  const T* x = static_cast<const T*>(a.x) + int64_t(place.plane) * a.in_h * a.in_w * a.channels + channel;
  T* y = static_cast<T*>(a.y) + int64_t(place.plane) * a.out_h * a.out_w * a.channels + channel;
  const int first = M == Mode::up ? (column - a.pad_w) / 2 : M == Mode::down ? 2 * column - a.pad_w : column - a.pad_w;
  down_a_strip<M, columns * E, M == Mode::filter ? 2 : 1>(
      a, int(place.strip) * a.rows,
      [&](int row, bool inside, float* values) {
        float in[N * E];
        const T* p = x + (int64_t(row) * a.in_w + first) * a.channels;
#pragma unroll
        for (int q = 0; q < N; ++q, p += a.channels) {
          const bool here = inside && unsigned(first + q) < unsigned(a.in_w);
          if constexpr (E == 1) {
            in[q] = here ? read_one(p) : 0.f;
          } else {
            uint4 raw{0, 0, 0, 0};
            if (here) raw = read<uint4>(p);
            widen_pack<T>(raw, in + q * E);
          }
        }
        along<M, columns, E>(in, a.w, values);
      },
      [&](int row, const float* values) {
#pragma unroll
        for (int q = 0; q < columns; ++q) {
          if (unsigned(column + q) >= unsigned(a.out_w)) continue;
          T* p = y + (int64_t(row) * a.out_w + column + q) * a.channels;
          if constexpr (E == 1) {
            *p = narrow<T>(values[q]);
          } else {
            write_pack(p, values + q * E);
          }
        }
      });
}

// ---- choice of the kernel

bool divides(int64_t n, const void* p) { return reinterpret_cast<uintptr_t>(p) % uintptr_t(n) == 0; }

template <class T, Mode M>
const char* run_planes(const Four& a, int blocks, void* stream) {
  constexpr int V = pack<T>, needed = M == Mode::up ? V / 2 : V;
  const bool aligned = a.whole_packs && a.in_w % needed == 0 && divides(needed * int64_t(sizeof(T)), a.x);
  if constexpr (M == Mode::filter) {
    if (aligned && a.pad_w == 1) return launch(upfirdn2d_planes<T, M, 1>, blocks, block, stream, a);
    if (aligned && a.pad_w == 2) return launch(upfirdn2d_planes<T, M, 2>, blocks, block, stream, a);
  } else {
    constexpr int usual = M == Mode::up ? 2 : 1;
    if (aligned && a.pad_w == usual) return launch(upfirdn2d_planes<T, M, usual>, blocks, block, stream, a);
  }
  return launch(upfirdn2d_planes<T, M, -1>, blocks, block, stream, a);
}

template <class T, Mode M>
const char* run_mode(const Upfirdn& given, const FourTaps& taps, void* stream) {
  constexpr int V = pack<T>;
  Four a{};
  a.x = given.x;
  a.y = given.y;
  a.in_h = int(given.h.in);
  a.out_h = int(given.h.out);
  a.in_w = int(given.w.in);
  a.out_w = int(given.w.out);
  a.pad_h = int(given.h.pad);
  a.pad_w = int(given.w.pad);
  a.channels = given.channels_last ? int(given.channels) : 1;
  for (int k = 0; k < 4; ++k) {
    a.h[k] = float(taps.h[k]);
    a.w[k] = float(taps.w[k]);
  }
  const bool packs = given.channels_last && a.channels % V == 0 && divides(16, a.x) && divides(16, a.y);
  const int64_t odd_h = M == Mode::up ? a.pad_h & 1 : 0, odd_w = M == Mode::up ? a.pad_w & 1 : 0;
  a.whole_packs = !given.channels_last && a.out_w % V == 0 && divides(16, a.y) && odd_w == 0;
  const int64_t columns = given.channels_last ? (M == Mode::up ? 2 : 1) : V;
  const int64_t lanes = (a.out_w + odd_w + columns - 1) / columns * (a.channels / (packs ? V : 1));
  const int64_t planes = given.batch * (given.channels_last ? 1 : given.channels);
  // Long strips read fewer rows twice; short ones keep every multiprocessor busy. 2¹⁷ threads fill today's GPUs.
  const int64_t height = M == Mode::up ? (a.out_h + odd_h + 1) / 2 : a.out_h;
  a.rows = M == Mode::up ? 16 : 32;
  while (a.rows > 4 && planes * lanes * ((height + a.rows - 1) / a.rows) < (1 << 17)) a.rows /= 2;
  const int64_t strips = (height + a.rows - 1) / a.rows, total = planes * lanes * strips;
  if (total > 0xffffffffll - block) return "too large for the four-tap kernel";
  a.lanes = uint32_t(lanes);
  a.strips = uint32_t(strips);
  a.total = uint32_t(total);
  const int blocks = int((total + block - 1) / block);
  if (!given.channels_last) return run_planes<T, M>(a, blocks, stream);
  if (packs) return launch(upfirdn2d_channels<T, M, V>, blocks, block, stream, a);
  return launch(upfirdn2d_channels<T, M, 1>, blocks, block, stream, a);
}

template <class T>
const char* run(const Upfirdn& a, const FourTaps& taps, void* stream) {
  if (a.h.up == 2) return run_mode<T, Mode::up>(a, taps, stream);
  if (a.h.down == 2) return run_mode<T, Mode::down>(a, taps, stream);
  return run_mode<T, Mode::filter>(a, taps, stream);
}

}  // namespace

bool four_taps_fit(const Upfirdn& a) {
  const auto fits = [](const Axis& axis) {
    const bool small = axis.in < (1 << 28) && axis.out < (1 << 28) && axis.pad > -(1 << 28) && axis.pad < (1 << 28);
    return small && axis.taps == 4 && axis.up * axis.down <= 2;
  };
  const bool alike = a.h.up == a.w.up && a.h.down == a.w.down;
  // Every thread makes at least 4 × 1 outputs: fewer than 2³² of them.
  const int64_t outputs = a.batch * a.channels * (a.h.out + 1) * (a.w.out + 8);
  return a.format != Format::f64 && alike && fits(a.h) && fits(a.w) && outputs < (int64_t(1) << 33) &&
         a.channels < (1 << 30);
}

const char* upfirdn2d_four(const Upfirdn& a, const FourTaps& taps, void* stream) {
  switch (a.format) {
    case Format::f32:
      return run<float>(a, taps, stream);
    case Format::bf16:
      return run<Bf16>(a, taps, stream);
    case Format::f16:
      return run<Fp16>(a, taps, stream);
    case Format::f64:
      break;
  }
  return "the four-tap kernel has no fp64";
}

}  // namespace smoothswap::gpu
