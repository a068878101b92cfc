// Binding of bias_act and its gradient on the CPU.

#include "bias_act_kernel.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <optional>

#include "../common/dispatch.h"
#include "../common/pages.h"

namespace smoothswap {
namespace {

using torch::stable::Tensor;

constexpr int64_t grain = 32768;  // values that are worth a thread

// y ← x, both [outer, channels, inner] in memory; b [channels].
void bias_act(const Tensor x, Tensor y, std::optional<Tensor> b, int64_t channels, int64_t inner, double slope,
              double gain, double clamp) {
  const BiasAct arguments{x.const_data_ptr(), b ? b->const_data_ptr() : nullptr, y.mutable_data_ptr(), channels, inner,
                          slope,              gain,                              clamp,                format_of(x)};
  prefer_huge_pages(y.mutable_data_ptr(), size_t(y.numel()) * y.element_size());
  const auto kernel = SMOOTHSWAP_BEST(bias_act);
  const int64_t length = std::max<int64_t>(1, inner == 1 ? channels : inner), runs = x.numel() / length;
  torch::stable::parallel_for(0, runs, std::max<int64_t>(1, grain / length),
                              [&](int64_t begin, int64_t end) { kernel(arguments, begin, end); });
}

// dx ← g, y: dense tensors of one layout.
void bias_act_grad(const Tensor g, const Tensor y, Tensor dx, double slope, double gain, double clamp) {
  const BiasActGrad arguments{g.const_data_ptr(), y.const_data_ptr(), dx.mutable_data_ptr(), slope, gain, clamp,
                              format_of(g)};
  prefer_huge_pages(dx.mutable_data_ptr(), size_t(dx.numel()) * dx.element_size());
  const auto kernel = SMOOTHSWAP_BEST(bias_act_grad);
  torch::stable::parallel_for(0, g.numel(), grain,
                              [&](int64_t begin, int64_t end) { kernel(arguments, begin, end); });
}

}  // namespace
}  // namespace smoothswap

STABLE_TORCH_LIBRARY_FRAGMENT(smoothswap_native, m) {
  m.def(
      "bias_act(Tensor x, Tensor(a!) y, Tensor? b, int channels, int inner, float slope, float gain, float clamp) -> ()");
  m.def("bias_act_grad(Tensor g, Tensor y, Tensor(a!) dx, float slope, float gain, float clamp) -> ()");
}
STABLE_TORCH_LIBRARY_IMPL(smoothswap_native, CPU, m) {
  m.impl("bias_act", TORCH_BOX(&smoothswap::bias_act));
  m.impl("bias_act_grad", TORCH_BOX(&smoothswap::bias_act_grad));
}
