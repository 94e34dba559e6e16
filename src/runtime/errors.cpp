// What exceptions say.
#include "runtime/errors.h"

#include <new>

#include "runtime/loaded_model.h"

namespace dsv4 {

std::string reason_of(const std::exception& error) {
  // OpenVINO hands an exception on as text: its own allocations' after the first, oneDNN's after the second.
  const std::string text = error.what();
  bool memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
  for (const char* words : {"std::bad_alloc", "Failed to allocate", "can't alloc"})
    memory = memory || text.find(words) != std::string::npos;
  return memory ? "not enough memory" : first_line(text);
}

}  // namespace dsv4
