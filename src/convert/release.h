// Which of DeepSeek's releases a checkpoint is, as far as its chat format depends on it.
#pragma once

#include "checkpoint/checkpoint.h"
#include "text/chat_message.h"

namespace dsv4 {

/// 0731 where there are DSpark's draft stages, in the files or in config.json: no field names the release, and the original one has NextN blocks.
ChatRelease release_of(const Checkpoint& checkpoint);

}  // namespace dsv4
