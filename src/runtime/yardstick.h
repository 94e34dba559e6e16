// How fast memory is read between the tokens that are measured, and what share of it they read.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/read_bandwidth.h"

namespace dsv4 {

/// Tokens between two readings. One that reads half a gigabyte or more stands alone; small models, which stay in a cache from one token to the next, are not
/// driven out of it at every one. 0 bytes: all tokens.
int64_t tokens_between_readings(int64_t token_bytes);

/// Of what memory gives, what a group of tokens read that took `seconds` for its `bytes`: against the bytes of the passes before and after it, which are equal,
/// over the time of both. GB/s of the passes.
double share_of_passes(int64_t bytes, double seconds, double before, double after);

class Yardstick {
 public:
  /// `token_bytes`: that a token reads; 0 where it is not known.
  Yardstick(int threads, int64_t token_bytes, int64_t spoken_for = 0);

  /// Two short passes, one of each kind: before the first group of tokens and after each.
  void read();
  /// A group that lies between the last reading and the one before it.
  void add_group(int64_t tokens, double seconds);

  // Medians over what was read so far; bytes a second.
  double one_stream() const;
  double four_streams() const;
  double share() const;  ///< of one stream; over the groups

 private:
  ReadBandwidth memory_;
  int64_t token_bytes_;
  std::vector<double> one_, four_, shares_;  // GB/s, and quotients
};

}  // namespace dsv4
