// The op vocabulary of the model: what a block of the architecture asks for, and what each program expands in its own way.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/config.h"
#include "openvino/core/model.hpp"
#include "openvino/core/node_output.hpp"

namespace dsv4 {

using Value = ov::Output<ov::Node>;

/// What hyper_connect_pre hands to the sublayer and keeps for hyper_connect_post. T = B*S tokens.
struct HyperConnection {
  Value input;     ///< [T,1,D] mix of the streams, normalised: input of the sublayer
  Value residual;  ///< [T,hc,D] the streams as they were
  Value post;      ///< [T,1,hc] weight of the sublayer's output in each stream
  Value comb;      ///< [T,hc,hc] doubly stochastic mixing of the streams; summed over its first index
};

/// The hc residual streams between two sublayers. A program may leave the post of a sublayer to whatever reads the streams next, so that one pass over
/// them does both.
struct Streams {
  Value value;  ///< [T,hc,D]; before the pending post, if there is one
  struct Post {
    Value output;  ///< [T,1,D] of the sublayer
    Value post;
    Value comb;
  };
  std::optional<Post> pending;
};

/// A block of the architecture, attention and experts: where its weights are, of what kind it is, which of the cache's layers is its own.
struct Block {
  std::string prefix;  ///< of its weights in the checkpoint: "layers.3"
  LayerConfig kind;
  int64_t cache = 0;
};

/// What the model's graph ends in.
struct ModelOutputs {
  Value logits;               ///< [B,S,V], or [n,V]
  Streams streams;            ///< behind the last block
  std::vector<Streams> taps;  ///< behind the blocks that were asked for, in their order
};

/// Activations are float32; a program may leave out dims of 1. Weights are named, never passed: `prefix` is a checkpoint prefix such as "layers.3.attn".
class Vocabulary {
 public:
  virtual ~Vocabulary() = default;

  /// ids of the call -> [T,hc,D]: the embedding, copied into every residual stream.
  virtual Streams embed() = 0;
  /// streams [T,hc,D] -> the sublayer's input, RMS-normalised by the weight `norm`, and what its post needs. site: "layers.N.hc_attn" or "layers.N.hc_ffn".
  virtual HyperConnection hyper_connect_pre(const Streams& streams, const std::string& site, const std::string& norm) = 0;
  /// sublayer output [T,1,D] -> new streams [T,hc,D].
  virtual Streams hyper_connect_post(const HyperConnection& connection, const Value& output) = 0;
  /// streams [T,hc,D] -> [T,1,D], normalised by the weight `norm`. site: "hc_head".
  virtual Value hyper_connect_head(const Streams& streams, const std::string& site, const std::string& norm) = 0;
  /// x [T,1,D] -> [T,1,D]: attention of a block, its state included.
  virtual Value attention(const Value& x, const Block& block) = 0;
  /// x [T,1,D] -> [T,1,D]: router, routed experts and shared expert of a block.
  virtual Value experts(const Value& x, const Block& block) = 0;
  /// x [T,1,D] -> [B,S,V].
  virtual Value logits(const Value& x, const std::string& weight) = 0;

  /// The program with these logits as its output.
  virtual std::shared_ptr<ov::Model> finish(const ModelOutputs& outputs) = 0;
};

}  // namespace dsv4
