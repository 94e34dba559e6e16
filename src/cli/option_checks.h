// Checks of option values that CLI11 leaves out.
#pragma once

#include <CLI/CLI.hpp>

namespace dsv4 {

/// An integer of 64 bits without a sign: CLI11 2.1 takes "-1" and numbers beyond 64 bits as others than those that were written.
CLI::Validator unsigned_64();

/// An integer from `low` to 2^31-1: the message of CLI11's own PositiveNumber prints the largest double.
CLI::Range at_least(int low);

}  // namespace dsv4
