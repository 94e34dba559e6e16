// Quantisation errors of whole weights.
#include "convert/sensitivity.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "convert/piece_queue.h"
#include "convert/source_errors.h"
#include "quantize/compress.h"

namespace dsv4 {

float int8_error(const Checkpoint& checkpoint, const WeightUnit& unit, const std::function<bool()>& stopped) {
  const PlannedWeight weight{unit, {}, {}, {}, {}};
  PieceQueue queue(std::span(&weight, 1));
  std::mutex mutex;
  float largest = 0.0f;
  for_each_piece(queue, stopped, [&](const PieceQueue::Numbered& numbered, PieceBuffers& buffers) {
    of_source(checkpoint, numbered.piece, [&] { read_piece(checkpoint, numbered.piece, buffers); });
    std::vector<float> errors(static_cast<size_t>(numbered.piece.rows()));
    int8_row_errors(buffers.values.data(), numbered.piece.rows(), unit.columns(), errors.data());
    const std::lock_guard lock(mutex);
    largest = std::max(largest, *std::max_element(errors.begin(), errors.end()));
  });
  for (const WeightPart& part : unit.parts) checkpoint.release(part.tensor);
  return largest;
}

}  // namespace dsv4
