// Text that came from a file, and lists of such, made fit for a one-line message.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

/// What a terminal takes for a command or a line end, or what turns the order of a line round: C0, DEL, C1, U+2028, U+2029, U+202A to U+202E, U+2066 to U+2069.
bool is_control(char32_t character);

/// Control characters (is_control) as \xNN below U+0080, else as \uNNNN, and bytes that are not UTF-8 as \xNN; what is left is one line of UTF-8.
std::string escaped(std::string_view text);

/// The same of text that may have lines: line feeds and tabs stay.
std::string escaped_lines(std::string_view text);

/// The same as escaped(), into `out`: the number of bytes that it has become, as much as there is room for. Allocates nothing, for signal handlers.
size_t escape_into(std::string_view text, std::span<char> out);

/// `text` as it is, or its beginning and its end with "..." between them, no more than `limit` bytes (at least 16), cut between characters.
std::string shortened(std::string_view text, size_t limit);

/// `text` between double quotes: escaped, cut after about 160 bytes (a name in a broken file may be megabytes long).
std::string quote(std::string_view text);

/// The same without the quotes.
std::string excerpt(std::string_view text);

/// A path without quotes: escaped; of a long one the beginning and the end.
std::string path_text(const std::filesystem::path& path);

/// A list in a line: commas between the parts.
std::string joined(const std::vector<std::string>& parts);

}  // namespace dsv4
