// What the CPU program rounds beyond its weights: choices of an engine (dsv4/engine.h), which dsv4's operations take as they are.
#pragma once

#include <cstdint>

namespace dsv4 {

/// How the inputs of products with compressed weights are rounded. docs/cpu-program.md has what it costs.
enum class ActivationRounding {
  kF32,   ///< not at all
  kInt8,  ///< to 8 bits, symmetric, a scale for every 32: the fast path
};

/// How window rows, compressed entries and index keys are kept in a sequence's cache; the tails of unfinished
/// blocks are float32 always. The numbers stand in the header of the cache.
enum class CachePrecision : int64_t { kF32 = 0, kBF16 = 1 };

}  // namespace dsv4
