// Binding of supcon_loss's kernels on the CPU: lse, its gradient, and their rectangular forms.

#include "supcon_kernel.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "../common/dispatch.h"
#include "../common/pages.h"
#include "tournament.h"

namespace smoothswap {
namespace {

using torch::stable::Tensor;

constexpr double infinity = std::numeric_limits<double>::infinity();
// e^±40 leaves room for sums of 10^20 terms above, and for weights of 10^−20 below.
constexpr double small_similarity = 40;

// Rows of a tile: as many as its arithmetic likes, fewer where there would not be work for several threads. The shape alone
// decides, never the number of threads.
int64_t block_of(int64_t n) { return n >= 8 * supcon_block ? supcon_block : n >= 4 * supcon_block ? supcon_block / 2 : 48; }

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
// Scratch of one thread, zeros
std::unique_ptr<void, Free> scratch_for(Format format) {
  const size_t bytes = size_t(supcon_scratch) * (format == Format::f64 ? 8 : 4);
  void* memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  STD_TORCH_CHECK(memory != nullptr, "smoothswap: no memory for a tile");
  std::memset(memory, 0, bytes);
  return std::unique_ptr<void, Free>(memory);
}

// work(scratch) in as many threads as there are, and as there is work for
template <class Work>
void in_threads(int64_t pieces, Format format, Work work) {
  const int64_t threads = std::max<int64_t>(1, std::min<int64_t>(torch::stable::get_num_threads(), pieces));
  torch::stable::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    const auto scratch = scratch_for(format);
    for (int64_t i = begin; i < end; ++i) work(scratch.get());
  });
}

// Every tile of a symmetric problem: play(a, tile, scratch)
template <class Play>
void over_triangle(const Supcon& a, Play play) {
  const int64_t block = block_of(a.n), blocks = (a.n + block - 1) / block;
  Tournament tournament(blocks);
  in_threads((blocks + 1) / 2, a.format, [&](void* scratch) {
    tournament.take_part([&](int64_t i, int64_t j) {
      const int64_t row = i * block, column = j * block;
      play(a, SupconTile{row, std::min(block, a.n - row), column, std::min(block, a.n - column), i != j}, scratch);
    });
  });
}
// Every tile of a rectangular problem, the columns of a block of rows in order
template <class Play>
void over_rectangle(const Supcon& a, Play play) {
  const int64_t block = block_of(a.n), blocks = (a.n + block - 1) / block;
  std::atomic<int64_t> next{0};
  in_threads(blocks, a.format, [&](void* scratch) {
    for (int64_t i; (i = next.fetch_add(1)) < blocks;)
      for (int64_t column = 0; column < a.m; column += supcon_block) {
        const int64_t row = i * block, columns = std::min(supcon_block, a.m - column);
        play(a, SupconTile{row, std::min(block, a.n - row), column, columns, false}, scratch);
      }
  });
}

// The largest squared length of vectors z [n, D]
double longest(const Tensor& z) {
  const int64_t n = z.size(0), D = z.size(1), piece = 256, pieces = (n + piece - 1) / piece;
  std::vector<double> most(pieces);
  torch::stable::parallel_for(0, pieces, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      most[i] =
          SMOOTHSWAP_BEST(supcon_longest)(z.const_data_ptr(), D, format_of(z), i * piece, std::min(n, (i + 1) * piece));
  });
  double all = 0;
  for (const double value : most) all = value <= all ? all : value;  // a NaN stays
  return all;
}

Supcon arguments_of(const Tensor& rows, const Tensor& columns, int64_t first, double temperature, bool symmetric) {
  Supcon a{};
  a.rows = rows.const_data_ptr(), a.columns = columns.const_data_ptr();
  a.n = rows.size(0), a.m = columns.size(0), a.D = rows.size(1), a.first = first;
  a.scale = 1 / temperature, a.format = format_of(rows);
  const double own = longest(rows), other = symmetric ? own : longest(columns);
  a.small = std::sqrt(own) * std::sqrt(other) * a.scale <= small_similarity;  // not for a NaN
  return a;
}

template <class Run>
void with_arithmetic(Format format, Run run) {
  format == Format::f64 ? run(double()) : run(float());
}

// lse [n] ← over all tiles that `cover` lays
template <class Cover>
void sums(Supcon& a, Tensor& lse, Cover cover) {
  std::vector<double> sum(a.n), most(a.n, a.small ? 0 : -infinity);
  a.sum = sum.data(), a.most = most.data();
  cover(a, SMOOTHSWAP_BEST(supcon_add_sums));
  with_arithmetic(a.format, [&](auto type) {
    auto* to = static_cast<decltype(type)*>(lse.mutable_data_ptr());
    // A maximum without a sum, or a sum without a maximum, is that of nothing, or of what is no number.
    for (int64_t i = 0; i < a.n; ++i)
      to[i] = static_cast<decltype(type)>(sum[i] == 0 ? -infinity : (most[i] > -infinity ? most[i] : 0) + std::log(sum[i]));
  });
}

// g and lse [n] as the kernels take them: vectors without others, or without a gradient, are to give exact zeros.
template <class A>
struct Weights {
  std::vector<A> g, lse;
  double least = infinity, most = -infinity, largest = 0;  // of lse and of |g|, where g counts

