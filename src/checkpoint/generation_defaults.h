// How a model's makers want its tokens chosen: what generation_config.json says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace dsv4 {

/// Nothing where the file states none.
struct GenerationDefaults {
  std::optional<double> temperature;  ///< 0 where `do_sample` is false
  std::optional<double> top_p;
  std::optional<int64_t> top_k;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;
};

/// Of DIRECTORY/generation_config.json, which need not be there. Error that names the file and the field for values out of range.
GenerationDefaults read_generation_defaults(const std::filesystem::path& directory);

}  // namespace dsv4
