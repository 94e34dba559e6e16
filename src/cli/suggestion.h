// "Did you mean": the name that is nearest to one that was mistyped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

/// "; did you mean X? See HELP" with the nearest of `known`, or "; see HELP" where none is near enough to be what was meant.
std::string did_you_mean(std::string_view typed, const std::vector<std::string>& known, const std::string& help);

}  // namespace dsv4
