// Text that came from a file, and lists of such, made fit for a one-line message.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

/// `text` between double quotes: control characters as \xNN, cut after about 160 bytes (a name in a broken file may be megabytes long).
std::string quote(std::string_view text);

/// The same without the quotes.
std::string excerpt(std::string_view text);

/// A path without quotes: control characters as \xNN, never cut.
std::string path_text(const std::filesystem::path& path);

/// A list in a line: commas between the parts.
std::string joined(const std::vector<std::string>& parts);

}  // namespace dsv4
