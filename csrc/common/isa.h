// Kernels are compiled once for each instruction set, from the same file, into a namespace of its own; the binding calls
// the best one that the processor has. Nothing inline with external linkage may leak out of such a file: the linker would
// keep one copy, perhaps the one with instructions that this processor lacks. Hence own number formats below.
#pragma once

#ifndef SMOOTHSWAP_ISA
#define SMOOTHSWAP_ISA baseline
#endif

// Declares a kernel once for each instruction set that it may be compiled for.
#define SMOOTHSWAP_FOR_EVERY_ISA(declaration) \
  namespace baseline {                        \
  declaration;                                \
  }                                           \
  namespace avx2 {                            \
  declaration;                                \
  }                                           \
  namespace avx512 {                          \
  declaration;                                \
  }
