// A file of how often a model's experts are used, so that a later run begins with those in memory that will probably be needed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace dsv4 {

struct ExpertProfile {
  size_t layers = 0, experts = 0;  ///< experts of a layer
  std::vector<float> frequencies;  ///< [layers * experts], finite, 0 and more
};

/// A line "dsv4 expert profile 1, LAYERS x EXPERTS", the float32 numbers with the low byte first, and 32 digits of a hash of all of that.
std::string expert_profile_text(const ExpertProfile& profile);
/// Error, beginning with `file`, for bytes that are no such text.
ExpertProfile parse_expert_profile(const std::string& text, const std::string& file);

/// Nothing where there is no file yet. Error for one that is damaged or of another model than one of so many layers and experts.
std::optional<ExpertProfile> read_expert_profile(const std::filesystem::path& file, size_t layers, size_t experts);
/// The file appears complete or stays as it was.
void write_expert_profile(const std::filesystem::path& file, const ExpertProfile& profile);

}  // namespace dsv4
