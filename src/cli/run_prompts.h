// dsv4 run --prompts: many prompts, a JSON line each, generated side by side.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "dsv4/engine.h"
#include "dsv4/request.h"

namespace dsv4 {

struct PromptsArguments {
  std::filesystem::path model;
  std::filesystem::path prompts;  ///< the lines; "-": standard input
  std::filesystem::path resume;   ///< output of an earlier run; empty: none
  int64_t parallel = 8;
  EngineOptions engine;
  Request defaults;               ///< for what a line does not say
  std::vector<std::string> stop;  ///< the same
  bool no_bos = false;
  bool quiet = false;
};

/// Prints a line for each prompt as it ends. Error, behind all of them, where one of them ended in an error.
void run_prompts(const PromptsArguments& arguments);

}  // namespace dsv4
