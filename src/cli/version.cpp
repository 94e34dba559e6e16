// Versions of dsv4 and of what it runs with.
#include "cli/version.h"

#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "openvino/core/version.hpp"
#include "ops/support/instruction_set.h"
#include "text/tokenizers_library.h"

#ifndef DSV4_VERSION
#error "the build defines DSV4_VERSION"
#endif

namespace dsv4 {

extern const char* const kCommit;  // of the build (cmake/Dsv4Commit.cmake)

namespace {

std::string tokenizers_text() {
  try {
    return tokenizers_version() + ", " + path_text(tokenizers_library());
  } catch (const Error&) {
    return "not found: converting a tokenizer needs it";
  }
}

}  // namespace

std::string version_text() {
  return concat("dsv4 ", DSV4_VERSION, "\nOpenVINO ", ov::get_openvino_version().buildNumber, "\nopenvino-tokenizers ", tokenizers_text(),
                "\ninstruction set ", ops::instruction_set(), "\ncommit ", kCommit, "\n");
}

}  // namespace dsv4
