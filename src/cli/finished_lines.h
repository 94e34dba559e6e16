// What an earlier run of `dsv4 run --prompts` has finished: --resume.
#pragma once

#include <cstdint>
#include <filesystem>
#include <unordered_set>

namespace dsv4 {

struct FinishedLines {
  std::unordered_set<int64_t> done;  ///< indices of lines that ended without an error
  bool cut = false;                  ///< the last line has no end
  int64_t damaged = 0;               ///< lines that an interruption cut, whose prompts have to run again
};

/// Reads the output of an earlier run. A line that begins as that output does and breaks off is one that was being written when the run ended, wherever it is:
/// later runs may have written behind it. Error that names file and line for everything else.
FinishedLines read_finished_lines(const std::filesystem::path& file);

}  // namespace dsv4
