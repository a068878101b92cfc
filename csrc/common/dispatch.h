// Choice of the instruction set at run time, and of the number format of a tensor.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include "numbers.h"

namespace smoothswap {

// The version of a kernel for this processor: SMOOTHSWAP_BEST(upfirdn2d)(arguments, begin, end).
#if defined(SMOOTHSWAP_X86)
inline bool has_avx2() {
  static const bool has =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  return has;
}
#define SMOOTHSWAP_BEST(kernel) (::smoothswap::has_avx2() ? avx2::kernel : baseline::kernel)
#else
#define SMOOTHSWAP_BEST(kernel) (baseline::kernel)
#endif

inline Format format_of(const torch::stable::Tensor& t) {
  using torch::headeronly::ScalarType;
  switch (t.scalar_type()) {
    case ScalarType::Float:
      return Format::f32;
    case ScalarType::Double:
      return Format::f64;
    case ScalarType::BFloat16:
      return Format::bf16;
    case ScalarType::Half:
      return Format::f16;
    default:
      STD_TORCH_CHECK(false, "smoothswap: expected float32, float64, bfloat16 or float16");
  }
}

}  // namespace smoothswap
