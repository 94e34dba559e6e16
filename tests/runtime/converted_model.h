// A golden's checkpoint converted for one test, and its expected values.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "convert/convert.h"
#include "dsv4/session.h"
#include "reference/golden_data.h"
#include "support/files.h"

namespace dsv4::testing_support {

inline std::filesystem::path convert_golden(const std::string& golden, const std::filesystem::path& parent, bool stateful = true,
                                            int64_t layers = -1) {
  ConvertOptions options;
  options.checkpoint = dsv4_test::golden_checkpoint(golden);
  options.output = parent / (golden + (stateful ? "" : "-prefill") + (layers < 0 ? "" : "-" + std::to_string(layers)));
  options.stateful = stateful;
  options.layers = layers;
  convert(options);
  return options.output;
}

inline dsv4_test::GoldenData toy_golden() { return dsv4_test::GoldenData(std::string("toy")); }

/// Changes fields of a JSON file: a JSON merge patch, in which null takes a field away.
inline void change_json(const std::filesystem::path& file, const nlohmann::json& changes) {
  auto content = nlohmann::json::parse(read_file(file));
  content.merge_patch(changes);
  write_file(file, content.dump());
}

/// Changes one field of a model folder's config.json.
inline void set_in_config(const std::filesystem::path& folder, const std::string& key, const nlohmann::json& value) {
  change_json(folder / "config.json", {{key, value}});
}

/// Exact ones: of the CPU program, what the portable program does too.
inline EngineOptions last_position(Program program = Program::kPortable) {
  EngineOptions options;
  options.program = program;
  options.activations = ActivationRounding::kF32;
  options.cache = CachePrecision::kF32;
  options.threads = 2;
  return options;
}

inline EngineOptions every_position(Program program = Program::kPortable) {
  EngineOptions options = last_position(program);
  options.all_logits = true;
  return options;
}

/// Logits of all tokens, fed in calls of these lengths, which repeat.
inline std::vector<float> feed_in_parts(Session& session, std::span<const int64_t> tokens, const std::vector<size_t>& lengths,
                                        int64_t chunk = 512) {
  std::vector<float> logits;
  size_t begin = 0;
  for (size_t i = 0; begin < tokens.size(); ++i) {
    const size_t length = std::min(lengths[i % lengths.size()], tokens.size() - begin);
    const std::vector<float> part = session.feed(tokens.subspan(begin, length), chunk);
    logits.insert(logits.end(), part.begin(), part.end());
    begin += length;
  }
  return logits;
}

/// Largest difference; infinite where one is not a number.
inline double largest_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return HUGE_VAL;
  double largest = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(a[i]) - b[i]);
    if (!(difference <= largest)) largest = std::isnan(difference) ? HUGE_VAL : difference;
  }
  return largest;
}

/// What two float32 implementations may differ by on the goldens (their README).
constexpr double kGoldenTolerance = 1e-4;

}  // namespace dsv4::testing_support
