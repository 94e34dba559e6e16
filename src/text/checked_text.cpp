// Size and encoding.
#include "text/checked_text.h"

#include <optional>

#include "checkpoint/utf8.h"
#include "dsv4/error.h"

namespace dsv4 {

void check_text(std::string_view text) {
  if (text.size() > kMostTextBytes) fail("text: ", text.size(), " bytes, expected at most ", kMostTextBytes);
  if (const std::optional<size_t> at = invalid_utf8(text)) {
    fail("text: byte ", *at, " is not UTF-8; expected UTF-8, convert it (iconv -t UTF-8)");
  }
}

}  // namespace dsv4
