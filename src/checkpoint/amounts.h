// Numbers of bytes and of parameters for people: the one place that says them in words.
#pragma once

#include <cstdint>
#include <string>

namespace dsv4 {

/// 159609485896 -> "159.61 GB", 2500 -> "2.50 kB", 7 -> "7 bytes": powers of a thousand.
std::string byte_text(uint64_t bytes);

/// 284000000000 -> "284.00 billion".
std::string count_text(int64_t count);

}  // namespace dsv4
