// Sums over the positives of each vector, see the interface. A run is walked twice: once for its sums, which stay in the
// cache, and once for what its members make of them.

#include "positives_kernel.h"

#include <stdlib.h>

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

constexpr int64_t beside = 16;  // sums that run beside each other

struct Sums {
  double* data;
  explicit Sums(int64_t n) : data(static_cast<double*>(malloc(size_t(n + 1) * sizeof(double)))) {}
  ~Sums() { free(data); }
  Sums(const Sums&) = delete;
  Sums& operator=(const Sums&) = delete;
  void clear(int64_t n) {
    for (int64_t k = 0; k < n; ++k) data[k] = 0;
  }
};

template <class T>
const T* vector_of(const Positives& a, int64_t i) {
  return static_cast<const T*>(a.z) + i * a.D;
}
template <class T>
double factor_of(const Positives& a, int64_t i) {
  return static_cast<const Wide<T>*>(a.a)[i];
}

// sum [n] += factor · z [n]
template <class T>
inline void add(const T* __restrict z, double factor, double* __restrict sum, int64_t n) {
  for (int64_t k = 0; k < n; ++k) sum[k] += factor * double(load(z + k));
}
// Σ z_k (sum_k − less · z_k)
template <class T>
inline double dot(const T* __restrict z, const double* __restrict sum, double less, int64_t n) {
  double part[beside] = {};
  int64_t k = 0;
  for (; k + beside <= n; k += beside)
    for (int64_t i = 0; i < beside; ++i) {
      const double v = double(load(z + k + i));
      part[i] += v * (sum[k + i] - less * v);
    }
  for (int64_t i = 0; k + i < n; ++i) {
    const double v = double(load(z + k + i));
    part[i] += v * (sum[k + i] - less * v);
  }
  for (int64_t width = beside / 2; width > 0; width /= 2)
    for (int64_t i = 0; i < width; ++i) part[i] += part[i + width];
  return part[0];
}

template <class T>
void dots_of_labels(const Positives& a, int64_t begin, int64_t end) {
  Sums sum(a.D);
  auto* out = static_cast<Wide<T>*>(a.out);
  for (int64_t run = begin; run < end; ++run) {
    const int64_t *member = a.runs.members + a.runs.offsets[run], *last = a.runs.members + a.runs.offsets[run + 1];
    sum.clear(a.D);
    // One alone has none: an exact zero, which the rounding of sums would miss.
    if (last - member < 2) {
      for (; member < last; ++member) out[*member] = 0;
      continue;
    }
    for (const int64_t* i = member; i < last; ++i) add(vector_of<T>(a, *i), 1, sum.data, a.D);
    for (const int64_t* i = member; i < last; ++i) out[*i] = Wide<T>(dot(vector_of<T>(a, *i), sum.data, 1, a.D));
  }
}

template <class T>
void pull_of_labels(const Positives& a, int64_t begin, int64_t end) {
  Sums sum(a.D), weighted(a.D);
  for (int64_t run = begin; run < end; ++run) {
    const int64_t *member = a.runs.members + a.runs.offsets[run], *last = a.runs.members + a.runs.offsets[run + 1];
    sum.clear(a.D), weighted.clear(a.D);
    if (last - member >= 2)
      for (const int64_t* i = member; i < last; ++i) {
        add(vector_of<T>(a, *i), 1, sum.data, a.D);
        add(vector_of<T>(a, *i), factor_of<T>(a, *i), weighted.data, a.D);
      }
    for (const int64_t* i = member; i < last; ++i) {
      const T* __restrict z = vector_of<T>(a, *i);
      Wide<T>* __restrict out = static_cast<Wide<T>*>(a.out) + *i * a.D;
      const double *s = sum.data, *w = weighted.data, factor = last - member >= 2 ? factor_of<T>(a, *i) : 0;
      for (int64_t k = 0; k < a.D; ++k) {
        const double v = double(load(z + k));
        out[k] = Wide<T>(factor * (s[k] - v) + (w[k] - factor * v));
      }
    }
  }
}

template <class T>
void dots_of_lists(const Positives& a, int64_t begin, int64_t end) {
  Sums sum(a.D);
  for (int64_t i = begin; i < end; ++i) {
    sum.clear(a.D);
    for (int64_t k = a.runs.offsets[i]; k < a.runs.offsets[i + 1]; ++k)
      add(vector_of<T>(a, a.runs.members[k]), 1, sum.data, a.D);
    static_cast<Wide<T>*>(a.out)[i] = Wide<T>(dot(vector_of<T>(a, i), sum.data, 0, a.D));
  }
}

template <class T>
void pull_of_lists(const Positives& a, int64_t begin, int64_t end) {
  Sums sum(a.D);
  for (int64_t i = begin; i < end; ++i) {
    sum.clear(a.D);
    const double factor = factor_of<T>(a, i);
    for (int64_t k = a.runs.offsets[i]; k < a.runs.offsets[i + 1]; ++k)
      add(vector_of<T>(a, a.runs.members[k]), factor, sum.data, a.D);
    for (int64_t k = a.back.offsets[i]; k < a.back.offsets[i + 1]; ++k)
      add(vector_of<T>(a, a.back.members[k]), factor_of<T>(a, a.back.members[k]), sum.data, a.D);
    Wide<T>* __restrict out = static_cast<Wide<T>*>(a.out) + i * a.D;
    for (int64_t k = 0; k < a.D; ++k) out[k] = Wide<T>(sum.data[k]);
  }
}

}  // namespace

void same_label_dots(const Positives& a, int64_t begin, int64_t end) {
  with_type(a.format, [&](auto t) { dots_of_labels<decltype(t)>(a, begin, end); });
}
void same_label_pull(const Positives& a, int64_t begin, int64_t end) {
  with_type(a.format, [&](auto t) { pull_of_labels<decltype(t)>(a, begin, end); });
}
void listed_dots(const Positives& a, int64_t begin, int64_t end) {
  with_type(a.format, [&](auto t) { dots_of_lists<decltype(t)>(a, begin, end); });
}
void listed_pull(const Positives& a, int64_t begin, int64_t end) {
  with_type(a.format, [&](auto t) { pull_of_lists<decltype(t)>(a, begin, end); });
}

}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
