// Binding of what surrounds a modulated convolution on a GPU.

#include <optional>

#include "binding.h"
#include "modulate_kernel.h"

namespace smoothswap::gpu {
namespace {

using torch::stable::Tensor;

// y ← x, both [N, C, H, W] and not empty, laid out alike, contiguous or channels_last; y may be x. scale [N, C] of the wide
// type, bias [C] and noise of x's type; noise is expanded to x's shape.
void modulate_op(const Tensor x, Tensor y, std::optional<Tensor> scale, std::optional<Tensor> noise,
                 std::optional<Tensor> bias, double slope, double gain, double clamp, bool channels_last) {
  const OnDeviceOf device(x);
  Modulate a{};
  a.x = x.const_data_ptr();
  a.y = y.mutable_data_ptr();
  a.scale = scale ? scale->const_data_ptr() : nullptr;
  a.bias = bias ? bias->const_data_ptr() : nullptr;
  if (noise) {
    a.noise = noise->const_data_ptr();
    a.noise_n = noise->stride(0);
    a.noise_c = noise->stride(1);
    a.noise_h = noise->stride(2);
    a.noise_w = noise->stride(3);
  }
  a.batch = x.size(0);
  a.channels = x.size(1);
  a.height = x.size(2);
  a.width = x.size(3);
  a.slope = slope;
  a.gain = gain;
  a.clamp = clamp;
  a.format = format_of(x);
  a.channels_last = channels_last;
  check(modulate(a, device.stream), "modulated_conv2d", x);
}

}  // namespace
}  // namespace smoothswap::gpu

STABLE_TORCH_LIBRARY_FRAGMENT(SMOOTHSWAP_CUDA_OPS, m) {
  m.def(
      "modulate(Tensor x, Tensor(a!) y, Tensor? scale, Tensor? noise, Tensor? bias, float slope, float gain, float clamp, "
      "bool channels_last) -> ()");
}
STABLE_TORCH_LIBRARY_IMPL(SMOOTHSWAP_CUDA_OPS, SMOOTHSWAP_CUDA_KEY, m) {
  m.impl("modulate", TORCH_BOX(&smoothswap::gpu::modulate_op));
}
