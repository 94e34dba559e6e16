// Escaping and shortening of names for messages.
#include "checkpoint/quote.h"

#include <algorithm>
#include <cstring>

#include "checkpoint/utf8.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

constexpr size_t kLongest = 160;
constexpr size_t kLongestPath = 400;  // two of them, and what is said of them, are below 2,000 bytes
constexpr size_t kMostGrowth = 4;     // bytes that one byte becomes: \xNN; a character of two or three bytes becomes six

/// Appends texts to a buffer until one does not fit.
class Buffer {
 public:
  explicit Buffer(std::span<char> out) : out_(out) {}

  bool add(std::string_view text) {
    if (text.size() > out_.size() - used_) return false;
    std::memcpy(out_.data() + used_, text.data(), text.size());
    used_ += text.size();
    return true;
  }
  size_t used() const { return used_; }

 private:
  std::span<char> out_;
  size_t used_ = 0;
};

/// `prefix` and `digits` hexadecimal digits of `value`.
bool add_hex(Buffer& buffer, const char* prefix, uint32_t value, int digits) {
  char text[8];
  size_t size = 0;
  while (*prefix != '\0') text[size++] = *prefix++;
  for (int digit = digits - 1; digit >= 0; --digit) text[size++] = "0123456789abcdef"[value >> (4 * digit) & 15];
  return buffer.add({text, size});
}

size_t escape(std::string_view text, std::span<char> out, bool lines) {
  Buffer buffer(out);
  bool room = true;
  while (!text.empty() && room) {
    const Character character = first_character(text);
    const std::string_view bytes = text.substr(0, character.bytes);
    text.remove_prefix(character.bytes);
    if (!character.code) {
      for (const char byte : bytes) room = room && add_hex(buffer, "\\x", static_cast<unsigned char>(byte), 2);
    } else if (!is_control(*character.code) || (lines && (*character.code == '\n' || *character.code == '\t'))) {
      room = buffer.add(bytes);
    } else {
      room = *character.code < 0x80 ? add_hex(buffer, "\\x", *character.code, 2) : add_hex(buffer, "\\u", *character.code, 4);
    }
  }
  return buffer.used();
}

std::string escape(std::string_view text, bool lines) {
  std::string out(kMostGrowth * text.size(), '\0');
  out.resize(escape(text, out, lines));
  return out;
}

/// Not in the middle of a UTF-8 character: its following bytes are 10xxxxxx.
bool is_inside(std::string_view text, size_t at) { return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80; }

}  // namespace

bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069); }

std::string escaped(std::string_view text) { return escape(text, false); }

std::string escaped_lines(std::string_view text) { return escape(text, true); }

size_t escape_into(std::string_view text, std::span<char> out) { return escape(text, out, false); }

std::string shortened(std::string_view text, size_t limit) {
  if (text.size() <= limit) return std::string(text);
  constexpr std::string_view kGap = "...";
  const size_t kept = limit - kGap.size();
  size_t head = kept / 2, tail = text.size() - (kept - head);
  while (head > 0 && is_inside(text, head)) --head;
  while (is_inside(text, tail)) ++tail;
  return concat(text.substr(0, head), kGap, text.substr(tail));
}

std::string excerpt(std::string_view text) {
  size_t end = std::min(text.size(), kLongest);
  while (end > 0 && is_inside(text, end)) --end;
  return escaped(text.substr(0, end)) + (end < text.size() ? "..." : "");
}

std::string quote(std::string_view text) { return concat('"', excerpt(text), '"'); }

std::string path_text(const std::filesystem::path& path) { return shortened(escaped(path.native()), kLongestPath); }

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

}  // namespace dsv4
