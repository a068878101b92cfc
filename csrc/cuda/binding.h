// What every binding of a CUDA kernel needs of torch: the tensor's device made current, its stream, and errors.
//
// Everything goes through torch's stable ABI. The one function for CUDA streams is missing from a torch for the CPU, with
// which this library must build and load, so it is looked up when first needed.
#pragma once

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <dlfcn.h>

#include <cstdint>
#include <string>

#include "format.h"

#if defined(SMOOTHSWAP_EMULATED)  // the same kernels as C++ on CPU tensors, for the tests
#define SMOOTHSWAP_CUDA_OPS smoothswap_native_cuda_emulated
#define SMOOTHSWAP_CUDA_KEY CPU
#else
#define SMOOTHSWAP_CUDA_OPS smoothswap_native_cuda
#define SMOOTHSWAP_CUDA_KEY CUDA
#endif

namespace smoothswap::gpu {

#if defined(SMOOTHSWAP_EMULATED)
struct OnDeviceOf {
  void* stream = nullptr;
  explicit OnDeviceOf(const torch::stable::Tensor&) {}
};
#else
using CurrentStream = AOTITorchError (*)(int32_t device, void** stream);

inline CurrentStream current_stream() {
  static const CurrentStream found = [] {
    constexpr const char* name = "aoti_torch_get_current_cuda_stream";
    void* here = dlsym(RTLD_DEFAULT, name);
    // Python loads torch's libraries privately: then only the library itself can be asked.
    if (void* torch = here ? nullptr : dlopen("libtorch_cuda.so", RTLD_LAZY | RTLD_NOLOAD)) here = dlsym(torch, name);
    return reinterpret_cast<CurrentStream>(here);
  }();
  STD_TORCH_CHECK(found != nullptr, "smoothswap: this torch has no CUDA streams (aoti_torch_get_current_cuda_stream)");
  return found;
}

// Makes a tensor's device the current one while it lives; `stream` is torch's current stream there.
struct OnDeviceOf {
  torch::stable::accelerator::DeviceGuard guard;
  void* stream = nullptr;
  explicit OnDeviceOf(const torch::stable::Tensor& t) : guard(t.get_device_index()) {
    STD_TORCH_CHECK(current_stream()(t.get_device_index(), &stream) == 0, "smoothswap: no current CUDA stream");
  }
};
#endif

inline std::string sizes_of(const torch::stable::Tensor& t) {
  std::string text;
  for (const int64_t n : t.sizes()) text += (text.empty() ? "[" : ", ") + std::to_string(n);
  return text.empty() ? "[]" : text + "]";
}

inline void check(const char* error, const char* op, const torch::stable::Tensor& t) {
  STD_TORCH_CHECK(error == nullptr, "smoothswap::", op, ": the CUDA kernel for a tensor of shape ", sizes_of(t),
                  " did not start: ", error == nullptr ? "" : error);
}

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

}  // namespace smoothswap::gpu
