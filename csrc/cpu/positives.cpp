// Binding of the sums over positives on the CPU.

#include "positives_kernel.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>

#include "../common/dispatch.h"
#include "../common/pages.h"

namespace smoothswap {
namespace {

using torch::stable::Tensor;

// Runs within vectors 0 … n − 1: a kernel that is handed anything else would read beyond them.
Runs runs_of(const Tensor& offsets, const Tensor& members, int64_t n) {
  const Runs runs{static_cast<const int64_t*>(offsets.const_data_ptr()),
                  static_cast<const int64_t*>(members.const_data_ptr())};
  const int64_t last = offsets.numel() - 1, count = members.numel();
  STD_TORCH_CHECK(last >= 0 && runs.offsets[0] == 0 && runs.offsets[last] == count,
                  "supcon_loss: positives' offsets do not run from 0 to ", count);
  for (int64_t i = 0; i < last; ++i)
    STD_TORCH_CHECK(runs.offsets[i] <= runs.offsets[i + 1], "supcon_loss: positives' offsets fall at ", i);
  for (int64_t k = 0; k < count; ++k)
    STD_TORCH_CHECK(runs.members[k] >= 0 && runs.members[k] < n, "supcon_loss: positives' indices[", k, "] is ",
                    runs.members[k], ", expected 0 to ", n - 1);
  return runs;
}

Positives arguments_of(const Tensor& z, const Tensor& offsets, const Tensor& members, Tensor& out) {
  Positives a{};
  a.z = z.const_data_ptr(), a.out = out.mutable_data_ptr(), a.D = z.size(1), a.format = format_of(z);
  a.runs = runs_of(offsets, members, z.size(0));
  prefer_huge_pages(a.out, size_t(out.numel()) * out.element_size());
  return a;
}

// A run is one thread's, whatever the number of threads.
template <class Kernel>
void over_runs(const Positives& a, const Tensor& offsets, const Tensor& members, Kernel kernel) {
  const int64_t runs = offsets.numel() - 1, work = std::max<int64_t>(1, members.numel() * a.D / std::max<int64_t>(1, runs));
  torch::stable::parallel_for(0, runs, std::max<int64_t>(1, 32768 / work),
                              [&](int64_t begin, int64_t end) { kernel(a, begin, end); });
}

// Vectors contiguous in any format; members int64 [N], a permutation, in runs of equal labels; dots [N], factors [N] and pull
// [N, D] in the arithmetic's type.
void dots_of_labels(const Tensor z, const Tensor offsets, const Tensor members, Tensor dots) {
  over_runs(arguments_of(z, offsets, members, dots), offsets, members, SMOOTHSWAP_BEST(same_label_dots));
}
void pull_of_labels(const Tensor factors, const Tensor z, const Tensor offsets, const Tensor members, Tensor pull) {
  Positives a = arguments_of(z, offsets, members, pull);
  a.a = factors.const_data_ptr();
  over_runs(a, offsets, members, SMOOTHSWAP_BEST(same_label_pull));
}
// The same for lists, offsets [N + 1]; `back` are the lists of those that name a vector.
void dots_of_lists(const Tensor z, const Tensor offsets, const Tensor members, Tensor dots) {
  over_runs(arguments_of(z, offsets, members, dots), offsets, members, SMOOTHSWAP_BEST(listed_dots));
}
void pull_of_lists(const Tensor factors, const Tensor z, const Tensor offsets, const Tensor members,
                   const Tensor back_offsets, const Tensor back_members, Tensor pull) {
  Positives a = arguments_of(z, offsets, members, pull);
  a.a = factors.const_data_ptr();
  a.back = runs_of(back_offsets, back_members, z.size(0));
  over_runs(a, offsets, members, SMOOTHSWAP_BEST(listed_pull));
}

}  // namespace
}  // namespace smoothswap

STABLE_TORCH_LIBRARY_FRAGMENT(smoothswap_native, m) {
  m.def("same_label_dots(Tensor z, Tensor offsets, Tensor members, Tensor(a!) dots) -> ()");
  m.def("same_label_pull(Tensor factors, Tensor z, Tensor offsets, Tensor members, Tensor(a!) pull) -> ()");
  m.def("listed_dots(Tensor z, Tensor offsets, Tensor members, Tensor(a!) dots) -> ()");
  m.def(
      "listed_pull(Tensor factors, Tensor z, Tensor offsets, Tensor members, Tensor back_offsets, Tensor back_members, "
      "Tensor(a!) pull) -> ()");
}
STABLE_TORCH_LIBRARY_IMPL(smoothswap_native, CPU, m) {
  m.impl("same_label_dots", TORCH_BOX(&smoothswap::dots_of_labels));
  m.impl("same_label_pull", TORCH_BOX(&smoothswap::pull_of_labels));
  m.impl("listed_dots", TORCH_BOX(&smoothswap::dots_of_lists));
  m.impl("listed_pull", TORCH_BOX(&smoothswap::pull_of_lists));
}
