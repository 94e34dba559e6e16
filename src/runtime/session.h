// One sequence on an engine: tokens in, logits out, its state kept between calls.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "openvino/runtime/infer_request.hpp"
#include "runtime/engine.h"

namespace dsv4 {

/// Not thread-safe; sessions of one engine are independent of each other.
class Session {
 public:
  explicit Session(const Engine& engine);

  /// Appends tokens, at most `chunk` of them an inference so that memory stays flat, and returns logits: of every new token, [n,V], if the engine has
  /// all_logits; else of the last, [1,V]. Error for no tokens, an id outside [0,V), or more positions than the model was made for.
  std::vector<float> feed(std::span<const int64_t> tokens, int64_t chunk = 512);

  /// Starts a new sequence.
  void reset();

  int64_t position() const { return position_; }  ///< tokens so far

  /// The state after position() tokens; restore() goes on from it, in this or another session of the same model.
  struct Snapshot {
    int64_t position = 0;
    std::vector<int64_t> tokens;  // the prefill-only form
    std::map<std::string, ov::Tensor> states;
  };
  Snapshot save();
  void restore(const Snapshot& snapshot);

 private:
  void infer(std::span<const int64_t> tokens, std::vector<float>& logits);

  const Engine& engine_;
  ov::InferRequest request_;
  int64_t position_ = 0;
  std::vector<int64_t> tokens_;  // history, kept by the prefill-only form alone
};

/// Error unless every id is in [0, vocab_size); `what` begins the message.
void check_tokens(std::span<const int64_t> tokens, int64_t vocab_size, const std::string& what);

}  // namespace dsv4
