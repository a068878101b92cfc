// Binding of bias_act and its derivatives on the CPU: cuts the tensors into units of work and adds up their sums.

#include "bias_act_kernel.h"

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

constexpr int64_t grain = 16384;       // values that are worth a thread
constexpr int64_t shortest_run = 64;   // shorter runs are joined to rows
constexpr int64_t shortest_row = 512;  // shorter rows are repeated
constexpr int64_t row_tile = 4096, row_groups = 32;

int64_t parts(int64_t whole, int64_t part) { return (whole + part - 1) / part; }

// values lie in memory as [outer, channels, inner]; `by_channel`: something differs between channels.
Units units_of(int64_t values, int64_t channels, int64_t inner, bool by_channel) {
  Units u{};
  u.values = values;
  u.rows = by_channel && inner < shortest_run;
  u.channels = by_channel ? channels : 1;
  if (u.rows) {
    const int64_t row = channels * inner;
    u.length = row * (row < shortest_row ? parts(shortest_row, row) : 1);
    u.count = parts(values, u.length);
    u.tile = std::min(u.length, row_tile);
    u.group = std::max(parts(u.count, row_groups), parts(grain, u.tile));
  } else {
    u.length = by_channel ? inner : values;
    u.count = values / u.length;
    u.tile = grain;
    u.group = 1;
  }
  u.tiles = parts(u.length, u.tile);
  u.groups = parts(u.count, u.group);
  return u;
}

template <class Kernel, class Arguments>
void over_units(Kernel kernel, const Arguments& a) {
  const int64_t each = std::min(a.units.tile, a.units.length) * a.units.group;
  torch::stable::parallel_for(0, a.units.total(), std::max<int64_t>(1, grain / each),
                              [&](int64_t begin, int64_t end) { kernel(a, begin, end); });
}

double at(const void* data, int64_t k, Format format) {
  switch (format) {
    case Format::f32:
      return static_cast<const float*>(data)[k];
    case Format::f64:
      return static_cast<const double*>(data)[k];
    case Format::bf16:
      return baseline::load(static_cast<const baseline::BF16*>(data) + k);
    default:
      return baseline::load(static_cast<const baseline::F16*>(data) + k);
  }
}
void put(void* data, int64_t k, double value, Format format) {
  switch (format) {
    case Format::f32:
      return baseline::store(static_cast<float*>(data) + k, float(value));
    case Format::f64:
      return baseline::store(static_cast<double*>(data) + k, value);
    case Format::bf16:
      return baseline::store(static_cast<baseline::BF16*>(data) + k, float(value));
    default:
      return baseline::store(static_cast<baseline::F16*>(data) + k, float(value));
  }
}

// The bias b [channels] as the kernel wants it, kept alive with this.
struct Bias {
  std::vector<float> single;
  std::vector<double> twice;
  const void* data = nullptr;

  Bias(const std::optional<Tensor>& b, const Units& u, int64_t inner) {
    if (!b) return;
    const Format format = format_of(*b);
    const int64_t channels = b->numel(), length = u.rows ? u.length : channels;
    data = b->const_data_ptr();
    if (length == channels && (format == Format::f32 || format == Format::f64)) return;
    const int64_t each = u.rows ? inner : 1;
    if (format == Format::f64)
      data = spread(twice, data, format, channels, each, length);
    else
      data = spread(single, data, format, channels, each, length);
  }

  template <class A>
  static const void* spread(std::vector<A>& to, const void* b, Format format, int64_t channels, int64_t each, int64_t length) {
    to.reserve(size_t(length));
    while (int64_t(to.size()) < length)
      for (int64_t c = 0; c < channels; ++c) to.insert(to.end(), size_t(each), A(at(b, c, format)));
    return to.data();
  }
};

