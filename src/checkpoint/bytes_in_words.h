// Numbers of bytes as people read them: powers of 1000, so that they compare with what disks and model hubs say.
#pragma once

#include <cstdint>
#include <string>

namespace dsv4 {

/// 159609485896 -> "159.61 GB", 812 -> "812 bytes". The largest unit is TB.
std::string bytes_in_words(uint64_t bytes);

}  // namespace dsv4
