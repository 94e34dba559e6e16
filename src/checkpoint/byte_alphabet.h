// The alphabet of byte-level vocabularies: every byte as one printable character (GPT-2's table, which DeepSeek's tokenizer.json uses).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dsv4 {

/// The character that stands for a byte: itself for printable Latin-1, U+0100 and on, in order, for the other 68.
char32_t character_of_byte(uint8_t byte);

/// That character in UTF-8.
std::string byte_token(uint8_t byte);

/// The bytes that a vocabulary entry stands for; nothing when a character (or invalid UTF-8) is not in the alphabet.
std::optional<std::string> bytes_of_token(std::string_view utf8);

}  // namespace dsv4
