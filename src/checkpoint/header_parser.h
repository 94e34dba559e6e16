// The JSON of a safetensors header, event by event: no tree is built, and every entry is checked where it ends.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "checkpoint/safetensors.h"

namespace dsv4 {

/// Parses the header's JSON text. Throws Error naming `file` and the tensor: not JSON, not an object, a field missing, twice, unknown or
/// of the wrong JSON type, unknown dtype, a dim that is negative, not whole or too large, reversed offsets, a size that is not shape x
/// dtype, a name twice. Offsets are not yet compared with each other or with the file: `data_offset` stays 0.
SafetensorsHeader parse_header_json(std::span<const std::byte> json, const std::string& file);

}  // namespace dsv4
