// Binding of the convolution behind modulated_conv2d and scaled_conv2d on the CPU.

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "../common/dispatch.h"
#include "../common/pages.h"
#include "modulated_conv2d_kernel.h"
#include "winograd_kernel.h"

namespace smoothswap {
namespace {

using torch::stable::Tensor;

constexpr int64_t grain = 32768;  // values that are worth a thread

const void* data(const std::optional<Tensor>& t) { return t ? t->const_data_ptr() : nullptr; }
const float* values(const std::optional<Tensor>& t) { return static_cast<const float*>(data(t)); }

// y [N, C, H, W] ← x · scale [N, C]; x and y in one layout, scale and y in the format that x is computed in.
void scale_channels(const Tensor x, const Tensor scale, Tensor y, bool channels_last) {
  const int64_t C = x.size(1), pixels = x.size(2) * x.size(3);
  const ScaleChannels a{x.const_data_ptr(), scale.const_data_ptr(), y.mutable_data_ptr(), C, pixels, format_of(x),
                        channels_last};
  prefer_huge_pages(y.mutable_data_ptr(), size_t(y.numel()) * y.element_size());
  const auto kernel = SMOOTHSWAP_BEST(scale_channels);
  const int64_t run = std::max<int64_t>(1, channels_last ? C : pixels);
  torch::stable::parallel_for(0, x.numel() / run, std::max<int64_t>(1, grain / run),
                              [&](int64_t begin, int64_t end) { kernel(a, begin, end); });
}

// y [N, C, H, W] ← epilogue of u, in one layout; scale [N, C] and bias [C] in u's format; noise [N, C, H, W] in y's
// format, any strides. y may be u.
void epilogue(const Tensor u, std::optional<Tensor> scale, std::optional<Tensor> noise, std::optional<Tensor> bias,
              Tensor y, double slope, double gain, double clamp, bool channels_last) {
  Epilogue a{};
  a.u = u.const_data_ptr();
  a.scale = data(scale);
  if (noise) {
    a.noise = noise->const_data_ptr();
    a.noise_n = noise->stride(0);
    a.noise_c = noise->stride(1);
    a.noise_h = noise->stride(2);
    a.noise_w = noise->stride(3);
  }
  a.bias = data(bias);
  a.slope = slope;
  a.gain = gain;
  a.clamp = clamp;
  a.y = y.mutable_data_ptr();
  a.C = y.size(1);
  a.H = y.size(2);
  a.W = y.size(3);
  a.y_format = format_of(y);
  a.channels_last = channels_last;
  if (a.y != a.u) prefer_huge_pages(a.y, size_t(y.numel()) * y.element_size());
  const auto kernel = SMOOTHSWAP_BEST(epilogue);
  const int64_t run = std::max<int64_t>(1, channels_last ? a.C * a.W : a.W);
  torch::stable::parallel_for(0, y.numel() / run, std::max<int64_t>(1, grain / run),
                              [&](int64_t begin, int64_t end) { kernel(a, begin, end); });
}

// g, y, dh [N, O, H, W] in one layout; noise and total [N, 1, H, W], total contiguous, zeros; d [N, O]; sums
// [2, N, parts, O], zeros, over `rows` rows each. All fp32.
void head(const Tensor g, const Tensor y, std::optional<Tensor> noise, std::optional<Tensor> d, Tensor dh, Tensor sums,
          Tensor total, int64_t rows, double slope, double gain, double clamp, bool channels_last) {
  GradientHead a{};
  a.g = static_cast<const float*>(g.const_data_ptr());
  a.y = static_cast<const float*>(y.const_data_ptr());
  a.noise = values(noise);
  if (noise) {
    a.noise_n = noise->stride(0);
    a.noise_h = noise->stride(2);
    a.noise_w = noise->stride(3);
  }
  a.d = values(d);
  a.dh = static_cast<float*>(dh.mutable_data_ptr());
  a.sums = static_cast<float*>(sums.mutable_data_ptr());
  a.total = static_cast<float*>(total.mutable_data_ptr());
  a.N = y.size(0);
  a.O = y.size(1);
  a.H = y.size(2);
  a.W = y.size(3);
  a.rows = rows;
  a.slope = slope;
  a.gain = gain;
  a.clamp = clamp;
  a.channels_last = channels_last;
  prefer_huge_pages(a.dh, size_t(dh.numel()) * 4);
  const auto kernel = SMOOTHSWAP_BEST(gradient_head);
  torch::stable::parallel_for(0, a.N * a.parts(), 1, [&](int64_t begin, int64_t end) { kernel(a, begin, end); });
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
  m.def(
      "modulated_conv2d_head(Tensor g, Tensor y, Tensor? noise, Tensor? d, Tensor(a!) dh, Tensor(b!) sums, "
      "Tensor(c!) total, int rows, float slope, float gain, float clamp, bool channels_last) -> ()");
  m.def("winograd_space(int I, int O) -> int");
  m.def("scale_channels(Tensor x, Tensor scale, Tensor(a!) y, bool channels_last) -> ()");
  m.def(
      "epilogue(Tensor u, Tensor? scale, Tensor? noise, Tensor? bias, Tensor(a!) y, float slope, float gain, float clamp, "
      "bool channels_last) -> ()");
}
STABLE_TORCH_LIBRARY_IMPL(smoothswap_native, CPU, m) {
  m.impl("winograd", TORCH_BOX(&smoothswap::winograd));
  m.impl("scale_channels", TORCH_BOX(&smoothswap::scale_channels));
  m.impl("modulated_conv2d_head", TORCH_BOX(&smoothswap::head));
  m.impl("epilogue", TORCH_BOX(&smoothswap::epilogue));
}
STABLE_TORCH_LIBRARY_IMPL(smoothswap_native, CompositeExplicitAutograd, m) {
  m.impl("winograd_space", TORCH_BOX(&smoothswap::winograd_space));
}
