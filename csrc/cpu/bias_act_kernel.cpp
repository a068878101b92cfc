// bias_act and its first two derivatives on the CPU, each in one pass over memory.
// Stock PyTorch takes a pass for each of +, φ, · and clamp, and leaves as many results in memory: forward 2 to 8 units of
// traffic where x is read and y written (2 units here); backward 3 to 10 where g and y are read and dx written (3 here), and
// one more to sum the bias's gradient, which is taken here while dx is in the cache.
// The pass goes block by block, small enough for the first cache; within it each step is a loop of its own over the block.

#include "bias_act_kernel.h"

#include "../common/blocks.h"
#include "activations.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

constexpr int64_t block = 1024;   // values
constexpr int64_t widest = 4096;  // values of a unit's row
constexpr int64_t often = 64;     // rows summed in the arithmetic's format before the sum moves on to double

template <class A>
struct Constants {
  A alpha, gain, clamp;
  bool unlimited;
  A divisor, sign, factor;  // t = ref / divisor, or ref · sign where the sign is enough; y = ref · factor
  bool from_output;
};

// `stored`: the clamp as y holds it, rounded to its format; a clamped y is never less than that.
template <class T>
Constants<Wide<T>> constants(const Activation& a, bool stored) {
  using A = Wide<T>;
  A clamp = A(a.clamp);
  if (stored) {
    T rounded;
    store(&rounded, clamp);
    clamp = load(&rounded);
  }
  const A gain = A(a.gain);
  if (a.from_output) return {A(a.alpha), gain, clamp, a.clamp < 0, gain, A(gain < 0 ? -1 : 1), A(1), true};
  return {A(a.alpha), gain, clamp, a.clamp < 0, A(1), A(1), gain, false};
}

// ---- steps over a block

// y ← clamp(gain · φ(x + b)), b one value or (Row) one for each
template <class F, bool Row, class A>
void activate(const A* __restrict x, const A* __restrict b, A* __restrict y, int64_t n, const Constants<A>& c) {
  const A alpha = c.alpha, gain = c.gain, clamp = c.clamp, one = Row ? A(0) : *b;
  if (c.unlimited) {
    for (int64_t k = 0; k < n; ++k) y[k] = F::value(x[k] + (Row ? b[k] : one), alpha) * gain;
  } else {
    for (int64_t k = 0; k < n; ++k) {
      A v = F::value(x[k] + (Row ? b[k] : one), alpha) * gain;
      v = v > clamp ? clamp : v;  // a NaN compares false and stays
      y[k] = v < -clamp ? -clamp : v;
    }
  }
}

template <class F, class A>
bool passes(A ref, const Constants<A>& c) {
  const bool by_input = F::keeps_input || (F::sign_only && !c.from_output);
  const A y = by_input ? F::value(ref, c.alpha) * c.gain : ref * c.factor;
  return (y < c.clamp) & (y > -c.clamp);
}
template <class F, class A>
A argument(A ref, const Constants<A>& c) {
  return F::keeps_input ? ref : F::sign_only ? ref * c.sign : ref / c.divisor;
}

// dx ← g · s
template <class F, class A>
void slope(const A* __restrict g, const A* __restrict ref, A* __restrict dx, int64_t n, const Constants<A>& constants) {
  const Constants<A> c = constants;
  if (c.unlimited)
    for (int64_t k = 0; k < n; ++k) dx[k] = g[k] * (F::slope(argument<F>(ref[k], c), c.alpha) * c.gain);
  else
    for (int64_t k = 0; k < n; ++k) {
      const A s = F::slope(argument<F>(ref[k], c), c.alpha) * c.gain;
      dx[k] = passes<F>(ref[k], c) ? g[k] * s : A(0);
    }
}

// dg ← h · s, dref ← h · g · ds/dref
template <class F, bool Limited, class A>
void bend_loop(const A* __restrict h, const A* __restrict g, const A* __restrict ref, A* __restrict dg,
               A* __restrict dref, int64_t n, const Constants<A> c) {
  for (int64_t k = 0; k < n; ++k) {
    const A t = argument<F>(ref[k], c), s = F::slope(t, c.alpha) * c.gain;
    A turn = 0;  // of s by ref: by y the gain cancels, by x the chain rule adds the slope
    if constexpr (!F::sign_only) turn = F::bend(t, c.alpha) * (c.from_output ? A(1) : F::keeps_input ? c.gain : s);
    const bool through = !Limited || passes<F>(ref[k], c);
    dg[k] = through ? h[k] * s : A(0);
    dref[k] = through ? h[k] * g[k] * turn : A(0);
  }
}
template <class F, class A>
void bend(const A* h, const A* g, const A* ref, A* dg, A* dref, int64_t n, const Constants<A>& c) {
  c.unlimited ? bend_loop<F, false>(h, g, ref, dg, dref, n, c) : bend_loop<F, true>(h, g, ref, dg, dref, n, c);
}

