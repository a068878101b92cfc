// The nine activations φ: value, and, as functions of t = φ(x) (of x itself for swish), the derivative of φ and the
// derivative of that, called slope and bend. A is float or double.
#pragma once

#include "../common/vector_math.h"

namespace smoothswap {
namespace SMOOTHSWAP_ISA {
namespace {

struct Linear {
  static constexpr bool keeps_input = false, sign_only = true;
  template <class A>
  static A value(A x, A) { return x; }
  template <class A>
  static A slope(A, A) { return 1; }
};
struct Relu {
  static constexpr bool keeps_input = false, sign_only = true;
  template <class A>
  static A value(A x, A) { return x < 0 ? A(0) : x; }  // a NaN stays
  template <class A>
  static A slope(A t, A) { return t > 0 ? A(1) : A(0); }
};
struct LeakyRelu {
  static constexpr bool keeps_input = false, sign_only = true;
  template <class A>
  static A value(A x, A alpha) { return x * (x > 0 ? A(1) : alpha); }
  template <class A>
  static A slope(A t, A alpha) { return t > 0 ? A(1) : alpha; }
};
struct Tanh {
  static constexpr bool keeps_input = false, sign_only = false;
  template <class A>
  static A value(A x, A) { return tanh(x); }
  template <class A>
  static A slope(A t, A) { return 1 - t * t; }
  template <class A>
  static A bend(A t, A) { return -2 * t; }
};
struct Logistic {
  static constexpr bool keeps_input = false, sign_only = false;
  template <class A>
  static A value(A x, A) { return sigmoid(x); }
  template <class A>
  static A slope(A t, A) { return t * (1 - t); }
  template <class A>
  static A bend(A t, A) { return 1 - 2 * t; }
};
struct Elu {
  static constexpr bool keeps_input = false, sign_only = false;
  template <class A>
  static A value(A x, A) { return x > 0 ? x : expm1_below(x); }
  template <class A>
  static A slope(A t, A) { return (t > 0 ? A(0) : t) + 1; }
  template <class A>
  static A bend(A t, A) { return t < 0 ? A(1) : A(0); }
};
// λ·elu, with α beside the exponential (Klambauer et al., 2017)
struct Selu {
  static constexpr bool keeps_input = false, sign_only = false;
  static constexpr double scale = 1.0507009873554805, deep = scale * 1.6732632423543772;
  template <class A>
  static A value(A x, A) { return x > 0 ? A(scale) * x : A(deep) * expm1_below(x); }
  template <class A>
  static A slope(A t, A) { return t > 0 ? A(scale) : t + A(deep); }
  template <class A>
  static A bend(A t, A) { return t > 0 ? A(0) : A(1); }
};
struct Softplus {
  static constexpr bool keeps_input = false, sign_only = false;
  template <class A>
  static A value(A x, A) { return softplus(x); }
  template <class A>
  static A slope(A t, A) { return -expm1_below(-t); }
  template <class A>
  static A bend(A t, A) { return exp_minus(t); }
};
// x·s with s = 1 / (1 + e^−x). With m = |x|, e = e^−m, near = 1 / (1 + e) and v = s (1 − s) = e · near²:
// φ' = s + x·v and φ'' = v (2 + x (1 − 2s)) = v (2 − m (1 − e) near). m is bounded where e is 0 to the last bit, so that
// the limits at ±∞ come out and no 0 · ∞.
struct Swish {
  static constexpr bool keeps_input = true, sign_only = false;
  static float bounded(float m) { return m > 200 ? 200 : m; }
  static double bounded(double m) { return m > 1000 ? 1000 : m; }
  template <class A>
  static A value(A x, A) {
    const A m = bounded(magnitude(x)), e = exp_minus(m);
    return (x >= 0 ? x : -m * e) / (1 + e);
  }
  template <class A>
  static A slope(A x, A) {
    const A m = bounded(magnitude(x)), e = exp_minus(m), near = 1 / (1 + e), far = e * near, rise = m * (far * near);
    return x >= 0 ? near + rise : far - rise;
  }
  template <class A>
  static A bend(A x, A) {
    const A m = bounded(magnitude(x)), e = exp_minus(m), near = 1 / (1 + e);
    return e * near * near * (2 - m * ((1 - e) * near));
  }
};

}  // namespace
}  // namespace SMOOTHSWAP_ISA
}  // namespace smoothswap
