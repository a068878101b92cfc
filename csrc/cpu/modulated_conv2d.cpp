// Binding of the convolution behind modulated_conv2d and scaled_conv2d on the CPU.

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "../common/dispatch.h"
#include "../common/pages.h"
#include "winograd_kernel.h"

namespace smoothswap {
namespace {

using torch::stable::Tensor;

const float* values(const std::optional<Tensor>& t) {
  return t ? static_cast<const float*>(t->const_data_ptr()) : nullptr;
}

// y [N, O, H', W'] ← x [N, I, H, W], both contiguous or both channels_last; weight [O, I, 3, 3], or [I, O, 3, 3] where
// exchanged, contiguous; before [N, I], after [N, O], bias [O]: fp32, contiguous; noise [N, O, H', W'], any strides; space:
// for the transformed weights, `winograd_space` values and 16 more, fp32.
void winograd(const Tensor x, const Tensor weight, std::optional<Tensor> before, std::optional<Tensor> after,
              std::optional<Tensor> noise, std::optional<Tensor> bias, Tensor y, Tensor space, int64_t top, int64_t left,
              bool exchanged, bool reversed, double slope, double gain, double clamp, bool channels_last) {
  const int64_t I = x.size(1), O = y.size(1);
  const uintptr_t at = reinterpret_cast<uintptr_t>(space.mutable_data_ptr());
  Winograd a{};
  a.x = x.const_data_ptr();
  a.weight = weight.const_data_ptr();
  a.weight_o = exchanged ? 9 : I * 9;
  a.weight_i = exchanged ? O * 9 : 9;
  a.reversed = reversed;
  a.before = values(before);
  a.after = values(after);
  if (noise) {
    a.noise = noise->const_data_ptr();
    a.noise_n = noise->stride(0);
    a.noise_o = noise->stride(1);
    a.noise_h = noise->stride(2);
    a.noise_w = noise->stride(3);
  }
  a.bias = values(bias);
  a.slope = slope;
  a.gain = gain;
  a.clamp = clamp;
  a.y = y.mutable_data_ptr();
  a.N = x.size(0);
  a.I = I;
  a.O = O;
  a.H = x.size(2);
  a.W = x.size(3);
  a.out_h = y.size(2);
  a.out_w = y.size(3);
  a.top = top;
  a.left = left;
  a.format = format_of(x);
  a.channels_last = channels_last;
  a.transformed = reinterpret_cast<float*>((at + 63) / 64 * 64);
  a.block = SMOOTHSWAP_BEST(winograd_block)(a, torch::stable::get_num_threads());
  prefer_huge_pages(a.y, size_t(y.numel()) * y.element_size());
  prefer_huge_pages(space.mutable_data_ptr(), size_t(space.numel()) * 4);
  const auto weights = SMOOTHSWAP_BEST(winograd_weights);
  const auto tiles = SMOOTHSWAP_BEST(winograd_tiles);
  torch::stable::parallel_for(0, I, std::max<int64_t>(1, 4096 / O),
                              [&](int64_t begin, int64_t end) { weights(a, begin, end); });
  torch::stable::parallel_for(0, a.blocks(), 1, [&](int64_t begin, int64_t end) { tiles(a, begin, end); });
}

int64_t winograd_space(int64_t I, int64_t O) {
  Winograd a{};
  a.I = I;
  a.O = O;
  return SMOOTHSWAP_BEST(winograd_weights_size)(a);
}

}  // namespace
}  // namespace smoothswap

STABLE_TORCH_LIBRARY_FRAGMENT(smoothswap_native, m) {
  m.def(
      "winograd(Tensor x, Tensor weight, Tensor? before, Tensor? after, Tensor? noise, Tensor? bias, Tensor(a!) y, "
      "Tensor(b!) space, int top, int left, bool exchanged, bool reversed, float slope, float gain, float clamp, "
      "bool channels_last) -> ()");
  m.def("winograd_space(int I, int O) -> int");
}
STABLE_TORCH_LIBRARY_IMPL(smoothswap_native, CPU, m) { m.impl("winograd", TORCH_BOX(&smoothswap::winograd)); }
STABLE_TORCH_LIBRARY_IMPL(smoothswap_native, CompositeExplicitAutograd, m) {
  m.impl("winograd_space", TORCH_BOX(&smoothswap::winograd_space));
}
