// Number formats that the CUDA kernels take.
#pragma once

#include <cstdint>

namespace smoothswap::gpu {

enum class Format : int32_t { f32, f64, bf16, f16 };

}  // namespace smoothswap::gpu
