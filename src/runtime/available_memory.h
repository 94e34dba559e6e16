// How much memory there is to take.
#pragma once

#include <cstdint>

namespace dsv4 {

/// Memory that this process may still take: of the system and of its control group, whichever is less.
uint64_t available_memory();

}  // namespace dsv4
