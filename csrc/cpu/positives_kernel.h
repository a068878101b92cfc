// Interface between the binding and the kernels of supcon_loss's positives, which are compiled once for each instruction set.
//
// With P(i) the positives of i and A v the sums of v over P(i), for vectors z [N, D]:
//
//     dots_i = z_i·(A z)_i        pull_i = a_i (A z)_i + (Aᵀ (a z))_i
//
// A is given by runs (offsets, members): either of equal labels, where P(i) is the rest of the run that holds i, or of lists,
// where run i is P(i) itself and the transposed lists say who names i. A v is not kept: traffic is that of the vectors, read
// twice, and sums are in fp64.
#pragma once

#include <cstdint>

#include "../common/numbers.h"

namespace smoothswap {

struct Runs {
  const int64_t* offsets;  // [runs + 1]
  const int64_t* members;  // vectors
};
struct Positives {
  const void* z;  // [N, D]
  const void* a;  // [N] in the arithmetic's type; pull only
  void* out;      // dots [N] or pull [N, D] in the arithmetic's type
  int64_t D;
  Format format;
  Runs runs;
  Runs back;  // of lists, pull only: those that name i
};

// Runs begin … end − 1
SMOOTHSWAP_FOR_EVERY_ISA(void same_label_dots(const Positives& a, int64_t begin, int64_t end))
SMOOTHSWAP_FOR_EVERY_ISA(void same_label_pull(const Positives& a, int64_t begin, int64_t end))
SMOOTHSWAP_FOR_EVERY_ISA(void listed_dots(const Positives& a, int64_t begin, int64_t end))
SMOOTHSWAP_FOR_EVERY_ISA(void listed_pull(const Positives& a, int64_t begin, int64_t end))

}  // namespace smoothswap
