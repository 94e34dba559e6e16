// What writing says when it fails.
#include "convert/errors.h"

#include <cerrno>
#include <cstring>

namespace dsv4 {

std::string write_error_text(int error) {
  const std::string text = std::strerror(error);
  switch (error) {
    case EFBIG:
      return concat(text, "; raise the limit (ulimit -f), or choose a file system that holds such files");
    case ENOSPC:
    case EDQUOT:
      return concat(text, "; free some space or choose another output");
    default:
      return text;
  }
}

}  // namespace dsv4
