// Checkpoints of DeepSeek-V4 whose weights dsv4 does not read, named by what made them: quantisers' formats, adapters, vision releases, pruned models.
#pragma once

#include "checkpoint/file_set.h"
#include "checkpoint/json_fields.h"

namespace dsv4 {

/// Error, one line with what to take instead, for a config.json (its fields) that says so.
void refuse_foreign_config(const Fields& config);

/// The same for names and shapes of tensors. Those that nobody knows pass: the tensor table decides on them.
void refuse_foreign_tensors(const FileSet& files);

}  // namespace dsv4
