// Polyphase form of one axis of upfirdn2d: outputs whose distance is P = up / gcd(up, down) use the same taps, on
// inputs that lie S = down / gcd apart, and meet none of the zeros between the pixels.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "upfirdn2d_kernel.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

// Taps [n] of one phase and the input `first` that meets taps[0] at the phase's first output.
template <class A>
struct Phase {
  int64_t first, n;
  std::vector<A> taps;
};

// Output p + k·P takes phase p, shifted by k·S inputs. The inputs that any output touches are [−left, in + right).
template <class A>
struct Polyphase {
  int64_t P, S, left = 0, right = 0;
  std::vector<Phase<A>> phases;

  Polyphase(const Axis& axis, const double* f, int64_t stride) {
    const int64_t g = std::gcd(axis.up, axis.down);
    P = axis.up / g;
    S = axis.down / g;
    for (int64_t p = 0; p < std::min(P, axis.out); ++p) {
      const int64_t start = p * axis.down - axis.pad;  // in the upsampled image
      const int64_t skip = ((-start) % axis.up + axis.up) % axis.up;
      Phase<A> phase{(start + skip) / axis.up, 0, {}};
      for (int64_t k = skip; k < axis.taps; k += axis.up) phase.taps.push_back(A(f[k * stride]));
      phase.n = int64_t(phase.taps.size());
      const int64_t last = phase.first + (axis.out - 1 - p) / P * S + phase.n;
      left = std::max(left, -phase.first);
      right = std::max(right, last - axis.in);
      phases.push_back(std::move(phase));
    }
  }
  int64_t first(int64_t j) const { return phases[j % P].first + j / P * S; }
  // The inputs [first, second) that outputs [begin, end) touch.
  std::pair<int64_t, int64_t> inputs(int64_t begin, int64_t end) const {
    int64_t lo = first(begin), hi = lo;
    for (int64_t j = begin; j < std::min(begin + P, end); ++j) {
      const int64_t last = j + (end - 1 - j) / P * P;
      lo = std::min(lo, first(j));
      hi = std::max(hi, first(last) + phases[j % P].n);
    }
    return {lo, hi};
  }
  // Taps of every phase, or 0 where the phases differ.
  int64_t common_taps() const {
    for (const auto& phase : phases)
      if (phase.n != phases[0].n) return 0;
    return phases[0].n;
  }
};

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