// db [channels] ← the units' sums, in a fixed order.
void add_up(const std::vector<double>& partial, const Units& u, int64_t inner, Tensor& db) {
  std::vector<double> sums(size_t(u.channels), 0.0);
  if (u.rows) {
    std::vector<double> row(partial.begin(), partial.begin() + u.length);
    for (int64_t g = 1; g < u.groups; ++g)
      for (int64_t k = 0; k < u.length; ++k) row[size_t(k)] += partial[size_t(g * u.length + k)];
    for (int64_t k = 0; k < u.length;)
      for (int64_t c = 0; c < u.channels; ++c)
        for (int64_t i = 0; i < inner; ++i) sums[size_t(c)] += row[size_t(k++)];
  } else {
    for (int64_t run = 0, k = 0; run < u.count; ++run)
      for (int64_t t = 0; t < u.tiles; ++t) sums[size_t(run % u.channels)] += partial[size_t(k++)];
  }
  const Format format = format_of(db);
  void* data = db.mutable_data_ptr();
  for (int64_t c = 0; c < u.channels; ++c) put(data, c, sums[size_t(c)], format);
}

void fresh(const Tensor& y) { prefer_huge_pages(y.mutable_data_ptr(), size_t(y.numel()) * y.element_size()); }

// y ← x, both [outer, channels, inner] in memory and not empty; b [channels].
void bias_act(const Tensor x, Tensor y, std::optional<Tensor> b, int64_t channels, int64_t inner, int64_t act,
              double alpha, double gain, double clamp) {
  const Units units = units_of(x.numel(), channels, inner, b.has_value());
  const Bias bias(b, units, inner);
  fresh(y);
  over_units(SMOOTHSWAP_BEST(bias_act),
             BiasAct{units, {Act(act), alpha, gain, clamp, false, format_of(x)}, bias.data, x.const_data_ptr(),
                     y.mutable_data_ptr()});
}

// dx ← g, ref; or with h: dx and dref ← h, g, ref. All [outer, channels, inner] in memory and not empty; b, db [channels].
void bias_act_grad(std::optional<Tensor> h, const Tensor g, const Tensor ref, std::optional<Tensor> b, Tensor dx,
                   std::optional<Tensor> dref, std::optional<Tensor> db, int64_t channels, int64_t inner,
                   bool from_output, int64_t act, double alpha, double gain, double clamp) {
  const Units units = units_of(g.numel(), channels, inner, b || db);
  const Bias bias(b, units, inner);
  std::vector<double> partial(db ? size_t(units.rows ? units.groups * units.length : units.total()) : 0);
  fresh(dx);
  if (dref) fresh(*dref);
  over_units(SMOOTHSWAP_BEST(bias_act_grad),
             BiasActGrad{units,
                         {Act(act), alpha, gain, clamp, from_output, format_of(g)},
                         bias.data,
                         h ? h->const_data_ptr() : nullptr,
                         g.const_data_ptr(),
                         ref.const_data_ptr(),
                         dx.mutable_data_ptr(),
                         dref ? dref->mutable_data_ptr() : nullptr,
                         db ? partial.data() : nullptr});
  if (db) add_up(partial, units, inner, *db);
}

}  // namespace
}  // namespace smoothswap

STABLE_TORCH_LIBRARY_FRAGMENT(smoothswap_native, m) {
  m.def(
      "bias_act(Tensor x, Tensor(a!) y, Tensor? b, int channels, int inner, int act, float alpha, float gain, "
      "float clamp) -> ()");
  m.def(
      "bias_act_grad(Tensor? h, Tensor g, Tensor ref, Tensor? b, Tensor(a!) dx, Tensor(b!)? dref, Tensor(c!)? db, "
      "int channels, int inner, bool from_output, int act, float alpha, float gain, float clamp) -> ()");
}
STABLE_TORCH_LIBRARY_IMPL(smoothswap_native, CPU, m) {
  m.impl("bias_act", TORCH_BOX(&smoothswap::bias_act));
  m.impl("bias_act_grad", TORCH_BOX(&smoothswap::bias_act_grad));
}
