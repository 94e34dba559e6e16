// The weights of the reference: those of the checkpoint, or what is left of them after a conversion to fewer bits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "formats/stored_format.h"
#include "reference/linear_algebra.h"

namespace dsv4::reference {

/// Every value becomes what a model that keeps the tensor in `format` multiplies with. `values` holds rows of `columns`; groups lie along a row.
/// Integer types by NNCF's data-free arithmetic (docs/conversion.md, Arithmetic): quantised with the float32 scale, multiplied back, in float32, with
/// that scale rounded to float16. Error that begins with `name`: columns that the groups do not divide, a value or a scale beyond float16.
void round_as_stored(const std::string& name, const StoredFormat& format, int64_t columns, std::span<float> values);

/// A checkpoint whose tensors read as `formats` keep them.
class StoredWeights {
 public:
  /// Error for a name that the checkpoint does not have, groups that do not divide its rows, and a published format (FP4, FP8, BF16) for what is published in another.
  StoredWeights(const Checkpoint& checkpoint, const StoredFormats& formats);

  const Checkpoint& checkpoint() const { return checkpoint_; }
  const Config& config() const { return checkpoint_.config(); }

  /// A tensor as float32, its pages given back. Rank 1 makes one row.
  Matrix matrix(const std::string& name) const;
  std::vector<float> vector(const std::string& name) const;

  /// Rows [begin, end) of a matrix into `out`; release() gives the pages of all of them back.
  void rows(const std::string& name, int64_t begin, int64_t end, float* out) const;
  void release(const std::string& name) const { checkpoint_.release(name); }

 private:
  /// `values`: rows of `columns`, the tensor's rows from `first_row` on.
  void round(const std::string& name, int64_t first_row, int64_t columns, std::span<float> values) const;

  const Checkpoint& checkpoint_;
  StoredFormats formats_;
};

}  // namespace dsv4::reference
