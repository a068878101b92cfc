// AVX-512's intrinsics, where the file is compiled for them.
#pragma once

#if defined(__AVX512F__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own header
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif
