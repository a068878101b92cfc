// Binding of upfirdn2d on the CPU.

#include "upfirdn2d_kernel.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "../common/dispatch.h"
#include "../common/pages.h"

namespace smoothswap {
namespace {

using torch::stable::Tensor;

// Finds f = fh ⊗ fw for f [kh, kw]: the row and the column through its largest tap. The factors must give every tap to
// within `tolerance` of the largest, the rounding of the type that the taps are applied in.
bool separate(const std::vector<double>& f, int64_t kh, int64_t kw, double tolerance, std::vector<double>& fh,
              std::vector<double>& fw) {
  const auto largest = [](double a, double b) { return std::abs(a) < std::abs(b); };
  const int64_t pivot = std::max_element(f.begin(), f.end(), largest) - f.begin();
  if (f[pivot] == 0) return false;
  fh.resize(kh);
  fw.resize(kw);
  for (int64_t i = 0; i < kh; ++i) fh[i] = f[i * kw + pivot % kw];
  for (int64_t j = 0; j < kw; ++j) fw[j] = f[pivot / kw * kw + j] / f[pivot];
  for (int64_t i = 0; i < kh; ++i)
    for (int64_t j = 0; j < kw; ++j)
      if (!(std::abs(f[i * kw + j] - fh[i] * fw[j]) <= tolerance * std::abs(f[pivot]))) return false;
  return true;
}

// y [B, C, H', W'] ← x [B, C, H, W]; both contiguous or both channels_last; f [Kh, Kw] or [K], fp64, contiguous.
void upfirdn2d(const Tensor x, Tensor y, const Tensor f, std::vector<int64_t> up, std::vector<int64_t> down,
               std::vector<int64_t> padding, bool flip_filter, double gain, bool channels_last) {
  const bool one_axis = f.dim() == 1;
  const int64_t kh = f.size(0), kw = f.size(one_axis ? 0 : 1);
  const double* given = static_cast<const double*>(f.const_data_ptr());
  std::vector<double> taps(kh * kw), fh, fw;
  for (int64_t i = 0; i < kh; ++i)
    for (int64_t j = 0; j < kw; ++j) {
      const int64_t a = flip_filter ? i : kh - 1 - i, b = flip_filter ? j : kw - 1 - j;
      taps[i * kw + j] = gain * (one_axis ? given[a] * given[b] : given[a * kw + b]);
    }
  const Format format = format_of(x);
  const bool separable = separate(taps, kh, kw, format == Format::f64 ? 1e-15 : 1e-7, fh, fw);
  const Upfirdn arguments{x.const_data_ptr(),
                          y.mutable_data_ptr(),
                          x.size(0),
                          x.size(1),
                          Axis{x.size(2), y.size(2), up[1], down[1], padding[2], kh},
                          Axis{x.size(3), y.size(3), up[0], down[0], padding[0], kw},
                          taps.data(),
                          separable ? fh.data() : nullptr,
                          separable ? fw.data() : nullptr,
                          format,
                          channels_last};
  prefer_huge_pages(y.mutable_data_ptr(), size_t(y.numel()) * y.element_size());
  const auto kernel = SMOOTHSWAP_BEST(upfirdn2d);
  const int64_t count = units(arguments);
  const int64_t values = std::max<int64_t>(1, (x.numel() + y.numel()) / std::max<int64_t>(1, count));
  const int64_t grain = std::max<int64_t>(1, 32768 / values);
  torch::stable::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) { kernel(arguments, begin, end); });
}

}  // namespace
}  // namespace smoothswap

STABLE_TORCH_LIBRARY_FRAGMENT(smoothswap_native, m) {
  m.def(
      "upfirdn2d(Tensor x, Tensor(a!) y, Tensor f, int[] up, int[] down, int[] padding, bool flip_filter, float gain, "
      "bool channels_last) -> ()");
}
STABLE_TORCH_LIBRARY_IMPL(smoothswap_native, CPU, m) { m.impl("upfirdn2d", TORCH_BOX(&smoothswap::upfirdn2d)); }
