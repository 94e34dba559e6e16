// Escaping and shortening of names for messages.
#include "checkpoint/quote.h"

#include "dsv4/error.h"

namespace dsv4 {
namespace {

constexpr size_t kLongest = 160;

std::string escape(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string excerpt(std::string_view text) {
  size_t end = text.size();
  if (end > kLongest) {
    end = kLongest;
    // Not in the middle of a UTF-8 character: its following bytes are 10xxxxxx.
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  }
  return escape(text.substr(0, end)) + (end < text.size() ? "..." : "");
}

std::string quote(std::string_view text) { return concat('"', excerpt(text), '"'); }

std::string path_text(const std::filesystem::path& path) { return escape(path.string()); }

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

}  // namespace dsv4
