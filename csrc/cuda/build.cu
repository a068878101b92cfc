// Facts of this build, and whether this machine's driver can run it; asked through ctypes.

#include <cuda_runtime.h>

#define SMOOTHSWAP_VISIBLE extern "C" __attribute__((visibility("default")))

// "CUDA 13.0, sm_80 sm_90"
SMOOTHSWAP_VISIBLE const char* smoothswap_cuda_build() { return SMOOTHSWAP_CUDA_BUILD; }

// Version of CUDA that the kernels need of the driver, and that the driver offers (0: no driver), as 1000·major + 10·minor.
SMOOTHSWAP_VISIBLE int smoothswap_cuda_needed() { return CUDART_VERSION; }
SMOOTHSWAP_VISIBLE int smoothswap_cuda_offered() {
  int version = 0;
  return cudaDriverGetVersion(&version) == cudaSuccess ? version : 0;
}
