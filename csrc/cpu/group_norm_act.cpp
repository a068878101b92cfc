// Binding of group_norm_act and its gradient on the CPU.

#include "group_norm_act_kernel.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "../common/dispatch.h"
#include "../common/pages.h"

namespace smoothswap {
namespace {

using torch::stable::Tensor;

constexpr int64_t grain = 16384;  // values that are worth a thread

const void* pointer(const std::optional<Tensor>& t) { return t ? t->const_data_ptr() : nullptr; }

GroupNormAct arguments_of(const Tensor& x, const std::optional<Tensor>& weight, const std::optional<Tensor>& bias,
                          int64_t channels, int64_t groups, bool channels_last, bool swish, double slope) {
  GroupNormAct a{};
  a.x = x.const_data_ptr(), a.weight = pointer(weight), a.bias = pointer(bias);
  a.B = x.size(0), a.C = channels, a.G = groups, a.D = channels / groups, a.S = x.numel() / (a.B * channels);
  a.act = swish ? GroupActivation::swish : GroupActivation::piecewise, a.slope = slope;
  a.format = format_of(x), a.channels_last = channels_last;
  return a;
}

// Fills in units, chunks and partials.
void plan_chunks(GroupNormAct& a, bool backward) {
  const auto pieces = [](int64_t n, int64_t piece) { return (n + piece - 1) / piece; };
  if (a.channels_last) {
    a.units = a.B, a.chunks = pieces(a.S, std::max<int64_t>(64, 4 * group_norm_piece / a.C));
    a.partials = 2 * (backward ? a.C : a.G);
  } else {
    a.units = a.B * a.G, a.partials = 2;
    a.chunks = backward ? a.D * pieces(a.S, group_norm_piece) : pieces(a.D * a.S, group_norm_piece);
  }
}

// Three phases, see the kernels. Unit by unit, so that a unit is still in the cache when the last phase reads it again,
// where there are units enough for all threads; else each phase over the chunks of all units.
template <class Sums, class Middle, class Apply>
void in_phases(const GroupNormAct& a, Sums sums, Middle middle, Apply apply) {
  const int64_t threads = torch::stable::get_num_threads(), size = a.B * a.C * a.S;
  const int64_t unit_grain = std::max<int64_t>(1, grain / (size / a.units));
  if (threads == 1 || a.units >= 4 * threads || a.units % threads == 0 || size <= grain) {
    torch::stable::parallel_for(0, a.units, unit_grain, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        sums(a, unit, 0, a.chunks);
        middle(a, unit);
        apply(a, unit, 0, a.chunks);
      }
    });
    return;
  }
  const auto over_chunks = [&](auto phase) {
    torch::stable::parallel_for(0, a.units * a.chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin / a.chunks; unit * a.chunks < end; ++unit)
        phase(a, unit, std::max<int64_t>(0, begin - unit * a.chunks), std::min(a.chunks, end - unit * a.chunks));
    });
  };
  over_chunks(sums);
  for (int64_t unit = 0; unit < a.units; ++unit) middle(a, unit);
  over_chunks(apply);
}

// y ← x, both [B, C, S] in memory, or [B, S, C] if channels_last; mean, rstd [B, G] ← x; weight, bias [C].
void group_norm_act(const Tensor x, Tensor y, Tensor mean, Tensor rstd, std::optional<Tensor> weight,
                    std::optional<Tensor> bias, int64_t channels, int64_t groups, bool channels_last, double eps, bool swish,
                    double slope) {
  GroupNormAct a = arguments_of(x, weight, bias, channels, groups, channels_last, swish, slope);
  a.out = y.mutable_data_ptr(), a.mean = mean.mutable_data_ptr(), a.rstd = rstd.mutable_data_ptr(), a.eps = eps;
  prefer_huge_pages(a.out, size_t(y.numel()) * y.element_size());
  plan_chunks(a, false);
  std::vector<double> partial(a.units * a.chunks * a.partials);
  a.partial = partial.data();
  in_phases(a, SMOOTHSWAP_BEST(group_norm_moments), SMOOTHSWAP_BEST(group_norm_statistics),
            SMOOTHSWAP_BEST(group_norm_apply));
}

// dx, dweight, dbias ← g, x; all laid out as above.
void group_norm_act_grad(const Tensor g, const Tensor x, const Tensor mean, const Tensor rstd, Tensor dx, Tensor dweight,
                         Tensor dbias, std::optional<Tensor> weight, std::optional<Tensor> bias, int64_t channels,
                         int64_t groups, bool channels_last, bool swish, double slope) {
  GroupNormAct a = arguments_of(x, weight, bias, channels, groups, channels_last, swish, slope);
  a.g = g.const_data_ptr(), a.out = dx.mutable_data_ptr();
  a.mean = const_cast<void*>(mean.const_data_ptr()), a.rstd = const_cast<void*>(rstd.const_data_ptr());
  a.dweight = dweight.mutable_data_ptr(), a.dbias = dbias.mutable_data_ptr();
  prefer_huge_pages(a.out, size_t(dx.numel()) * dx.element_size());
  plan_chunks(a, true);
  std::vector<double> partial(a.units * a.chunks * a.partials), sums(2 * a.B * a.C), means(2 * a.B * a.G);
  a.partial = partial.data(), a.sums = sums.data(), a.means = means.data();
  in_phases(a, SMOOTHSWAP_BEST(group_norm_grad_sums), SMOOTHSWAP_BEST(group_norm_grad_means),
            SMOOTHSWAP_BEST(group_norm_grad_apply));
  SMOOTHSWAP_BEST(group_norm_grad_weights)(a);
}

}  // namespace
}  // namespace smoothswap

STABLE_TORCH_LIBRARY_FRAGMENT(smoothswap_native, m) {
  m.def(
      "group_norm_act(Tensor x, Tensor(a!) y, Tensor(b!) mean, Tensor(c!) rstd, Tensor? weight, Tensor? bias, int channels, "
      "int groups, bool channels_last, float eps, bool swish, float slope) -> ()");
  m.def(
      "group_norm_act_grad(Tensor g, Tensor x, Tensor mean, Tensor rstd, Tensor(a!) dx, Tensor(b!) dweight, "
      "Tensor(c!) dbias, Tensor? weight, Tensor? bias, int channels, int groups, bool channels_last, bool swish, "
      "float slope) -> ()");
}
STABLE_TORCH_LIBRARY_IMPL(smoothswap_native, CPU, m) {
  m.impl("group_norm_act", TORCH_BOX(&smoothswap::group_norm_act));
  m.impl("group_norm_act_grad", TORCH_BOX(&smoothswap::group_norm_act_grad));
}