  Weights(const Tensor& g_given, const Tensor& lse_given) : g(g_given.numel()), lse(g_given.numel()) {
    const A *from = static_cast<const A*>(g_given.const_data_ptr()), *sums = static_cast<const A*>(lse_given.const_data_ptr());
    for (size_t i = 0; i < g.size(); ++i) {
      const bool off = from[i] == 0 || sums[i] == -std::numeric_limits<A>::infinity();
      g[i] = off ? A(0) : from[i], lse[i] = off ? std::numeric_limits<A>::infinity() : sums[i];
      if (off) continue;
      least = std::min(least, double(lse[i])), most = std::max(most, double(lse[i]));
      largest = std::max(largest, std::abs(double(g[i])));
    }
  }
  // g ← g · factor, and with small similarities g · factor · e^−lse
  void finish(double factor, bool small) {
    for (size_t i = 0; i < g.size(); ++i) g[i] = A(double(g[i]) * factor * (small ? std::exp(-double(lse[i])) : 1));
  }
};

// drows ← over all tiles that `cover` lays; columns' g and lse are those of the rows in the symmetric form
template <class Cover>
void gradients(Supcon& a, Tensor& drows, const Tensor& g_rows, const Tensor& lse_rows, const Tensor* g_columns,
               const Tensor* lse_columns, Cover cover) {
  void* out = drows.mutable_data_ptr();
  const size_t bytes = size_t(drows.numel()) * drows.element_size();
  prefer_huge_pages(out, bytes);
  a.drows = out;
  with_arithmetic(a.format, [&](auto type) {
    using A = decltype(type);
    Weights<A> rows(g_rows, lse_rows), others = g_columns ? Weights<A>(*g_columns, *lse_columns) : Weights<A>(rows);
    // Where lse is that of other similarities than these, e^−lse may leave the range.
    a.small = a.small && std::min(rows.least, others.least) >= -1.2 * small_similarity &&
              std::max(rows.most, others.most) <= 2 * small_similarity;
    // A power of 2 keeps weights in range, and costs no digits.
    const double largest = std::max(rows.largest, others.largest) * a.scale;
    const double power = largest > 0 && std::isfinite(largest) ? std::exp2(-std::floor(std::log2(largest))) : 1;
    const double unit = power < 0x1p-30 || power > 0x1p30 ? power : 1;
    rows.finish(a.scale * unit, a.small), others.finish(a.scale * unit, a.small);
    a.g_rows = rows.g.data(), a.lse_rows = rows.lse.data(), a.g_columns = others.g.data(), a.lse_columns = others.lse.data();
    const int64_t size = drows.numel();
    torch::stable::parallel_for(0, size, 1 << 18, [&](int64_t begin, int64_t end) {
      std::memset(static_cast<A*>(out) + begin, 0, size_t(end - begin) * sizeof(A));
    });
    cover(a, SMOOTHSWAP_BEST(supcon_add_gradients));
    if (unit != 1)
      torch::stable::parallel_for(0, size, 1 << 18, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) static_cast<A*>(out)[i] = A(static_cast<A*>(out)[i] / unit);
      });
  });
}

constexpr auto triangle = [](const Supcon& a, auto play) { over_triangle(a, play); };
constexpr auto rectangle = [](const Supcon& a, auto play) { over_rectangle(a, play); };

// All tensors contiguous; vectors in any format, lse, g and gradients in that of the arithmetic.
void supcon_lse(const Tensor z, Tensor lse, double temperature) {
  Supcon a = arguments_of(z, z, 0, temperature, true);
  sums(a, lse, triangle);
}
void supcon_lse_grad(const Tensor g, const Tensor z, const Tensor lse, Tensor dz, double temperature) {
  Supcon a = arguments_of(z, z, 0, temperature, true);
  gradients(a, dz, g, lse, nullptr, nullptr, triangle);
}
void supcon_rows_lse(const Tensor rows, const Tensor columns, Tensor lse, int64_t first, double temperature) {
  Supcon a = arguments_of(rows, columns, first, temperature, false);
  sums(a, lse, rectangle);
}
void supcon_rows_grad(const Tensor g_rows, const Tensor lse_rows, const Tensor rows, const Tensor g_columns,
                      const Tensor lse_columns, const Tensor columns, Tensor drows, int64_t first, double temperature) {
  Supcon a = arguments_of(rows, columns, first, temperature, false);
  gradients(a, drows, g_rows, lse_rows, &g_columns, &lse_columns, rectangle);
}

}  // namespace
}  // namespace smoothswap

STABLE_TORCH_LIBRARY_FRAGMENT(smoothswap_native, m) {
  m.def("supcon_lse(Tensor z, Tensor(a!) lse, float temperature) -> ()");
  m.def("supcon_lse_grad(Tensor g, Tensor z, Tensor lse, Tensor(a!) dz, float temperature) -> ()");
  m.def("supcon_rows_lse(Tensor rows, Tensor columns, Tensor(a!) lse, int first, float temperature) -> ()");
  m.def(
      "supcon_rows_grad(Tensor g_rows, Tensor lse_rows, Tensor rows, Tensor g_columns, Tensor lse_columns, Tensor columns, "
      "Tensor(a!) drows, int first, float temperature) -> ()");
}
STABLE_TORCH_LIBRARY_IMPL(smoothswap_native, CPU, m) {
  m.impl("supcon_lse", TORCH_BOX(&smoothswap::supcon_lse));
  m.impl("supcon_lse_grad", TORCH_BOX(&smoothswap::supcon_lse_grad));
  m.impl("supcon_rows_lse", TORCH_BOX(&smoothswap::supcon_rows_lse));
  m.impl("supcon_rows_grad", TORCH_BOX(&smoothswap::supcon_rows_grad));
}
