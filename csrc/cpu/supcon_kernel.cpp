// supcon_loss on the CPU. The naive version, in stock PyTorch, holds N × N similarities several times over and computes
//
//     forward    S = Z Zᵀ                                              2 N²D
//     backward   dZ = (G + Gᵀ) Z, as two products                      4 N²D
//
// Here S is never whole. It is symmetric, so a tile off the diagonal is computed once, exponentiated once and added to the
// sums of its rows and of its columns: N²D. The backward pass computes each tile again, makes
// G_ij = e^s_ij (g_i e^−lse_i + g_j e^−lse_j) of it in place, which is symmetric too, and multiplies it by the vectors of
// either side: 3 N²D. Traffic is that of two packed blocks per tile, 1 / block of the arithmetic.

#include "supcon_kernel.h"

#include "../common/exponentials.h"
#include "../common/panels.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

constexpr int64_t line = supcon_block + 16;   // between the rows of a tile: not a power of 2, for the cache's sake
constexpr int64_t step = supcon_depth + 16;   // between packed rows

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t whole(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
template <class A>
constexpr A infinity = A(__builtin_inf());

template <class A>
struct Scratch {
  A* s;       // [block][line] similarities
  A* packed;  // [block][step] rows
  A* panels;  // [block · depth]
  A* side;    // [2][block] sums and maxima of the columns
  explicit Scratch(void* memory)
      : s(static_cast<A*>(memory)),
        packed(s + supcon_similarities),
        panels(packed + supcon_block * step),
        side(panels + supcon_block * supcon_depth) {}
};

template <class A>
A total(const A* v, int64_t n) {  // n in whole panels
  A part[panel_width<A>] = {};
  for (int64_t i = 0; i < n; i += panel_width<A>)
    for (int k = 0; k < panel_width<A>; ++k) part[k] += v[i + k];
  for (int width = panel_width<A> / 2; width > 0; width /= 2)
    for (int k = 0; k < width; ++k) part[k] += part[k + width];
  return part[0];
}
template <class A>
A highest(const A* v, int64_t n) {
  A part[panel_width<A>];
  for (int k = 0; k < panel_width<A>; ++k) part[k] = -infinity<A>;
  for (int64_t i = 0; i < n; i += panel_width<A>)
    for (int k = 0; k < panel_width<A>; ++k) part[k] = v[i + k] > part[k] ? v[i + k] : part[k];
  for (int width = panel_width<A> / 2; width > 0; width /= 2)
    for (int k = 0; k < width; ++k) part[k] = part[k + width] > part[k] ? part[k + width] : part[k];
  return part[0];
}

// s [rows][line] ← x_i·y_j, without the scale; columns are filled up to whole panels with zeros.
template <class T, class A>
void multiply(const Supcon& a, const SupconTile& t, const Scratch<A>& scratch) {
  const T* x = static_cast<const T*>(a.rows) + t.row * a.D;
  const T* y = static_cast<const T*>(a.columns) + t.column * a.D;
  // Of a symmetric tile the part right of the diagonal is enough.
  const bool symmetric = x == y && a.first == 0 && t.rows == t.columns;
  for (int64_t d = 0; d < a.D || d == 0; d += supcon_depth) {
    const int64_t depth = least(supcon_depth, a.D - d);
    pack_rows(x + d, a.D, t.rows, depth, scratch.packed, step);
    pack_transposed(y + d, a.D, t.columns, depth, scratch.panels);
    for (int64_t j = 0; j < t.columns; j += panel_width<A>)
      for (int64_t i = 0; i < t.rows && (!symmetric || i < j + panel_width<A>); i += panel_rows) {
        const A *from = scratch.packed + i * step, *panel = scratch.panels + j * depth;
        if (d == 0)
          multiply_panel<false, step, 1>(from, panel, depth, scratch.s + i * line + j, line);
        else
          multiply_panel<true, step, 1>(from, panel, depth, scratch.s + i * line + j, line);
      }
  }
  if (symmetric)
    for (int64_t i = 1; i < t.rows; ++i)
      for (int64_t j = 0; j < i; ++j) scratch.s[i * line + j] = scratch.s[j * line + i];
}

// The column of row i of the tile that is the row itself; a negative number, or one beyond the tile, where there is none
inline int64_t own(const Supcon& a, const SupconTile& t, int64_t i) { return a.first + t.row + i - t.column; }

template <class A>
void add_small_sums(const Supcon& a, const SupconTile& t, const Scratch<A>& scratch) {
  const int64_t width = whole(t.columns, panel_width<A>);
  A* below = scratch.side;
  for (int64_t j = 0; j < width; ++j) below[j] = 0;
  for (int64_t i = 0; i < t.rows; ++i) {
    A* e = scratch.s + i * line;
    exponentials(e, A(a.scale), width);
    const int64_t self = own(a, t, i);
    if (self >= 0 && self < t.columns) e[self] = 0;
    for (int64_t j = t.columns; j < width; ++j) e[j] = 0;
    a.sum[t.row + i] += total(e, width);
    if (t.mutual)
      for (int64_t j = 0; j < width; ++j) below[j] += e[j];
  }
  if (t.mutual)
    for (int64_t j = 0; j < t.columns; ++j) a.sum[t.column + j] += below[j];
}

// Σ e^(s − most) over more values, of which `more` is the largest: the sum so far is brought to the new maximum.
inline double raise(double& most, double& sum, double more) {
  if (more > most) {
    sum = sum > 0 ? sum * exp(most - more) : sum;
    most = more;
  }
  return most;
}

// What is subtracted: where there is no maximum, of nothing or of NaNs, the one adds 0 then and the other shows.
template <class A>
inline A base(A most) {
  return most > -infinity<A> ? most : A(0);
}

template <class A>
void add_any_sums(const Supcon& a, const SupconTile& t, const Scratch<A>& scratch) {
  const int64_t width = whole(t.columns, panel_width<A>);
  A *below = scratch.side, *top = scratch.side + supcon_block, *e = scratch.packed;
  for (int64_t j = 0; j < width; ++j) top[j] = -infinity<A>, below[j] = 0;
  for (int64_t i = 0; i < t.rows; ++i) {
    A* s = scratch.s + i * line;
    for (int64_t j = 0; j < width; ++j) s[j] *= A(a.scale);
    const int64_t self = own(a, t, i);
    if (self >= 0 && self < t.columns) s[self] = -infinity<A>;
    for (int64_t j = t.columns; j < width; ++j) s[j] = -infinity<A>;
    const A most = base(A(raise(a.most[t.row + i], a.sum[t.row + i], highest(s, width))));
    for (int64_t j = 0; j < width; ++j) e[j] = s[j] - most;
    exponentials(e, A(1), width);
    a.sum[t.row + i] += total(e, width);
    if (t.mutual)
      for (int64_t j = 0; j < width; ++j) top[j] = s[j] > top[j] ? s[j] : top[j];
  }
  if (!t.mutual) return;
  for (int64_t j = 0; j < t.columns; ++j) top[j] = base(A(raise(a.most[t.column + j], a.sum[t.column + j], top[j])));
  for (int64_t i = 0; i < t.rows; ++i) {
    const A* s = scratch.s + i * line;
    for (int64_t j = 0; j < width; ++j) e[j] = s[j] - top[j];
    exponentials(e, A(1), width);
    for (int64_t j = 0; j < width; ++j) below[j] += e[j];
  }
  for (int64_t j = 0; j < t.columns; ++j) a.sum[t.column + j] += below[j];
}

// G in place of the similarities
template <class A>
void make_weights(const Supcon& a, const SupconTile& t, const Scratch<A>& scratch) {
  const A *g_rows = static_cast<const A*>(a.g_rows) + t.row, *lse_rows = static_cast<const A*>(a.lse_rows) + t.row;
  const A *g_columns = static_cast<const A*>(a.g_columns) + t.column;
  const A *lse_columns = static_cast<const A*>(a.lse_columns) + t.column;
  const int64_t width = whole(t.columns, panel_width<A>);
  A* e = scratch.packed;
  for (int64_t i = 0; i < t.rows; ++i) {
    A* s = scratch.s + i * line;
    if (a.small) {
      exponentials(s, A(a.scale), width);
      for (int64_t j = 0; j < t.columns; ++j) s[j] *= g_rows[i] + g_columns[j];
    } else {
      // Rounded as it was when lse was taken, in a loop of its own: a fused multiply-add would differ by what a large s loses.
      for (int64_t j = 0; j < t.columns; ++j) s[j] *= A(a.scale);
      for (int64_t j = 0; j < t.columns; ++j) e[j] = s[j] - lse_rows[i], s[j] -= lse_columns[j];
      // No s is above its lse, but by what both lose to rounding where they are huge, and that of a pair that is left out.
      for (int64_t j = 0; j < t.columns; ++j) e[j] = e[j] > 0 ? A(0) : e[j], s[j] = s[j] > 0 ? A(0) : s[j];
      exponentials(e, A(1), t.columns);
      exponentials(s, A(1), t.columns);
      for (int64_t j = 0; j < t.columns; ++j) s[j] = g_rows[i] * e[j] + g_columns[j] * s[j];
    }
    const int64_t self = own(a, t, i);
    if (self >= 0 && self < t.columns) s[self] = 0;
  }
}

template <class T, class A>
void add_products(const Supcon& a, const SupconTile& t, const Scratch<A>& scratch) {
  const T* x = static_cast<const T*>(a.rows) + t.row * a.D;
  const T* y = static_cast<const T*>(a.columns) + t.column * a.D;
  A* dx = static_cast<A*>(a.drows) + t.row * a.D;
  A* dy = static_cast<A*>(a.drows) + t.column * a.D;
  // Some panels at a time: of each vector several lines in a row are read, which the processor fetches ahead.
  constexpr int64_t width = 4 * panel_width<A>;
  static_assert(width <= supcon_depth);
  for (int64_t d = 0; d < a.D; d += width) {
    const int64_t depth = least(width, a.D - d);
    const auto over_panels = [&](int64_t K, int64_t rows, auto multiply) {
      for (int64_t p = 0; p < depth; p += panel_width<A>)
        for (int64_t i = 0; i < rows; i += panel_rows)
          multiply(i, d + p, scratch.panels + p * K, least(panel_rows, rows - i), least(panel_width<A>, depth - p));
    };
    pack_panels(y + d, a.D, t.columns, depth, scratch.panels);
    over_panels(t.columns, t.rows, [&](int64_t i, int64_t at, const A* panel, int64_t rows, int64_t columns) {
      multiply_panel<true, line, 1>(scratch.s + i * line, panel, t.columns, dx + i * a.D + at, a.D, rows, columns);
    });
    if (!t.mutual) continue;
    pack_panels(x + d, a.D, t.rows, depth, scratch.panels);
    over_panels(t.rows, t.columns, [&](int64_t j, int64_t at, const A* panel, int64_t rows, int64_t columns) {
      multiply_panel<true, 1, line>(scratch.s + j, panel, t.rows, dy + j * a.D + at, a.D, rows, columns);
    });
  }
}

template <class T>
double longest(const T* z, int64_t D, int64_t begin, int64_t end) {
  using A = Wide<T>;
  double most = 0;
  for (int64_t i = begin; i < end; ++i) {
    Vector<A> sum = {};
    for (int64_t k = 0; k < D; k += lanes<A>) {
      const Vector<A> v = load_some(z + i * D + k, D - k);
      sum += v * v;
    }
    double square = 0;
    for (int k = 0; k < lanes<A>; ++k) square += double(sum[k]);
    most = square <= most ? most : square;  // a NaN stays
    if (most != most) return most;
  }
  return most;
}

template <class T>
void add_sums(const Supcon& a, const SupconTile& t, void* memory) {
  const Scratch<Wide<T>> scratch(memory);
  multiply<T>(a, t, scratch);
  a.small ? add_small_sums(a, t, scratch) : add_any_sums(a, t, scratch);
}
template <class T>
void add_gradients(const Supcon& a, const SupconTile& t, void* memory) {
  const Scratch<Wide<T>> scratch(memory);
  multiply<T>(a, t, scratch);
  make_weights(a, t, scratch);
  add_products<T>(a, t, scratch);
}

}  // namespace

double supcon_longest(const void* z, int64_t D, Format format, int64_t begin, int64_t end) {
  return with_type(format, [&](auto t) { return longest(static_cast<const decltype(t)*>(z), D, begin, end); });
}
void supcon_add_sums(const Supcon& a, const SupconTile& t, void* scratch) {
  with_type(a.format, [&](auto type) { add_sums<decltype(type)>(a, t, scratch); });
}
void supcon_add_gradients(const Supcon& a, const SupconTile& t, void* scratch) {
  with_type(a.format, [&](auto type) { add_gradients<decltype(type)>(a, t, scratch); });
}

}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
