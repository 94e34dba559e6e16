// Token ids that came from a user.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace dsv4 {

/// Error unless there is a token and every id is in [0, vocabulary); `what` begins the message.
void check_tokens(std::span<const int64_t> tokens, int64_t vocabulary, const std::string& what);

}  // namespace dsv4
