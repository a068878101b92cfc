// Binding of bias_act and its gradients on a GPU.

#include "bias_act_kernel.h"

#include <optional>

#include "binding.h"

namespace smoothswap::gpu {
namespace {

using torch::stable::Tensor;

Act act_of(int64_t number) {
  STD_TORCH_CHECK(number >= 0 && number <= int64_t(Act::swish), "smoothswap: no activation of number ", number);
  return Act(int32_t(number));
}

// y ← x, both [outer, channels, inner] in memory and not empty; b [channels].
void bias_act_op(const Tensor x, Tensor y, std::optional<Tensor> b, int64_t channels, int64_t inner, int64_t act,
              double slope, double gain, double clamp) {
  const OnDeviceOf device(x);
  const BiasAct a{x.const_data_ptr(), b ? b->const_data_ptr() : nullptr,
                  y.mutable_data_ptr(), x.numel(), channels, inner, act_of(act), slope, gain, clamp, format_of(x)};
  check(bias_act(a, device.stream), "bias_act", x);
}

// dx ← g, ref: dense tensors of one layout, not empty.
void bias_act_grad_op(const Tensor g, const Tensor ref, Tensor dx, bool from_output, int64_t act, double slope, double gain,
                   double clamp) {
  const OnDeviceOf device(g);
  const BiasActGrad a{g.const_data_ptr(), ref.const_data_ptr(), dx.mutable_data_ptr(), g.numel(), act_of(act),
                      from_output, slope, gain, clamp, format_of(g)};
  check(bias_act_grad(a, device.stream), "bias_act_grad", g);
}

// The same with db [channels] or none; all in memory [outer, channels, inner]. partial [channels, parts] of the wide type.
void bias_act_backward_op(const Tensor g, const Tensor ref, std::optional<Tensor> b, Tensor dx, std::optional<Tensor> db,
                          Tensor partial, int64_t inner, bool from_output, int64_t act, double slope, double gain,
                          double clamp) {
  const OnDeviceOf device(g);
  const int64_t channels = partial.size(0), parts = partial.size(1);
  const BiasActBackward a{g.const_data_ptr(), ref.const_data_ptr(), b ? b->const_data_ptr() : nullptr,
                          dx.mutable_data_ptr(), db ? db->mutable_data_ptr() : nullptr, partial.mutable_data_ptr(),
                          g.numel() / (channels * inner), channels, inner, parts, act_of(act), from_output, slope, gain,
                          clamp, format_of(g)};
  check(bias_act_backward(a, device.stream), "bias_act_backward", g);
}

}  // namespace
}  // namespace smoothswap::gpu

STABLE_TORCH_LIBRARY_FRAGMENT(SMOOTHSWAP_CUDA_OPS, m) {
  m.def(
      "bias_act(Tensor x, Tensor(a!) y, Tensor? b, int channels, int inner, int act, float slope, float gain, "
      "float clamp) -> ()");
  m.def(
      "bias_act_grad(Tensor g, Tensor ref, Tensor(a!) dx, bool from_output, int act, float slope, float gain, "
      "float clamp) -> ()");
  m.def(
      "bias_act_backward(Tensor g, Tensor ref, Tensor? b, Tensor(a!) dx, Tensor(b!)? db, Tensor(c!) partial, int inner, "
      "bool from_output, int act, float slope, float gain, float clamp) -> ()");
}
STABLE_TORCH_LIBRARY_IMPL(SMOOTHSWAP_CUDA_OPS, SMOOTHSWAP_CUDA_KEY, m) {
  m.impl("bias_act", TORCH_BOX(&smoothswap::gpu::bias_act_op));
  m.impl("bias_act_grad", TORCH_BOX(&smoothswap::gpu::bias_act_grad_op));
  m.impl("bias_act_backward", TORCH_BOX(&smoothswap::gpu::bias_act_backward_op));
}
