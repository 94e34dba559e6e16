// Bytes to characters and back.
#include "checkpoint/byte_alphabet.h"

#include <array>

namespace dsv4 {
namespace {

constexpr char32_t kFirstSubstitute = 0x100;
constexpr size_t kSubstitutes = 68;  // bytes that are not printable Latin-1: 0-32, 127-160, 173

constexpr bool printable(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

struct Alphabet {
  std::array<char32_t, 256> characters{};
  std::array<uint8_t, kSubstitutes> substituted{};  // the byte behind U+0100 + i

  constexpr Alphabet() {
    size_t next = 0;
    for (int byte = 0; byte < 256; ++byte) {
      const auto at = static_cast<size_t>(byte);
      if (printable(byte)) {
        characters[at] = static_cast<char32_t>(byte);
      } else {
        substituted[next] = static_cast<uint8_t>(byte);
        characters[at] = kFirstSubstitute + static_cast<char32_t>(next++);
      }
    }
  }
};

constexpr Alphabet kAlphabet;

}  // namespace

char32_t character_of_byte(uint8_t byte) { return kAlphabet.characters[byte]; }

std::string byte_token(uint8_t byte) {
  const char32_t c = character_of_byte(byte);
  if (c < 0x80) return {static_cast<char>(c)};
  return {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
}

std::optional<std::string> bytes_of_token(std::string_view utf8) {
  std::string bytes;
  for (size_t i = 0; i < utf8.size(); ++i) {
    auto c = static_cast<char32_t>(static_cast<unsigned char>(utf8[i]));
    if (c >= 0x80) {  // every character of the alphabet is below U+0144: two bytes
      if (c < 0xC2 || c > 0xC5 || i + 1 == utf8.size()) return std::nullopt;
      const auto low = static_cast<unsigned char>(utf8[++i]);
      if ((low & 0xC0) != 0x80) return std::nullopt;
      c = (c & 0x1F) << 6 | (low & 0x3Fu);
    }
    if (c >= kFirstSubstitute) {
      if (c - kFirstSubstitute >= kSubstitutes) return std::nullopt;
      bytes += static_cast<char>(kAlphabet.substituted[c - kFirstSubstitute]);
    } else {
      if (!printable(static_cast<int>(c))) return std::nullopt;
      bytes += static_cast<char>(c);
    }
  }
  return bytes;
}

}  // namespace dsv4
