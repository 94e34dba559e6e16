// The CPU program: the op vocabulary expanded into dsv4's own ops (src/ops), which read the weights as the .bin holds them.
#pragma once

#include <memory>
#include <string>

#include "checkpoint/config.h"
#include "graph/cpu/token_bytes.h"
#include "graph/vocabulary.h"
#include "ops/attention/cache.h"
#include "ops/hyper_connect/hyper_connect.h"
#include "ops/matrix/multiply.h"
#include "ops/support/op_inputs.h"

namespace dsv4 {

/// Weights as they are stored, by the names of graph/weights.h.
class PackedWeights {
 public:
  virtual ~PackedWeights() = default;

  /// Constants of a weight: values, or codes, scales and, if it has them, zero points. Error for a name that is not there.
  virtual ov::OutputVector stored(const std::string& name) = 0;
  /// Those of a stack of `count` matrices [rows, cols].
  virtual ov::OutputVector stored_stack(const std::string& name, int64_t count, int64_t rows, int64_t cols) = 0;
};

struct CpuOptions {
  ActivationRounding activations = ActivationRounding::kInt8;
  bool quantize_cache = false;    ///< round what is cached as the model was trained (spec 2.9 ii)
  bool prefetch_experts = false;  ///< the weights are a mapped file: ask the kernel for the pages of selected experts
  bool for_file =
      false;  ///< to be written: weights are inputs of the ops, as PackedWeights gives them, and nothing else needs bytes of a .bin
};

/// The program for a call of T tokens, of one sequence or of several. Inputs: `input_ids` i32 [T]; `runs` i32 [R,4], whose tokens they are (ops/attention/attention.h;
/// caches of cpu_cache_shape); `logit_rows` i32 [n], the tokens of the call whose logits are wanted. Output `logits` f32 [n,V].
struct CpuModel {
  std::shared_ptr<ov::Model> model;
  TokenBytes token_bytes;
};
CpuModel build_cpu_model(const Config& config, PackedWeights& weights, const CpuOptions& options = {});

/// The state of a sequence of up to `capacity` tokens.
ops::CacheShape cpu_cache_shape(const Config& config, int64_t capacity, CachePrecision type);

class CpuVocabulary final : public Vocabulary {
 public:
  CpuVocabulary(const Config& config, PackedWeights& weights, const CpuOptions& options);

  Streams embed() override;
  HyperConnection hyper_connect_pre(const Streams& streams, const std::string& site, const std::string& norm) override;
  Streams hyper_connect_post(const HyperConnection& connection, const Value& output) override;
  Value hyper_connect_head(const Streams& streams, const std::string& site, const std::string& norm) override;
  Value attention(const Value& x, const Block& block) override;
  Value experts(const Value& x, const Block& block) override;
  Value logits(const Value& x, const std::string& weight) override;
  std::shared_ptr<ov::Model> finish(const ModelOutputs& outputs) override;

  const TokenBytes& token_bytes() const { return token_bytes_; }

 private:
  /// The named weights in the order in which an op takes them; every token reads all of them, in this part of the op.
  ops::WeightInputs inputs(ops::OpPart part, const std::vector<std::string>& names);
  /// As an op gets them: bound to it, or as inputs.
  ops::WeightInputs given(ops::WeightInputs weights) const;
  ops::WeightInputs mixing_weights(const std::string& site, const std::string& norm);
  ops::HyperConnectAttributes mixing_attributes() const;
  Value frequencies(bool compressed) const;

  const Config& config_;
  PackedWeights& weights_;
  CpuOptions options_;
  TokenBytes token_bytes_;
  std::shared_ptr<ov::op::v0::Parameter> input_ids_, runs_, logit_rows_;
};

}  // namespace dsv4
