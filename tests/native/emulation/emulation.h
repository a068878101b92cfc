// Stands in for CUDA where kernels compile as C++: blocks run one after another, each thread of a block is a fiber.
//
// A barrier or shuffle that not every thread reaches, and an access that its alignment forbids, abort with a message.
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "../../../csrc/common/numbers.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // one block at a time

struct uint2 {
  uint32_t x, y;
};
struct uint4 {
  uint32_t x, y, z, w;
};
struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

namespace emulation {

inline Index3 thread, block, threads, blocks;

[[noreturn]] inline void stop(const char* why) {
  std::fprintf(stderr, "emulated kernel: %s (block %u, thread %u)\n", why, block.x, thread.x);
  std::abort();
}

inline void check_aligned(const void* p, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(p) % bytes != 0) stop("misaligned access");
}

inline void copy16(void* to, const void* from, const void* global) {
  check_aligned(global, 16);
  std::memcpy(to, from, 16);
}

// ---- fibers
constexpr size_t stack_bytes = 64 * 1024;

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[stack_bytes]};
  bool done = false;
  uint64_t passed = 0;  // barriers of the block that this thread has reached
  uint64_t shuffles = 0;
  uint64_t slot[2] = {0, 0};  // what the thread gives to a shuffle; two, so that a quick lane spoils nothing
};

inline std::vector<Fiber> fibers;
inline ucontext_t scheduler;
inline const std::function<void()>* body = nullptr;

inline void entry() {
  (*body)();
  fibers[thread.x].done = true;
}

inline void yield() { swapcontext(&fibers[thread.x].context, &scheduler); }

// Waits until every thread in [first, last) has raised `counter` as far as this one.
inline void wait(uint64_t Fiber::*counter, unsigned first, unsigned last) {
  const uint64_t mine = ++(fibers[thread.x].*counter);
  for (;;) {
    bool all = true;
    for (unsigned t = first; t < last; ++t) {
      if (fibers[t].*counter >= mine) continue;
      if (fibers[t].done) stop("a barrier that another thread has passed by");
      all = false;
    }
    if (all) return;
    yield();
  }
}

inline void run(unsigned block_count, unsigned thread_count, const std::function<void()>& kernel) {
  if (thread_count % 32 != 0 || thread_count > 1024) stop("a block must be whole warps, at most 1024 threads");
  if (fibers.size() < thread_count) fibers = std::vector<Fiber>(thread_count);
  body = &kernel;
  threads = {thread_count, 1, 1};
  blocks = {block_count, 1, 1};
  for (block.x = 0; block.x < block_count; ++block.x) {
    for (unsigned t = 0; t < thread_count; ++t) {
      Fiber& fiber = fibers[t];
      fiber.done = false;
      fiber.passed = fiber.shuffles = 0;
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.get();
      fiber.context.uc_stack.ss_size = stack_bytes;
      fiber.context.uc_link = &scheduler;
      makecontext(&fiber.context, entry, 0);
    }
    for (unsigned alive = thread_count; alive > 0;) {
      alive = 0;
      for (unsigned t = 0; t < thread_count; ++t) {
        if (fibers[t].done) continue;
        thread.x = t;
        swapcontext(&scheduler, &fibers[t].context);
        alive += !fibers[t].done;
      }
    }
  }
}

template <class T>
T shuffle_from(T value, unsigned source) {
  static_assert(sizeof(T) <= 8);
  const unsigned warp = thread.x / 32 * 32;
  const uint64_t turn = fibers[thread.x].shuffles % 2;
  std::memcpy(&fibers[thread.x].slot[turn], &value, sizeof(T));
  wait(&Fiber::shuffles, warp, warp + 32);
  T result;
  std::memcpy(&result, &fibers[warp + source % 32].slot[turn], sizeof(T));
  return result;
}

// ---- 16-bit floats
inline float half_to_float(uint16_t bits) {
  const smoothswap::baseline::F16 v{bits};
  return smoothswap::baseline::load(&v);
}
inline uint16_t float_to_half(float f) {
  smoothswap::baseline::F16 v;
  smoothswap::baseline::store(&v, f);
  return v.bits;
}
inline uint16_t float_to_bf16(float f) {
  smoothswap::baseline::BF16 v;
  smoothswap::baseline::store(&v, f);
  return v.bits;
}

}  // namespace emulation

#define threadIdx ::emulation::thread
#define blockIdx ::emulation::block
#define blockDim ::emulation::threads
#define gridDim ::emulation::blocks

inline void __syncthreads() { emulation::wait(&emulation::Fiber::passed, 0, blockDim.x); }
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes) {
  if (mask != 0xffffffffu) emulation::stop("a shuffle of part of a warp");
  return emulation::shuffle_from(value, threadIdx.x % 32 ^ unsigned(lanes));
}
template <class T>
T __ldg(const T* p) {
  emulation::check_aligned(p, sizeof(T));
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

inline float __uint_as_float(uint32_t u) {
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}
inline uint32_t __float_as_uint(float f) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  return u;
}
inline double __hiloint2double(int hi, int lo) {
  const uint64_t u = uint64_t(uint32_t(hi)) << 32 | uint32_t(lo);
  double d;
  std::memcpy(&d, &u, 8);
  return d;
}
inline int __double2loint(double d) {
  uint64_t u;
  std::memcpy(&u, &d, 8);
  return int(uint32_t(u));
}
inline int __double2hiint(double d) {
  uint64_t u;
  std::memcpy(&u, &d, 8);
  return int(uint32_t(u >> 32));
}
