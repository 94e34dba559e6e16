// Who has `dsv4 convert` done inside of a process that is not the program: the Python API.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "convert/convert.h"

namespace dsv4 {

/// Told and asked where the program would print and take signals.
struct ConvertHost {
  const std::atomic<bool>* stop = nullptr;                      ///< as ConvertOptions::stop
  std::function<void(uint64_t done, uint64_t total)> progress;  ///< as ConvertOptions::progress
  std::function<void(const std::string&)> notice;               ///< lines for the user; not empty
  ConvertReport report;                                         ///< what came of it, or of the plan of --dry-run
};

}  // namespace dsv4