template <class A>
double sum(const A* x, int64_t n) {
  constexpr int lanes = 64;
  A lane[lanes] = {};
  int64_t k = 0;
  for (; k + lanes <= n; k += lanes)
    for (int i = 0; i < lanes; ++i) lane[i] += x[k + i];
  double total = 0;
  for (int i = 0; i < lanes; ++i) total += double(lane[i]);
  for (; k < n; ++k) total += double(x[k]);
  return total;
}

// ---- steps by activation

template <class A>
using Activate = void (*)(const A*, const A*, A*, int64_t, const Constants<A>&);
template <class A>
using Slope = void (*)(const A*, const A*, A*, int64_t, const Constants<A>&);
template <class A>
using Bend = void (*)(const A*, const A*, const A*, A*, A*, int64_t, const Constants<A>&);

// The step of one activation, made by `of`, which takes a value of the activation's type.
template <class Of>
auto step(Act act, Of of) {
  switch (act) {
    case Act::relu:
      return of(Relu{});
    case Act::lrelu:
      return of(LeakyRelu{});
    case Act::tanh:
      return of(Tanh{});
    case Act::sigmoid:
      return of(Logistic{});
    case Act::elu:
      return of(Elu{});
    case Act::selu:
      return of(Selu{});
    case Act::softplus:
      return of(Softplus{});
    case Act::swish:
      return of(Swish{});
    default:
      return of(Linear{});
  }
}
template <class A>
Activate<A> activate_step(Act act, bool row) {
  return step(act, [row](auto f) -> Activate<A> {
    return row ? &activate<decltype(f), true, A> : &activate<decltype(f), false, A>;
  });
}
template <class A>
Slope<A> slope_step(Act act) {
  return step(act, [](auto f) -> Slope<A> { return &slope<decltype(f), A>; });
}
template <class A>
Bend<A> bend_step(Act act) {
  return step(act, [](auto f) -> Bend<A> { return &bend<decltype(f), A>; });
}

// ---- blocks in the arithmetic's format and in memory

template <class T>
const Wide<T>* read(const void* from, int64_t at, int64_t n, Wide<T>* buffer) {
  const T* x = static_cast<const T*>(from) + at;
  if constexpr (sizeof(T) == sizeof(Wide<T>)) {
    return x;
  } else {
    widen(x, buffer, n);
    for (int64_t k = 0; k < n; k += 32) __builtin_prefetch(x + n + k);  // the next block, while this one is worked on
    return buffer;
  }
}
// Where the arithmetic puts a result that `write` then brings to memory.
template <class T>
Wide<T>* place(void* to, int64_t at, Wide<T>* buffer) {
  if constexpr (sizeof(T) == sizeof(Wide<T>)) return static_cast<T*>(to) + at;
  return buffer;
}
template <class T>
void write(void* to, int64_t at, int64_t n, const Wide<T>* from) {
  if constexpr (sizeof(T) != sizeof(Wide<T>)) narrow(from, static_cast<T*>(to) + at, n);
}

// Calls visit(at, n, run or row, column) for each block of a unit; after(row) when a unit's part of a row is through.
template <class Visit, class After>
void walk(const Units& u, int64_t unit, Visit visit, After after) {
  const int64_t column = unit % u.tiles * u.tile, first = unit / u.tiles * u.group;
  const int64_t last = std::min(first + u.group, u.count), width = std::min(u.tile, u.length - column);
  for (int64_t row = first; row < last; ++row) {
    const int64_t at = row * u.length + column, n = std::min(width, u.values - at);
    for (int64_t k = 0; k < n; k += block) visit(at + k, std::min(block, n - k), row, column + k);
    after(row);
  }
}

// The bias of a block.
template <class A>
const A* bias_at(const Units& u, const void* bias, int64_t row, int64_t column) {
  static constexpr A zero = 0;
  if (!bias) return &zero;
  return static_cast<const A*>(bias) + (u.rows ? column : row % u.channels);
}

