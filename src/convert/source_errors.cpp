// Messages with the name of the shard.
#include "convert/source_errors.h"

#include "checkpoint/quote.h"

namespace dsv4 {

std::string in_shard(const Checkpoint& checkpoint, const Piece& piece, const std::string& message) {
  const std::string shard = path_text(checkpoint.stored(piece.part->tensor).file->path());
  return message.starts_with(shard) ? message : concat(shard, ": ", message);
}

}  // namespace dsv4
