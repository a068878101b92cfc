// Which instruction set the kernels run on: smoothswap_native::isa() gives its name, or says what is wrong with
// SMOOTHSWAP_ISA.

#include <torch/csrc/stable/library.h>

#include <string>

#include "../common/dispatch.h"

namespace smoothswap {
namespace {

std::string isa() { return isa_names[int(best_isa())]; }

}  // namespace
}  // namespace smoothswap

STABLE_TORCH_LIBRARY_FRAGMENT(smoothswap_native, m) { m.def("isa() -> str"); }
STABLE_TORCH_LIBRARY_IMPL(smoothswap_native, CompositeExplicitAutograd, m) {
  m.impl("isa", TORCH_BOX(&smoothswap::isa));
}