template <class T>
void forward(const BiasAct& a, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const Constants<A> c = constants<T>(a.activation, false);
  const Activate<A> apply = activate_step<A>(a.activation.act, a.units.rows && a.bias);
  alignas(64) A in[block], out[block];
  for (int64_t unit = begin; unit < end; ++unit)
    walk(
        a.units, unit,
        [&](int64_t at, int64_t n, int64_t row, int64_t column) {
          const A* x = read<T>(a.x, at, n, in);
          A* y = place<T>(a.y, at, out);
          apply(x, bias_at<A>(a.units, a.bias, row, column), y, n, c);
          write<T>(a.y, at, n, y);
        },
        [](int64_t) {});
}

template <class T>
void backward(const BiasActGrad& a, int64_t begin, int64_t end) {
  using A = Wide<T>;
  const Activation& activation = a.activation;
  const Constants<A> c = constants<T>(activation, activation.from_output);
  const Constants<A> plain{c.alpha, 1, 0, true, 1, 1, 1, false};
  // From x first φ(x + b) without gain and clamp, or x + b itself where that is what the derivative is a function of.
  const bool by_input = step(activation.act, [](auto f) { return f.keeps_input || f.sign_only; });
  const bool first_add = !activation.from_output && (a.bias || !by_input);
  const Activate<A> add = activate_step<A>(by_input ? Act::linear : activation.act, a.units.rows && a.bias);
  const Slope<A> slopes = slope_step<A>(activation.act);
  const Bend<A> bends = bend_step<A>(activation.act);
  alignas(64) A h_in[block], g_in[block], ref_in[block], value[block], out[block], second[block], sums[widest];
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t left = unit % a.units.tiles * a.units.tile, first = unit / a.units.tiles * a.units.group;
    const int64_t width = std::min(a.units.tile, a.units.length - left);
    double total = 0;
    double* partial = a.units.rows ? a.partial + unit / a.units.tiles * a.units.length + left : a.partial + unit;
    if (a.partial && a.units.rows) {
      std::fill_n(sums, width, A(0));
      std::fill_n(partial, width, 0.0);
    }
    walk(
        a.units, unit,
        [&](int64_t at, int64_t n, int64_t row, int64_t column) {
          const A* g = read<T>(a.g, at, n, g_in);
          const A* ref = read<T>(a.ref, at, n, ref_in);
          if (first_add) {
            add(ref, bias_at<A>(a.units, a.bias, row, column), value, n, plain);
            ref = value;
          }
          A* dx = place<T>(a.dx, at, out);
          const A* summed = dx;
          if (a.h) {
            const A* h = read<T>(a.h, at, n, h_in);
            A* dref = place<T>(a.dref, at, second);
            bends(h, g, ref, dx, dref, n, c);
            write<T>(a.dref, at, n, dref);
            summed = dref;
          } else {
            slopes(g, ref, dx, n, c);
          }
          write<T>(a.dx, at, n, dx);
          if (!a.partial) return;
          if (a.units.rows) {
            A* s = sums + (column - left);
            for (int64_t k = 0; k < n; ++k) s[k] += summed[k];
          } else {
            total += sum(summed, n);
          }
        },
        [&](int64_t row) {
          if (!a.partial || !a.units.rows || ((row - first + 1) % often != 0 && row + 1 < a.units.count &&
                                              row + 1 < first + a.units.group))
            return;
          for (int64_t k = 0; k < width; ++k) partial[k] += double(sums[k]);
          std::fill_n(sums, width, A(0));
        });
    if (a.partial && !a.units.rows) *partial = total;
  }
}

}  // namespace

void bias_act(const BiasAct& a, int64_t begin, int64_t end) {
  switch (a.activation.format) {
    case Format::f32:
      return forward<float>(a, begin, end);
    case Format::f64:
      return forward<double>(a, begin, end);
    case Format::bf16:
      return forward<BF16>(a, begin, end);
    case Format::f16:
      return forward<F16>(a, begin, end);
  }
}

void bias_act_grad(const BiasActGrad& a, int64_t begin, int64_t end) {
  switch (a.activation.format) {
    case Format::f32:
      return backward<float>(a, begin, end);
    case Format::f64:
      return backward<double>(a, begin, end);
    case Format::bf16:
      return backward<BF16>(a, begin, end);
    case Format::f16:
      return backward<F16>(a, begin, end);
  }
}

}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
