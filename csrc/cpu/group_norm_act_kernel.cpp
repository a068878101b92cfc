// GroupNorm and activation on the CPU. The naive version, in stock PyTorch, forward and backward:
//
//     y = silu(group_norm(x))                   x read twice, the norm written, read, y written             5 units of traffic
//     dv = silu'(v)·g; dx = group_norm'(dv)     v and g read, dv written, then x and dv read twice, dx written           8
//
// Here x is read from memory once where a unit (a group; channels_last: a picture) fits the cache: its moments, then at once
// the result: 2 units of traffic forward, 3 backward (x, g, dx), and v is not kept. Moments are taken about a value
// of the chunk itself, and chunks joined in fp64, so that a large mean costs no digits.
//
// Backward, with x̂ = (x − mean)·rstd, v = γ·x̂ + β, dv = g·φ'(v):  dβ = Σ dv,  dγ = Σ dv·x̂,
//     dx = rstd·(γ·dv − mean(γ·dv) − x̂·mean(γ·dv·x̂)).
// The first phase leaves dv in dx's memory, where the second finds it; in 16 bits it is computed twice instead.

#include "group_norm_act_kernel.h"

#include <stdlib.h>

#include <type_traits>

#include "../common/sigmoids.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

constexpr int64_t block_length = 128;  // values between two steps of a loop, in L1
constexpr int64_t lanes = block_length;  // sums that run beside each other
constexpr int64_t row_length = 128;  // channels_last: positions are joined to rows of about this many values

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

