// An open file that closes itself.
#pragma once

#include <unistd.h>

namespace dsv4 {

/// Closes the descriptor unless it was taken out or never opened (-1).
struct Descriptor {
  int fd = -1;

  explicit Descriptor(int opened) : fd(opened) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

}  // namespace dsv4
