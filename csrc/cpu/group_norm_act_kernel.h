// Interface between the binding and the kernels of group_norm_act, which are compiled once for each instruction set.
//
// Letters: B pictures, C channels in G groups of D = C / G, S positions. A unit is what has statistics of its own and lies
// together in memory: a group of a picture in [B, C, S], a whole picture in [B, S, C]. A unit is worked on in chunks whose
// borders depend on the shape alone, and partial sums are added in their order: threads do not change a bit.
#pragma once

#include <cstdint>

#include "../common/numbers.h"

namespace smoothswap {

enum class GroupActivation : int32_t { piecewise, swish };  // slope · v below zero and v above, or v · sigmoid(v)

// y = φ((x − mean) · rstd · weight + bias), with the mean and the deviation of each group of each picture.
struct GroupNormAct {
  const void* x;         // [B, C, S] or [B, S, C]
  const void* g;         // gradient of y, like x; backward only
  void* out;             // forward: y, backward: dx; like x
  const void* weight;    // [C] or null; fp32, for fp64 fp64, as the statistics
  const void* bias;      // [C] or null
  void* mean;            // [B, G]; forward writes, backward reads
  void* rstd;            // [B, G]
  void* dweight;         // [C], backward only
  void* dbias;           // [C], backward only
  double* partial;       // scratch [units, chunks, partials]
  double* sums;          // scratch [B, C, 2], backward only
  double* means;         // scratch [B, G, 2], backward only
  int64_t B, C, G, D, S;
  double eps, slope;
  GroupActivation act;
  Format format;
  bool channels_last;
  int64_t units, chunks, partials;  // partials: sums of a chunk; both of this direction, forward or backward
};

constexpr int64_t group_norm_piece = 4096;  // values of a chunk in [B, C, S], at most; backward within one channel

// Chunks [begin, end) of one unit, in three phases each: sums by chunk, their meaning for the unit, the result by chunk.
SMOOTHSWAP_FOR_EVERY_ISA(void group_norm_moments(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end))
SMOOTHSWAP_FOR_EVERY_ISA(void group_norm_statistics(const GroupNormAct& a, int64_t unit))
SMOOTHSWAP_FOR_EVERY_ISA(void group_norm_apply(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end))
SMOOTHSWAP_FOR_EVERY_ISA(void group_norm_grad_sums(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end))
SMOOTHSWAP_FOR_EVERY_ISA(void group_norm_grad_means(const GroupNormAct& a, int64_t unit))
SMOOTHSWAP_FOR_EVERY_ISA(void group_norm_grad_apply(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end))
// dweight and dbias from all units' sums
SMOOTHSWAP_FOR_EVERY_ISA(void group_norm_grad_weights(const GroupNormAct& a))

}  // namespace smoothswap
