// The module smoothswap._build: facts of this build, for `smoothswap doctor`. It depends on the Python version, unlike the
// kernels, and is kept apart from them.

#include <pybind11/pybind11.h>

PYBIND11_MODULE(_build, m) {
  m.doc() = "How and when the compiled kernels were built.";
  m.attr("compiler") = SMOOTHSWAP_COMPILER;
  m.attr("flags") = SMOOTHSWAP_FLAGS;
  m.attr("torch") = SMOOTHSWAP_TORCH;
  m.attr("date") = SMOOTHSWAP_DATE;
}
