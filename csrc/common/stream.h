// Copies past the caches, for results that are too large to be found there again: an ordinary store first reads the line
// that it is about to overwrite.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "isa.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

// to: aligned to 64 bytes; bytes: any number, the last incomplete line is stored as usual.
inline void stream(void* to, const void* from, int64_t bytes) {
  char* t = static_cast<char*>(to);
  const char* f = static_cast<const char*>(from);
  int64_t k = 0;
#if defined(__AVX512F__)
  for (; k + 64 <= bytes; k += 64) _mm512_stream_si512(reinterpret_cast<__m512i*>(t + k), _mm512_loadu_si512(f + k));
#elif defined(__AVX__)
  for (; k + 32 <= bytes; k += 32)
    _mm256_stream_si256(reinterpret_cast<__m256i*>(t + k), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(f + k)));
#elif defined(__SSE2__)
  for (; k + 16 <= bytes; k += 16)
    _mm_stream_si128(reinterpret_cast<__m128i*>(t + k), _mm_loadu_si128(reinterpret_cast<const __m128i*>(f + k)));
#endif
  if (k < bytes) std::memcpy(t + k, f + k, size_t(bytes - k));
}
// Before another thread may read what was streamed.
inline void end_of_stream() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
