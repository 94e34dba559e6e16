// Token ids on the command line: --tokens 1,2,3 and --tokens-file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace dsv4 {

/// "1,2,3", separated by commas or white space. Error that names `where` for anything else.
std::vector<int64_t> parse_tokens(const std::string& text, const std::string& where);

/// The same of an option's value: what is no list of ids is wrong usage (UsageError).
std::vector<int64_t> tokens_of_option(const std::string& text, const std::string& option);

/// Ids as parse_tokens takes them, a JSON array of them, or a JSON object that has such an array as "tokens" (`dsv4 run --json`).
std::vector<int64_t> tokens_of_text(const std::string& text, const std::string& where);

/// The same of a file; "-": of standard input.
std::vector<int64_t> read_tokens_file(const std::filesystem::path& path);

}  // namespace dsv4
