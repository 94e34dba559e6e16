// How much of the machine's memory the routed experts may have.
#pragma once

#include <cstdint>

namespace dsv4 {

struct Config;

/// What a model needs beside its routed experts, in bytes.
struct MemoryNeeds {
  int64_t dense = 0;     ///< weights that every token reads, copied
  int64_t sequence = 0;  ///< the cache of one
  int64_t working = 0;   ///< of the operations, at the longest part of a prompt
  int64_t total() const { return dense + sequence + working; }
};

/// What stays with the system and with other programs: a tenth, at least 1 GB.
uint64_t memory_reserve(uint64_t available);

/// Bytes for experts out of what is available; negative where the rest alone is too much.
int64_t expert_budget(uint64_t available, const MemoryNeeds& needs);

/// Whether a model's weights stay in memory when they are mapped: the page cache throws pages out before all memory is used.
bool fits_mapped(uint64_t model_bytes, uint64_t available);

/// Working memory for a part of a prompt of so many tokens.
int64_t working_bytes(const Config& config, int64_t tokens);

}  // namespace dsv4
