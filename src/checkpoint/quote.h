// Text that came from a file, made fit for a one-line message.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace dsv4 {

/// `text` between double quotes: control characters as \xNN, cut after about 160 bytes (a name in a broken file may be megabytes long).
std::string quote(std::string_view text);

/// The same without the quotes.
std::string excerpt(std::string_view text);

/// A path without quotes: control characters as \xNN, never cut.
std::string path_text(const std::filesystem::path& path);

}  // namespace dsv4
