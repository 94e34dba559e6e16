// Fills openvino_model.bin from the checkpoint: constants in parallel, a few rows at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "convert/plan.h"

namespace dsv4 {

/// Creates `path` with the plan's constants at their offsets and `small_constants` at `small_offset`. The file's blocks are reserved first, so that a
/// full disk is an Error before any work. Source pages are given back as soon as they are converted.
void write_bin(const Checkpoint& checkpoint, const StoragePlan& plan, uint64_t small_offset, std::string_view small_constants,
               const std::filesystem::path& path, const std::function<void(uint64_t done, uint64_t total)>& progress);

}  // namespace dsv4
