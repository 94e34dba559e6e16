// The processor time of a process: of all its threads, which other users of the machine do not lengthen.
#pragma once

#include <time.h>

inline double processor_microseconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return 1e6 * static_cast<double>(time.tv_sec) + 1e-3 * static_cast<double>(time.tv_nsec);
}
