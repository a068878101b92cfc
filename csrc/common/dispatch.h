// Choice of the instruction set at run time, and of the number format of a tensor.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdlib>
#include <cstring>

#include "numbers.h"

namespace smoothswap {

enum class Isa { baseline, avx2, avx512 };
constexpr const char* isa_names[] = {"baseline", "avx2", "avx512"};

// What the processor has, or less where the environment variable SMOOTHSWAP_ISA asks for it, which is read once.
inline Isa best_isa() {
  static const Isa best = [] {
    int has = 0;
#if defined(SMOOTHSWAP_X86)
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    has = avx2 && avx512 ? 2 : avx2 ? 1 : 0;
#endif
    const char* asked = std::getenv("SMOOTHSWAP_ISA");
    if (asked == nullptr || *asked == 0) return Isa(has);
    int wanted = 0;
    while (wanted < 3 && std::strcmp(asked, isa_names[wanted]) != 0) ++wanted;
    STD_TORCH_CHECK(wanted < 3, "SMOOTHSWAP_ISA is '", asked, "', expected baseline, avx2 or avx512");
    STD_TORCH_CHECK(wanted <= has, "SMOOTHSWAP_ISA is '", asked, "', but this processor has ", isa_names[has]);
    return Isa(wanted);
  }();
  return best;
}

// The version of a kernel for this processor: SMOOTHSWAP_BEST(upfirdn2d)(arguments, begin, end).
#if defined(SMOOTHSWAP_X86)
#define SMOOTHSWAP_BEST(kernel)                                                   \
  (::smoothswap::best_isa() == ::smoothswap::Isa::avx512 ? avx512::kernel         \
   : ::smoothswap::best_isa() == ::smoothswap::Isa::avx2 ? avx2::kernel : baseline::kernel)
#else
#define SMOOTHSWAP_BEST(kernel) (::smoothswap::best_isa(), baseline::kernel)
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
