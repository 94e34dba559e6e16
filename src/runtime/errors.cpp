// What exceptions say.
#include "runtime/errors.h"

#include <new>

#include "runtime/loaded_model.h"

namespace dsv4 {

std::string reason_of(const std::exception& error) {
  // OpenVINO hands an exception of an op on as text.
  const std::string text = error.what();
  const bool memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr || text.find("std::bad_alloc") != std::string::npos;
  return memory ? "not enough memory" : first_line(text);
}

}  // namespace dsv4
