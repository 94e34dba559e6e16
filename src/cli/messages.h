// What the program says on standard error: lines that begin with "dsv4: ", whatever the files say that they quote.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace dsv4 {

/// `text` after "dsv4: " as one line: control characters escaped (checkpoint/quote.h), fewer than 2,000 bytes with its line end; of a longer one the beginning
/// and the end.
std::string message_line(std::string_view text);

/// Prints such a line.
void print_notice(std::string_view text);

/// Prints such a line with "error: " before the text, after everything that was written to standard output.
void print_error(std::string_view text);

/// What an exception has to say to a user. Those that are no dsv4::Error come from libraries: what file systems report gets the name of the file, and places in
/// sources are left out.
std::string error_text(const std::exception& error);

}  // namespace dsv4
