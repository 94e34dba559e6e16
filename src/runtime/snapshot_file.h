// Files of snapshots: what dsv4/snapshot.h declares, and a look whether one could be written.
#pragma once

#include <filesystem>

#include "dsv4/snapshot.h"

namespace dsv4 {

/// Error when write_snapshot() could not create a file there. For commands, which know the name long before there is something to write.
void check_snapshot_path(const std::filesystem::path& file);

}  // namespace dsv4
