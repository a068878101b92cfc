// What the kernels use of CUDA: launches, number formats and 16-byte packs of values. With SMOOTHSWAP_EMULATED the same
// kernel files compile as C++ for a machine without a GPU (tests/native/emulation).
#pragma once

#include <cstdint>

#if defined(SMOOTHSWAP_EMULATED)
#include "emulation.h"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#endif

namespace smoothswap::gpu {

struct Bf16 {
  uint16_t bits;
};
struct Fp16 {
  uint16_t bits;
};

// The type that a format is computed in.
template <class T>
struct WideOf {
  using type = float;
};
template <>
struct WideOf<double> {
  using type = double;
};
template <class T>
using Wide = typename WideOf<T>::type;

// ---- one value: rounding is to nearest, ties to even
__device__ __forceinline__ float widen(float v) { return v; }
__device__ __forceinline__ double widen(double v) { return v; }
__device__ __forceinline__ float widen(Bf16 v) { return __uint_as_float(uint32_t(v.bits) << 16); }

template <class T>
__device__ __forceinline__ T narrow(Wide<T> v);
template <>
__device__ __forceinline__ float narrow<float>(float v) {
  return v;
}
template <>
__device__ __forceinline__ double narrow<double>(double v) {
  return v;
}

#if defined(SMOOTHSWAP_EMULATED)
__device__ __forceinline__ float widen(Fp16 v) { return emulation::half_to_float(v.bits); }
template <>
__device__ __forceinline__ Bf16 narrow<Bf16>(float v) {
  return {emulation::float_to_bf16(v)};
}
template <>
__device__ __forceinline__ Fp16 narrow<Fp16>(float v) {
  return {emulation::float_to_half(v)};
}
#else
__device__ __forceinline__ float widen(Fp16 v) { return __half2float(__ushort_as_half(v.bits)); }
template <>
__device__ __forceinline__ Bf16 narrow<Bf16>(float v) {
  return {__bfloat16_as_ushort(__float2bfloat16_rn(v))};
}
template <>
__device__ __forceinline__ Fp16 narrow<Fp16>(float v) {
  return {__half_as_ushort(__float2half_rn(v))};
}
#endif

// ---- two 16-bit values in a word, the first in the low half
__device__ __forceinline__ void widen2(uint32_t word, Bf16*, float* v) {
  v[0] = __uint_as_float(word << 16);
  v[1] = __uint_as_float(word & 0xffff0000u);
}
__device__ __forceinline__ void widen2(uint32_t word, Fp16*, float* v) {
#if defined(SMOOTHSWAP_EMULATED)
  v[0] = widen(Fp16{uint16_t(word)});
  v[1] = widen(Fp16{uint16_t(word >> 16)});
#else
  const float2 two = __half22float2(__halves2half2(__ushort_as_half(uint16_t(word)), __ushort_as_half(uint16_t(word >> 16))));
  v[0] = two.x;
  v[1] = two.y;
#endif
}
template <class T>
__device__ __forceinline__ uint32_t narrow2(float a, float b) {
  return uint32_t(narrow<T>(a).bits) | uint32_t(narrow<T>(b).bits) << 16;
}
#if !defined(SMOOTHSWAP_EMULATED)
template <>
__device__ __forceinline__ uint32_t narrow2<Bf16>(float a, float b) {
  const __nv_bfloat162 two = __floats2bfloat162_rn(a, b);  // one instruction from sm_80 on
  return uint32_t(__bfloat16_as_ushort(two.x)) | uint32_t(__bfloat16_as_ushort(two.y)) << 16;
}
template <>
__device__ __forceinline__ uint32_t narrow2<Fp16>(float a, float b) {
  const __half2 two = __floats2half2_rn(a, b);
  return uint32_t(__half_as_ushort(__low2half(two))) | uint32_t(__half_as_ushort(__high2half(two))) << 16;
}
#endif

// ---- packs: `pack<T>` neighbouring values, 16 bytes, at an address that 16 divides
template <class T>
constexpr int pack = 16 / int(sizeof(T));

template <class T>
__device__ __forceinline__ void widen_pack(const uint4& raw, Wide<T>* v) {
  const uint32_t word[4] = {raw.x, raw.y, raw.z, raw.w};
  if constexpr (sizeof(T) == 2) {
#pragma unroll
    for (int i = 0; i < 4; ++i) widen2(word[i], static_cast<T*>(nullptr), v + 2 * i);
  } else if constexpr (sizeof(T) == 4) {
#pragma unroll
    for (int i = 0; i < 4; ++i) v[i] = __uint_as_float(word[i]);
  } else {
#pragma unroll
    for (int i = 0; i < 2; ++i) v[i] = __hiloint2double(int(word[2 * i + 1]), int(word[2 * i]));
  }
}

template <class T>
__device__ __forceinline__ uint4 narrow_pack(const Wide<T>* v) {
  if constexpr (sizeof(T) == 2) {
    return uint4{narrow2<T>(v[0], v[1]), narrow2<T>(v[2], v[3]), narrow2<T>(v[4], v[5]), narrow2<T>(v[6], v[7])};
  } else if constexpr (sizeof(T) == 4) {
    return uint4{__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]), __float_as_uint(v[3])};
  } else {
    return uint4{uint32_t(__double2loint(v[0])), uint32_t(__double2hiint(v[0])), uint32_t(__double2loint(v[1])),
                 uint32_t(__double2hiint(v[1]))};
  }
}

