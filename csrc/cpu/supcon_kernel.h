// Interface between the binding and the kernels of supcon_loss, which are compiled once for each instruction set.
//
// Letters: n rows and m columns, both vectors of D values; s_ij = x_i·y_j · scale with scale = 1/τ. Similarities exist one
// tile at a time: block × block of them. In the symmetric form rows and columns are the same vectors, and a tile off the
// diagonal serves both of its sides.
#pragma once

#include <cstdint>

#include "../common/numbers.h"

namespace smoothswap {

struct Supcon {
  const void* rows;     // x [n, D]
  const void* columns;  // y [m, D]
  int64_t n, m, D;
  int64_t first;        // column first + i is row i itself and left out
  double scale;
  Format format;
  // Whether e^s neither over- nor underflows, whatever the pair: then no maximum is kept, and one exp serves a pair.
  bool small;
  // lse: Σ e^(s − maximum) and the maxima, −∞ at first; [n] and, in the symmetric form, the same arrays. With small
  // similarities the maxima are not used and the sums are those of e^s.
  double* sum;
  double* most;
  // Gradients, in the arithmetic's type: with small similarities g·e^−lse in place of g, and lse is not used.
  const void* g_rows;       // [n]
  const void* lse_rows;     // [n]
  const void* g_columns;    // [m]
  const void* lse_columns;  // [m]
  void* drows;              // [n, D], added to; in the symmetric form the columns' gradient too
};

struct SupconTile {
  int64_t row, rows, column, columns;  // beginnings and sizes, the latter at most supcon_block
  bool mutual;                         // the columns are rows as well: add to their side too
};

constexpr int64_t supcon_block = 192;  // a multiple of all panels
// Values of scratch, in the arithmetic's type, zeros at first
constexpr int64_t supcon_similarities = supcon_block * (supcon_block + 16);
constexpr int64_t supcon_depth = 256;  // of D values packed at a time
constexpr int64_t supcon_scratch = supcon_similarities + supcon_block * (2 * supcon_depth + 16) + 2 * supcon_block;

// Of vectors begin … end − 1 of z [n, D]: the largest squared length
SMOOTHSWAP_FOR_EVERY_ISA(double supcon_longest(const void* z, int64_t D, Format format, int64_t begin, int64_t end))
SMOOTHSWAP_FOR_EVERY_ISA(void supcon_add_sums(const Supcon& a, const SupconTile& t, void* scratch))
SMOOTHSWAP_FOR_EVERY_ISA(void supcon_add_gradients(const Supcon& a, const SupconTile& t, void* scratch))

}  // namespace smoothswap
