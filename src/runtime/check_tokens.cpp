// Ids against the vocabulary.
#include "runtime/check_tokens.h"

#include "dsv4/error.h"

namespace dsv4 {

void check_tokens(std::span<const int64_t> tokens, int64_t vocabulary, const std::string& what) {
  if (tokens.empty()) fail(what, ": no tokens; expected at least one");
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= vocabulary) {
      fail(what, ": token ", i, " is ", tokens[i], "; expected an id from 0 to ", vocabulary - 1);
    }
  }
}

}  // namespace dsv4