// Reads through the path for data that no thread of the launch writes.
template <class Raw>
__device__ __forceinline__ Raw read(const void* p) {
  return __ldg(static_cast<const Raw*>(p));
}
template <class T>
__device__ __forceinline__ Wide<T> read_one(const T* p) {
  if constexpr (sizeof(T) == 2) {
    return widen(T{__ldg(&p->bits)});
  } else {
    return __ldg(p);
  }
}
template <class T>
__device__ __forceinline__ void read_pack(const T* p, Wide<T>* v) {
  widen_pack<T>(read<uint4>(p), v);
}
// Written out in PTX: a plain assignment of 16 bytes may be compiled to four narrow stores.
__device__ __forceinline__ void write16(void* p, uint4 raw) {
#if defined(SMOOTHSWAP_EMULATED)
  emulation::copy16(p, &raw, p);
#else
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(raw.x), "r"(raw.y), "r"(raw.z), "r"(raw.w)
               : "memory");
#endif
}
// Of memory that the launch itself may overwrite.
__device__ __forceinline__ uint4 read16_changing(const void* p) {
  uint4 raw;
#if defined(SMOOTHSWAP_EMULATED)
  emulation::copy16(&raw, p, p);
#else
  asm volatile("ld.global.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(raw.x), "=r"(raw.y), "=r"(raw.z), "=r"(raw.w)
               : "l"(p)
               : "memory");
#endif
  return raw;
}
template <class T>
__device__ __forceinline__ void write_pack(T* p, const Wide<T>* v) {
  write16(p, narrow_pack<T>(v));
}

// ---- launches; the result is null, or what CUDA has against it
template <class... Parameters, class... Arguments>
const char* launch(void (*kernel)(Parameters...), int64_t blocks, int threads, void* stream, Arguments... arguments) {
  if (blocks == 0) return nullptr;
  if (blocks > 0x7fffffff) return "too many blocks";
#if defined(SMOOTHSWAP_EMULATED)
  emulation::run(unsigned(blocks), unsigned(threads), [&] { kernel(arguments...); });
  return nullptr;
#else
  kernel<<<unsigned(blocks), unsigned(threads), 0, static_cast<cudaStream_t>(stream)>>>(arguments...);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
#endif
}

}  // namespace smoothswap::gpu
