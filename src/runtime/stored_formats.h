// How a model folder keeps each weight, read from the constants of its IR.
#pragma once

#include "checkpoint/config.h"
#include "formats/stored_format.h"
#include "openvino/core/model.hpp"
#include "openvino/op/constant.hpp"
#include "runtime/constants.h"

namespace dsv4 {

/// The format of every weight of the first config.num_hidden_layers layers, by checkpoint tensor name; expert stacks are listed expert by expert.
/// A weight X is the constant of that name (a stack: X without the expert, `w1w3` for gate and up; row groups: X/rows.N), with X/scale and
/// X/zero_point beside integers, in NNCF's layout: [out, in] with a scale a row, [out, groups, group] with one a group; stacks have the
/// expert in front, and `--experts gather` declares 4-bit stacks as bytes [E, bytes].
/// Error for a weight that is not there or is kept in another way, because nothing could be said about its values: it begins with the constant's name, which the
/// caller puts after that of the file.
StoredFormats stored_formats(const ov::Model& model, const Config& config);

/// Error as above unless every constant of these weights that is there has the type and the shape that `config` gives it, with its scales and zero points. OpenVINO's
/// CPU plugin believes them: a zero point of other dimensions is a division by zero there.
void check_weights(const ov::Model& model, const Config& config);

/// Error as above unless every entry of hash routing's tables is an expert. Reads them whole: 8 MB of a release.
void check_tables(const ov::Model& model, const Config& config);

/// Whether the constant of a stack is what `--experts gather` declares 4-bit ones as: bytes [E, bytes of a matrix].
bool is_byte_stack(const ov::op::v0::Constant& constant);

/// What the bytes of such a stack [experts, rows, columns] hold, by the constants beside it. Error as above.
StoredFormat byte_stack_format(const Constants& constants, const std::string& name, const ov::op::v0::Constant& constant,
                               const ov::Shape& logical);

}  // namespace dsv4
