// What is wrong with a tensor names the shard that holds it.
#pragma once

#include "checkpoint/checkpoint.h"
#include "convert/errors.h"
#include "convert/piece.h"

namespace dsv4 {

/// `message` after the path of the shard of the piece's tensor, unless it begins with that.
std::string in_shard(const Checkpoint& checkpoint, const Piece& piece, const std::string& message);

/// f(), which reads the piece and may write what it becomes. What the piece cannot be made of is the checkpoint's fault: an Error becomes BadInput that names the shard.
/// What cannot be written is not.
template <class F>
void of_source(const Checkpoint& checkpoint, const Piece& piece, const F& f) {
  try {
    f();
  } catch (const WriteError&) {
    throw;
  } catch (const Error& error) {
    throw BadInput(in_shard(checkpoint, piece, error.what()));
  }
}

}  // namespace dsv4
