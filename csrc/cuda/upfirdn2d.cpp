// Binding of upfirdn2d on a GPU.

#include "upfirdn2d_kernel.h"

#include <vector>

#include "binding.h"

namespace smoothswap::gpu {
namespace {

using torch::stable::Tensor;

Upfirdn arguments_of(const Tensor& x, const Tensor& y, const std::vector<int64_t>& up, const std::vector<int64_t>& down,
                     const std::vector<int64_t>& padding, int64_t kh, int64_t kw, bool channels_last) {
  return Upfirdn{x.const_data_ptr(),
                 y.mutable_data_ptr(),
                 x.size(0),
                 x.size(1),
                 Axis{x.size(2), y.size(2), up[1], down[1], padding[2], kh},
                 Axis{x.size(3), y.size(3), up[0], down[0], padding[0], kw},
                 format_of(x),
                 channels_last};
}

// y [B, C, H', W'] ← x [B, C, H, W], neither empty; both contiguous or both channels_last. f [Kh, Kw] or [K] on the same
// device, fp32 (fp64 for fp64 images), contiguous. taps: none, or f's four by four taps as eight factors, those along the
// height first, in the order of correlation, gain included.
void upfirdn2d_op(const Tensor x, Tensor y, const Tensor f, std::vector<double> taps, std::vector<int64_t> up,
               std::vector<int64_t> down, std::vector<int64_t> padding, bool flip_filter, double gain,
               bool channels_last) {
  const OnDeviceOf device(x);
  const bool one_axis = f.dim() == 1;
  const Upfirdn a = arguments_of(x, y, up, down, padding, f.size(0), f.size(one_axis ? 0 : 1), channels_last);
  if (taps.size() == 8 && four_taps_fit(a)) {
    FourTaps four;
    for (int k = 0; k < 4; ++k) {
      four.h[k] = taps[k];
      four.w[k] = taps[4 + k];
    }
    return check(upfirdn2d_four(a, four, device.stream), "upfirdn2d", x);
  }
  check(upfirdn2d_any(a, DeviceTaps{f.const_data_ptr(), one_axis, flip_filter, gain}, device.stream), "upfirdn2d", x);
}

}  // namespace
}  // namespace smoothswap::gpu

STABLE_TORCH_LIBRARY_FRAGMENT(SMOOTHSWAP_CUDA_OPS, m) {
  m.def(
      "upfirdn2d(Tensor x, Tensor(a!) y, Tensor f, float[] taps, int[] up, int[] down, int[] padding, bool flip_filter, "
      "float gain, bool channels_last) -> ()");
}
STABLE_TORCH_LIBRARY_IMPL(SMOOTHSWAP_CUDA_OPS, SMOOTHSWAP_CUDA_KEY, m) {
  m.impl("upfirdn2d", TORCH_BOX(&smoothswap::gpu::upfirdn2d_op));
}
