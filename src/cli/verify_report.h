// What `dsv4 verify` found, as a table, as JSON and as Markdown for the model card.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "reference/compare.h"
#include "reference/near_ties.h"

namespace dsv4 {

/// One program's logits against two forwards of the reference.
struct ProgramReport {
  LogitDifference format;  ///< against the weights as published: what the formats cost
  JudgedLogits ir;         ///< against the weights as the folder stores them: what the program adds
  std::optional<LogitDifference>
      rounding;  ///< the CPU program with its default rounding against itself without: what int8 activations and a bfloat16 cache add
};

struct VerifyReport {
  int64_t tokens = 0;
  std::string input;                       ///< which they are, for people
  std::map<std::string, int64_t> formats;  ///< how many tensors are stored in each
  std::optional<ProgramReport> portable, cpu;

  bool passed() const { return (!portable || portable->ir.passed) && (!cpu || cpu->ir.passed); }
};

void print_table(const VerifyReport& report);

/// One JSON object on one line.
void print_json(const VerifyReport& report);

std::string card_text(const VerifyReport& report);

}  // namespace dsv4
