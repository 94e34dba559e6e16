// Where the blocks of the model get their weights from: by checkpoint name, as constants that a program stores and expresses its own way.
#pragma once

#include <cstdint>
#include <string>

#include "openvino/core/node_output.hpp"

namespace dsv4 {

/// The blocks name what they need; the converter answers with placeholders for constants of the .bin. The boundary between graph and convert.
/// Every method throws Error for a name that the source does not have.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  /// A matrix [out, in] or a stack [E, out, in] as float32, decompressed in the graph when it is stored in fewer bits.
  virtual ov::Output<ov::Node> matrix(const std::string& name) = 0;

  /// Row group `index` of `count` equal ones of a matrix, row_group_name (formats/stored_format.h): [out / count, in].
  virtual ov::Output<ov::Node> matrix_rows(const std::string& name, int64_t index, int64_t count) = 0;

  /// Rows of a table [V, D] picked by `ids` (i32, any shape S): float32 [S..., D].
  virtual ov::Output<ov::Node> gather_rows(const std::string& name, const ov::Output<ov::Node>& ids) = 0;

  /// Matrices of the stack [E, out, in] picked by `ids` (i32 [n]): float32 [n, out, in]. Picked as stored, so that only they are decompressed.
  virtual ov::Output<ov::Node> gather_matrices(const std::string& name, const ov::Output<ov::Node>& ids) = 0;

  /// A float32 tensor that is never compressed (norms, sinks, biases, hyper-connections, ape), or an i32 table.
  virtual ov::Output<ov::Node> exact(const std::string& name) = 0;
};

}  // namespace dsv4
