// Whether what an earlier run finished is still that of this checkpoint and of this disk.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "convert/finished_work.h"
#include "convert/plan.h"

namespace dsv4 {

struct ResumeOptions {
  std::function<void(uint64_t done, uint64_t total)> progress;  ///< bytes read again; may be empty
  std::function<bool()> stopped;                                ///< Interrupted once it is true
};

/// The first shard whose bytes, as far as `work` was made from them, are others now; nothing when they are the same. Reads the finished pieces' bytes of those shards
/// for which `doubtful` says so, on all cores, and gives their pages back.
std::optional<std::string> changed_shard(const Checkpoint& checkpoint, const StoragePlan& plan, const FinishedWork& work,
                                         const std::function<bool(const SafetensorsFile&)>& doubtful, const ResumeOptions& options);

struct EarlierWork {
  std::string refusal;                 ///< why it cannot be gone on with; empty: it can
  std::shared_ptr<ContentHasher> bin;  ///< of the first `bin_bytes` of the .bin
};

/// Holds `work` against the disk: the .bin is read again, and every shard of which device, inode, size, time of modification or time of change are others than they
/// were.
EarlierWork check_finished(const Checkpoint& checkpoint, const StoragePlan& plan, const FinishedWork& work,
                           const std::filesystem::path& bin, const ResumeOptions& options);

}  // namespace dsv4