template <class A>
struct Array {
  A* data;
  explicit Array(int64_t n) : data(static_cast<A*>(aligned_alloc(64, size_t(n * sizeof(A) + 63) / 64 * 64))) {}
  ~Array() { free(data); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
};

// v[i] ← φ(v[i]), i < n ≤ block_length
template <GroupActivation act, class A>
inline void activate(A* __restrict v, A slope, int64_t n) {
  if constexpr (act == GroupActivation::swish) {
    alignas(64) A s[block_length];
    sigmoids(v, s, n);
    for (int64_t i = 0; i < n; ++i) v[i] *= s[i];
  } else {
    for (int64_t i = 0; i < n; ++i) v[i] = v[i] > 0 ? v[i] : v[i] * slope;  // −∞ does not occur: its group would be NaN
  }
}
// v[i] ← φ'(v[i])
template <GroupActivation act, class A>
inline void differentiate(A* __restrict v, A slope, int64_t n) {
  if constexpr (act == GroupActivation::swish) {
    alignas(64) A s[block_length];
    sigmoids(v, s, n);
    for (int64_t i = 0; i < n; ++i) v[i] = s[i] + s[i] * (v[i] - v[i] * s[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) v[i] = v[i] > 0 ? A(1) : v[i] == v[i] ? slope : v[i];
  }
}

template <class A>
double total(const A* sums) {  // [lanes]
  A half[lanes / 2];
  for (int64_t i = 0; i < lanes / 2; ++i) half[i] = sums[i] + sums[i + lanes / 2];
  for (int64_t width = lanes / 4; width >= 8; width /= 2)
    for (int64_t i = 0; i < width; ++i) half[i] += half[i + width];
  double sum = 0;
  for (int64_t i = 0; i < 8; ++i) sum += half[i];
  return sum;
}

// v = d · scale + shift with d = x − center: the constants of one channel of one picture.
template <class A>
struct Affine {
  A center, scale, shift;
};
template <class A>
Affine<A> affine(const GroupNormAct& a, int64_t picture, int64_t channel) {
  const int64_t group = picture * a.G + channel / a.D;
  const A mean = static_cast<const A*>(a.mean)[group], rstd = static_cast<const A*>(a.rstd)[group];
  const A gamma = a.weight ? static_cast<const A*>(a.weight)[channel] : A(1);
  const A beta = a.bias ? static_cast<const A*>(a.bias)[channel] : A(0);
  return {mean, rstd * gamma, beta};
}

// ---- [B, C, S]: a unit is a group of a picture, D · S values in a row

template <class T>
void moments_planar(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const int64_t size = a.D * a.S;
  for (int64_t chunk = begin; chunk < end; ++chunk) {
    const int64_t first = chunk * group_norm_piece, n = least(group_norm_piece, size - first);
    const T* __restrict x = static_cast<const T*>(a.x) + unit * size + first;
    const int64_t some = least(n, lanes);
    A center = 0;
    for (int64_t i = 0; i < some; ++i) center += load(x + i) / A(some);
    alignas(64) A sum[lanes] = {}, square[lanes] = {};
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
      for (int64_t k = 0; k < lanes; ++k) {
        const A d = load(x + i + k) - center;
        sum[k] += d;
        square[k] += d * d;
      }
    for (int64_t k = 0; i + k < n; ++k) {
      const A d = load(x + i + k) - center;
      sum[k] += d;
      square[k] += d * d;
    }
    const double mean = total(sum) / double(n), spread = total(square) - mean * mean * double(n);
    double* partial = a.partial + (unit * a.chunks + chunk) * 2;
    partial[0] = double(center) + mean;
    partial[1] = spread > 0 || spread != spread ? spread : 0;
  }
}

template <class T, GroupActivation act>
void apply_planar(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const int64_t size = a.D * a.S, picture = unit / a.G, channel = unit % a.G * a.D;
  const T* __restrict x = static_cast<const T*>(a.x) + unit * size;
  T* __restrict y = static_cast<T*>(a.out) + unit * size;
  const A slope = A(a.slope);
  // Backwards: what was read last is still near.
  int64_t last = least(end * group_norm_piece, size);
  while (last > begin * group_norm_piece) {
    const int64_t plane = (last - 1) / a.S, lowest = begin * group_norm_piece;
    int64_t first = plane * a.S > last - group_norm_piece ? plane * a.S : last - group_norm_piece;
    first = first < lowest ? lowest : first;
    const Affine<A> f = affine<A>(a, picture, channel + plane);
    for (int64_t i = first; i < last; i += block_length) {
      const int64_t n = least(block_length, last - i);
      alignas(64) A v[block_length];
      for (int64_t k = 0; k < n; ++k) v[k] = (load(x + i + k) - f.center) * f.scale + f.shift;
      activate<act>(v, slope, n);
      for (int64_t k = 0; k < n; ++k) store(y + i + k, v[k]);
    }
    last = first;
  }
}

template <class T, GroupActivation act>
void grad_sums_planar(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const int64_t pieces = a.chunks / a.D, picture = unit / a.G, channel = unit % a.G * a.D;
  const A slope = A(a.slope);
  for (int64_t chunk = begin; chunk < end; ++chunk) {
    const int64_t plane = chunk / pieces, inside = chunk % pieces * group_norm_piece;
    const int64_t n = least(group_norm_piece, a.S - inside), first = (unit * a.D + plane) * a.S + inside;
    const T* __restrict x = static_cast<const T*>(a.x) + first;
    const T* __restrict g = static_cast<const T*>(a.g) + first;
    T* __restrict dx = static_cast<T*>(a.out) + first;
    const Affine<A> f = affine<A>(a, picture, channel + plane);
    alignas(64) A sum[lanes] = {}, product[lanes] = {};
    for (int64_t i = 0; i < n; i += block_length) {
      const int64_t length = least(block_length, n - i);
      alignas(64) A v[block_length], d[block_length];
      for (int64_t k = 0; k < length; ++k) {
        d[k] = load(x + i + k) - f.center;
        v[k] = d[k] * f.scale + f.shift;
      }
      differentiate<act>(v, slope, length);
      for (int64_t k = 0; k < length; ++k) {
        const A dv = v[k] * load(g + i + k);
        if constexpr (std::is_same_v<T, A>) dx[i + k] = dv;
        sum[k] += dv;
        product[k] += dv * d[k];
      }
    }
    double* partial = a.partial + (unit * a.chunks + chunk) * 2;
    partial[0] = total(sum);
    partial[1] = total(product);
  }
}

template <class T, GroupActivation act>
void grad_apply_planar(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const int64_t pieces = a.chunks / a.D, picture = unit / a.G, channel = unit % a.G * a.D;
  const A slope = A(a.slope), rstd = static_cast<const A*>(a.rstd)[unit];
  const A shift = A(-a.means[2 * unit] * double(rstd)), tilt = A(-a.means[2 * unit + 1] * double(rstd));
  for (int64_t chunk = end - 1; chunk >= begin; --chunk) {
    const int64_t plane = chunk / pieces, inside = chunk % pieces * group_norm_piece;
    const int64_t n = least(group_norm_piece, a.S - inside), first = (unit * a.D + plane) * a.S + inside;
    const T* __restrict x = static_cast<const T*>(a.x) + first;
    const T* __restrict g = static_cast<const T*>(a.g) + first;
    T* __restrict dx = static_cast<T*>(a.out) + first;
    const Affine<A> f = affine<A>(a, picture, channel + plane);
    for (int64_t i = 0; i < n; i += block_length) {
      const int64_t length = least(block_length, n - i);
      if constexpr (std::is_same_v<T, A>) {
        for (int64_t k = i; k < i + length; ++k) dx[k] = dx[k] * f.scale + ((x[k] - f.center) * tilt + shift);
      } else {
        alignas(64) A v[block_length];
        for (int64_t k = 0; k < length; ++k) v[k] = (load(x + i + k) - f.center) * f.scale + f.shift;
        differentiate<act>(v, slope, length);
        for (int64_t k = 0; k < length; ++k)
          store(dx + i + k, load(g + i + k) * v[k] * f.scale + ((load(x + i + k) - f.center) * tilt + shift));
      }
    }
  }
}

// ---- [B, S, C]: a unit is a picture, and positions are joined to rows of `width` values, so that few channels, too, fill
// vectors; lane i of a row belongs to channel i % C.

struct Rows {
  int64_t width, positions;  // values of a row; positions of a chunk
  explicit Rows(const GroupNormAct& a) : positions((a.S + a.chunks - 1) / a.chunks) {
    const int64_t joined = row_length / a.C;
    width = a.C * (joined < 1 ? 1 : least(joined, positions));
  }
  int64_t first(const GroupNormAct& a, int64_t chunk) const { return least(a.S, chunk * positions) * a.C; }
};

// call(k, i, length) for the values [k, k + length) of n, which are the lanes from i on; length ≤ block_length
template <class Call>
inline void in_blocks(int64_t n, int64_t width, Call call) {
  for (int64_t r = 0; r < n; r += width)
    for (int64_t i = 0; i < width && r + i < n; i += block_length)
      call(r + i, i, least(least(block_length, width - i), n - r - i));
}

template <class T>
void moments_last(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const Rows rows(a);
  const int64_t width = rows.width, D = a.D;
  Array<A> sums(3 * width);
  Array<double> found(3 * a.G);
  A *__restrict center = sums.data, *__restrict sum = center + width, *__restrict square = sum + width;
  double *count = found.data, *mean = count + a.G, *spread = mean + a.G;
  for (int64_t chunk = begin; chunk < end; ++chunk) {
    const int64_t first = rows.first(a, chunk), n = rows.first(a, chunk + 1) - first;
    const T* __restrict x = static_cast<const T*>(a.x) + unit * a.S * a.C + first;
    for (int64_t i = 0; i < width; ++i) center[i] = i < n ? load(x + i) : A(0), sum[i] = square[i] = 0;
    for (int64_t r = 0; r < n; r += width) {
      const int64_t length = least(width, n - r);
      for (int64_t i = 0; i < length; ++i) {
        const A d = load(x + r + i) - center[i];
        sum[i] += d;
        square[i] += d * d;
      }
    }
    for (int64_t g = 0; g < a.G; ++g) count[g] = mean[g] = spread[g] = 0;
    // Lanes before `more` have one value more than the others. First the groups' means, then what the lanes add to them.
    const int64_t many = (n + width - 1) / width, more = n - (many - 1) * width;
    for (int64_t i = 0, channel = 0; i < width; ++i, channel = channel + 1 == a.C ? 0 : channel + 1) {
      const int64_t g = channel / D;
      const double m = double(many - (i >= more));
      count[g] += m;
      mean[g] += m * double(center[i]) + double(sum[i]);
    }
    for (int64_t g = 0; g < a.G; ++g) mean[g] /= count[g];
    for (int64_t i = 0, channel = 0; i < width; ++i, channel = channel + 1 == a.C ? 0 : channel + 1) {
      const int64_t g = channel / D;
      const double m = double(many - (i >= more)), off = double(center[i]) - mean[g];
      spread[g] += double(square[i]) + off * (2 * double(sum[i]) + m * off);  // Σ (d + off)²
    }
    double* partial = a.partial + (unit * a.chunks + chunk) * a.partials;
    for (int64_t g = 0; g < a.G; ++g) {
      partial[2 * g] = mean[g];
      partial[2 * g + 1] = spread[g] > 0 || spread[g] != spread[g] ? spread[g] : 0;
    }
  }
}

// The constants of each lane: Affine's, and with `grad` also shift and tilt of the gradient.
template <class A>
void lane_constants(const GroupNormAct& a, int64_t unit, int64_t width, bool grad, A* out) {  // [3 or 5, width]
  for (int64_t i = 0; i < width; ++i) {
    const int64_t channel = i % a.C, group = unit * a.G + channel / a.D;
    const Affine<A> f = affine<A>(a, unit, channel);
    out[i] = f.center, out[width + i] = f.scale, out[2 * width + i] = f.shift;
    if (!grad) continue;
    const double rstd = double(static_cast<const A*>(a.rstd)[group]);
    out[3 * width + i] = A(-a.means[2 * group] * rstd), out[4 * width + i] = A(-a.means[2 * group + 1] * rstd);
  }
}

template <class T, GroupActivation act>
void apply_last(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const Rows rows(a);
  const int64_t width = rows.width;
  Array<A> constants(3 * width);
  lane_constants(a, unit, width, false, constants.data);
  const A *__restrict center = constants.data, *__restrict scale = center + width, *__restrict shift = scale + width;
  const A slope = A(a.slope);
  for (int64_t chunk = end - 1; chunk >= begin; --chunk) {
    const int64_t first = rows.first(a, chunk), n = rows.first(a, chunk + 1) - first;
    const T* __restrict x = static_cast<const T*>(a.x) + unit * a.S * a.C + first;
    T* __restrict y = static_cast<T*>(a.out) + unit * a.S * a.C + first;
    in_blocks(n, width, [&](int64_t k, int64_t i, int64_t length) {
      const T* __restrict xs = x + k;
      alignas(64) A v[block_length];
      for (int64_t j = 0; j < length; ++j) v[j] = (load(xs + j) - center[i + j]) * scale[i + j] + shift[i + j];
      activate<act>(v, slope, length);
      for (int64_t j = 0; j < length; ++j) store(y + k + j, v[j]);
    });
  }
}

template <class T, GroupActivation act>
void grad_sums_last(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const Rows rows(a);
  const int64_t width = rows.width;
  Array<A> constants(5 * width);
  lane_constants(a, unit, width, false, constants.data);
  const A *__restrict center = constants.data, *__restrict scale = center + width, *__restrict shift = scale + width;
  A *__restrict sum = constants.data + 3 * width, *__restrict product = sum + width;
  const A slope = A(a.slope);
  for (int64_t chunk = begin; chunk < end; ++chunk) {
    const int64_t first = rows.first(a, chunk), n = rows.first(a, chunk + 1) - first;
    const T* __restrict x = static_cast<const T*>(a.x) + unit * a.S * a.C + first;
    const T* __restrict g = static_cast<const T*>(a.g) + unit * a.S * a.C + first;
    T* __restrict dx = static_cast<T*>(a.out) + unit * a.S * a.C + first;
    for (int64_t i = 0; i < width; ++i) sum[i] = product[i] = 0;
    in_blocks(n, width, [&](int64_t k, int64_t i, int64_t length) {
      alignas(64) A v[block_length], d[block_length];
      for (int64_t j = 0; j < length; ++j) {
        d[j] = load(x + k + j) - center[i + j];
        v[j] = d[j] * scale[i + j] + shift[i + j];
      }
      differentiate<act>(v, slope, length);
      for (int64_t j = 0; j < length; ++j) {
        const A dv = v[j] * load(g + k + j);
        if constexpr (std::is_same_v<T, A>) dx[k + j] = dv;
        sum[i + j] += dv;
        product[i + j] += dv * d[j];
      }
    });
    double* partial = a.partial + (unit * a.chunks + chunk) * a.partials;
    for (int64_t c = 0; c < a.C; ++c) {
      double s = 0, p = 0;
      for (int64_t i = c; i < width; i += a.C) s += double(sum[i]), p += double(product[i]);
      partial[2 * c] = s, partial[2 * c + 1] = p;
    }
  }
}

template <class T, GroupActivation act>
void grad_apply_last(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const Rows rows(a);
  const int64_t width = rows.width;
  Array<A> constants(5 * width);
  lane_constants(a, unit, width, true, constants.data);
  const A *__restrict center = constants.data, *__restrict scale = center + width, *__restrict shift = scale + width;
  const A *__restrict base = shift + width, *__restrict tilt = base + width;
  const A slope = A(a.slope);
  for (int64_t chunk = end - 1; chunk >= begin; --chunk) {
    const int64_t first = rows.first(a, chunk), n = rows.first(a, chunk + 1) - first;
    const T* __restrict x = static_cast<const T*>(a.x) + unit * a.S * a.C + first;
    const T* __restrict g = static_cast<const T*>(a.g) + unit * a.S * a.C + first;
    T* __restrict dx = static_cast<T*>(a.out) + unit * a.S * a.C + first;
    in_blocks(n, width, [&](int64_t k, int64_t i, int64_t length) {
      if constexpr (std::is_same_v<T, A>) {
        for (int64_t j = 0; j < length; ++j)
          dx[k + j] = dx[k + j] * scale[i + j] + ((x[k + j] - center[i + j]) * tilt[i + j] + base[i + j]);
      } else {
        alignas(64) A v[block_length];
        for (int64_t j = 0; j < length; ++j) v[j] = (load(x + k + j) - center[i + j]) * scale[i + j] + shift[i + j];
        differentiate<act>(v, slope, length);
        for (int64_t j = 0; j < length; ++j) {
          const A d = load(x + k + j) - center[i + j];
          store(dx + k + j, load(g + k + j) * v[j] * scale[i + j] + (d * tilt[i + j] + base[i + j]));
        }
      }
    });
  }
}

// ---- what the chunks' sums mean for a unit

template <class A>
void statistics(const GroupNormAct& a, int64_t unit) {
  const int64_t groups = a.channels_last ? a.G : 1, size = a.D * a.S;
  const int64_t usual = a.channels_last ? Rows(a).positions * a.D : group_norm_piece;
  for (int64_t g = 0; g < groups; ++g) {
    const double* partial = a.partial + unit * a.chunks * a.partials + 2 * g;
    const auto count = [&](int64_t chunk) {
      const int64_t begin = least(size, chunk * usual);
      return double(least(size, begin + usual) - begin);
    };
    double mean = 0, spread = 0;
    for (int64_t chunk = 0; chunk < a.chunks; ++chunk) mean += count(chunk) * partial[chunk * a.partials];
    mean /= double(size);
    for (int64_t chunk = 0; chunk < a.chunks; ++chunk) {
      const double off = partial[chunk * a.partials] - mean;
      spread += partial[chunk * a.partials + 1] + count(chunk) * off * off;
    }
    static_cast<A*>(a.mean)[unit * groups + g] = A(mean);
    static_cast<A*>(a.rstd)[unit * groups + g] = A(1 / __builtin_sqrt(spread / double(size) + a.eps));
  }
}

template <class A>
void grad_means(const GroupNormAct& a, int64_t unit) {
  const int64_t groups = a.channels_last ? a.G : 1, D = a.D, pieces = a.channels_last ? a.chunks : a.chunks / D;
  for (int64_t k = 0; k < groups; ++k) {
    const int64_t group = unit * groups + k, picture = group / a.G, channel = group % a.G * D;
    const double rstd = double(static_cast<const A*>(a.rstd)[group]);
    double flat = 0, tilted = 0;  // Σ γ·dv and Σ γ·dv·x̂
    for (int64_t j = 0; j < D; ++j) {
      const double* partial = a.partial + unit * a.chunks * a.partials + (a.channels_last ? 2 * (channel + j) : 2 * j * pieces);
      double sum = 0, product = 0;
      for (int64_t piece = 0; piece < pieces; ++piece, partial += a.partials) sum += partial[0], product += partial[1];
      product *= rstd;
      double* sums = a.sums + 2 * (picture * a.C + channel + j);
      sums[0] = sum, sums[1] = product;
      const double gamma = a.weight ? double(static_cast<const A*>(a.weight)[channel + j]) : 1;
      flat += gamma * sum, tilted += gamma * product;
    }
    const double size = double(D * a.S);
    a.means[2 * group] = flat / size;
    a.means[2 * group + 1] = tilted / size * rstd;  // times x − mean instead of x̂
  }
}

template <class A>
void grad_weights(const GroupNormAct& a) {
  for (int64_t c = 0; c < a.C; ++c) {
    double flat = 0, tilted = 0;
    for (int64_t b = 0; b < a.B; ++b) flat += a.sums[2 * (b * a.C + c)], tilted += a.sums[2 * (b * a.C + c) + 1];
    static_cast<A*>(a.dbias)[c] = A(flat);
    static_cast<A*>(a.dweight)[c] = A(tilted);
  }
}

// ---- choice of format, layout and activation

template <class Call>
inline void with_format(const GroupNormAct& a, Call call) {
  switch (a.format) {
    case Format::f32:
      return call(float{});
    case Format::f64:
      return call(double{});
    case Format::bf16:
      return call(BF16{});
    case Format::f16:
      return call(F16{});
  }
}
template <class Call>
inline void with_activation(const GroupNormAct& a, Call call) {
  with_format(a, [&](auto t) {
    if (a.act == GroupActivation::swish)
      call(t, std::integral_constant<GroupActivation, GroupActivation::swish>{});
    else
      call(t, std::integral_constant<GroupActivation, GroupActivation::piecewise>{});
  });
}

}  // namespace

void group_norm_moments(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end) {
  with_format(a, [&](auto t) {
    using T = decltype(t);
    a.channels_last ? moments_last<T>(a, unit, begin, end) : moments_planar<T>(a, unit, begin, end);
  });
}
void group_norm_statistics(const GroupNormAct& a, int64_t unit) {
  a.format == Format::f64 ? statistics<double>(a, unit) : statistics<float>(a, unit);
}
void group_norm_apply(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end) {
  with_activation(a, [&](auto t, auto act) {
    using T = decltype(t);
    a.channels_last ? apply_last<T, act>(a, unit, begin, end) : apply_planar<T, act>(a, unit, begin, end);
  });
}
void group_norm_grad_sums(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end) {
  with_activation(a, [&](auto t, auto act) {
    using T = decltype(t);
    a.channels_last ? grad_sums_last<T, act>(a, unit, begin, end) : grad_sums_planar<T, act>(a, unit, begin, end);
  });
}
void group_norm_grad_means(const GroupNormAct& a, int64_t unit) {
  a.format == Format::f64 ? grad_means<double>(a, unit) : grad_means<float>(a, unit);
}
void group_norm_grad_apply(const GroupNormAct& a, int64_t unit, int64_t begin, int64_t end) {
  with_activation(a, [&](auto t, auto act) {
    using T = decltype(t);
    a.channels_last ? grad_apply_last<T, act>(a, unit, begin, end) : grad_apply_planar<T, act>(a, unit, begin, end);
  });
}
void group_norm_grad_weights(const GroupNormAct& a) {
  a.format == Format::f64 ? grad_weights<double>(a) : grad_weights<float>(a);
}

}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
