// What a file is by its first bytes, where it is not what its name promises: pointers, pages and archives that downloads leave, other formats of weights.
#pragma once

#include <string>
#include <string_view>

namespace dsv4 {

/// "is a GGUF file, ...; take ...": what the bytes are and what to do, the end of a message; empty where they tell nothing. 300 bytes are enough.
std::string foreign_content(std::string_view head);

/// The same for a file that cannot be safetensors: plain text and JSON are named too. (A safetensors file may begin with any bytes, those of its header's length.)
std::string foreign_to_safetensors(std::string_view head);

}  // namespace dsv4
