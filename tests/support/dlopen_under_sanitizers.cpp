// Linked into tests that are built with AddressSanitizer: oneTBB loads a library with RTLD_DEEPBIND, at which AddressSanitizer ends the program.
#include <dlfcn.h>

extern "C" __attribute__((visibility("default"))) void* dlopen(const char* file, int flags) {
  static const auto next = reinterpret_cast<void* (*)(const char*, int)>(dlsym(RTLD_NEXT, "dlopen"));
  return next(file, flags & ~RTLD_DEEPBIND);
}
