// Op Attention: checks, and the sequence of steps of one call.
#include "ops/attention/attention.h"

#include <algorithm>
#include <array>
#include <memory>

#include "ops/attention/attention_weights.h"
#include "ops/attention/cache_rounding.h"
#include "ops/attention/compressor.h"
#include "ops/attention/indexer.h"
#include "ops/attention/rope.h"
#include "ops/attention/rows.h"
#include "ops/attention/runs.h"
#include "ops/attention/sparse_core.h"
#include "ops/support/op_times.h"
#include "ops/support/parallel.h"

namespace dsv4::ops {

namespace {

constexpr size_t kFirstWeight = 3;    // after x, runs, frequencies
constexpr int64_t kQueryBlock = 512;  // tokens whose queries are held at once: [512, H*hd] floats

/// Products that one call of multiply() computes together.
class Products {
 public:
  void add(const PackedMatrix& matrix, const Activations& x, float* y, int64_t y_stride) { products_[count_++] = {matrix, x, y, y_stride}; }
  void compute(Scratch& scratch) const { multiply(std::span(products_.data(), count_), scratch); }

 private:
  std::array<Product, 7> products_;
  size_t count_ = 0;
};

/// One call: T rows of one or more sequences. What is a product is computed for all of them at once.
class Call {
 public:
  Call(const AttentionAttributes& attributes, const AttentionWeights& weights, std::span<Run> runs, const float* frequencies,
       int64_t tokens, Scratch& scratch)
      : a_(attributes),
        w_(weights),
        runs_(runs),
        frequencies_(frequencies),
        tokens_(tokens),
        scratch_(scratch),
        places_(places_of(runs, tokens, scratch)) {}

  void run(const float* x, float* out) {
    {
      const TimePart time(OpPart::kAttentionInputs);
      rope_ = make_rope_table(
          frequencies_, a_.rope_dim / 2, tokens_, [this](int64_t t) { return places_[t].position; }, scratch_);
      project(x);
      finish_rows();
      if (a_.ratio > 0) compress();
    }
    for (int64_t begin = 0; begin < tokens_; begin += kQueryBlock) {
      attend_block(begin, std::min(tokens_, begin + kQueryBlock), out + begin * w_.hidden());
    }
    keep_windows();
  }

 private:
  float norm_eps() const { return static_cast<float>(a_.norm_eps); }
  CachePrecision type() const { return runs_[0].cache.type; }  // of all of them
  int64_t row_bytes() const { return a_.head_dim * value_bytes(type()); }

  /// Everything that is a product with x: the query latent, the window rows, the compressors' raw rows, the indexer's head weights.
  void project(const float* x) {
    const Activations input = make_activations(x, tokens_, w_.hidden(), w_.hidden(), a_.mode, scratch_);
    Products products;
    latent_ = scratch_.take<float>(tokens_ * w_.q_rank());
    kv_ = scratch_.take<float>(tokens_ * a_.head_dim);
    products.add(*w_.wq_a, input, latent_, w_.q_rank());
    products.add(*w_.wkv, input, kv_, a_.head_dim);
    const auto raw_rows = [&](const CompressorWeights& weights, int64_t dims) {
      const int64_t width = raw_row_floats(a_.compression(), dims);
      float* raw = scratch_.take<float>(tokens_ * width);
      products.add(*weights.wkv, input, raw, width);
      products.add(*weights.wgate, input, raw + width / 2, width);
      return raw;
    };
    if (a_.ratio > 0) raw_ = raw_rows(w_.compressor, a_.head_dim);
    if (a_.overlap) {
      index_raw_ = raw_rows(w_.index_compressor, a_.index_head_dim);
      index_weights_ = scratch_.take<float>(tokens_ * a_.index_heads);
      products.add(*w_.weights_proj, input, index_weights_, a_.index_heads);
    }
    products.compute(scratch_);
  }

  /// Norms of the latent and of the window rows; these rotated, and as the cache has them: within a call too, so that its split does not matter.
  void finish_rows() {
    rows_ = scratch_.take<std::byte>(tokens_ * row_bytes());
    for (Run& run : runs_) run.window_rows = rows_ + run.first_row * row_bytes();
    constexpr int64_t kCost = 16;  // of a value, in multiplications
    parallel_pieces(tokens_, kWorthAThread / (kCost * (w_.q_rank() + a_.head_dim)) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        rms_norm(latent_ + t * w_.q_rank(), w_.q_norm, w_.q_rank(), norm_eps());
        float* row = kv_ + t * a_.head_dim;
        rms_norm(row, w_.kv_norm, a_.head_dim, norm_eps());
        rotate(rope_, t, row, a_.head_dim);
        if (a_.quantize_cache) round_through_fp8(row, a_.head_dim - a_.rope_dim);
        store_row(row, a_.head_dim, type(), rows_ + t * row_bytes());
      }
    });
  }

  /// Entries that the call completes go to the lists at once; a token sees those of its own and earlier positions.
  void compress() {
    append_entries(compressors(w_.compressor, false, raw_, a_.head_dim), scratch_);
    if (a_.overlap) append_entries(compressors(w_.index_compressor, true, index_raw_, a_.index_head_dim), scratch_);
  }

  /// One compressor in every run; raw [T, raw_row_floats].
  std::span<const Compressor> compressors(const CompressorWeights& weights, bool of_index, const float* raw, int64_t dims) {
    auto* all = scratch_.take<Compressor>(std::ssize(runs_));
    const int64_t width = raw_row_floats(a_.compression(), dims);
    for (size_t i = 0; i < runs_.size(); ++i) {
      Compressor& c = *std::construct_at(all + i, Compressor{a_, runs_[i], weights, of_index, raw + runs_[i].first_row * width});
      const auto position_of = [&](int64_t entry) { return (c.first_entry() + entry) * a_.ratio; };
      c.rope = make_rope_table(frequencies_, a_.rope_dim / 2, c.entries_made(), position_of, scratch_);
    }
    return {all, runs_.size()};
  }

  /// Queries, core and output projection of tokens [begin, end) of the call.
  void attend_block(int64_t begin, int64_t end, float* out) {
    Scratch scratch;  // gone with the block
    const int64_t n = end - begin, width = a_.heads * a_.head_dim;
    SparseCore core{a_, places_ + begin, n};
    core.sinks = w_.sinks;
    core.rope = rope_.from(begin);

    // Products with the latent: the heads' queries, and the indexer's from the first token that selects to the last.
    Products products;
    core.heads_out = scratch.take<float>(n * width);  // [n,H*hd]
    const Activations latent = make_activations(latent_ + begin * w_.q_rank(), n, w_.q_rank(), w_.q_rank(), a_.mode, scratch);
    products.add(*w_.wq_b, latent, core.heads_out, width);
    int64_t first = 0, last = a_.overlap ? n : 0;  // last: one behind it
    const auto selects = [&](int64_t t) { return core.visible(t) > a_.index_topk; };
    while (first < last && !selects(first)) ++first;
    while (first < last && !selects(last - 1)) --last;
    float* index_q = nullptr;
    if (first < last) {
      const int64_t index_width = a_.index_heads * a_.index_head_dim;
      index_q = scratch.take<float>((last - first) * index_width);  // [.., Hi*hi]
      products.add(*w_.index_wq_b, latent.slice(first, last - first), index_q, index_width);
    }
    {
      const TimePart time(OpPart::kAttentionQueries);
      products.compute(scratch);
    }
    core.first_selected = first;
    if (first < last) core.selected = select(begin + first, last - first, index_q, scratch);
    {
      const TimePart time(OpPart::kAttentionCore);
      attend(core, scratch);
    }
    project_out(core.heads_out, n, out, scratch);
  }

  /// Of `n` tokens from token `begin` of the call on: the entries that those of them see that select, [n, topk].
  const int32_t* select(int64_t begin, int64_t n, float* index_q, Scratch& scratch) {
    const TimePart time(OpPart::kAttentionIndexer);
    const Indexer x{a_, places_ + begin, n, index_q, index_weights_ + begin * a_.index_heads, rope_.from(begin)};
    int32_t* selected = scratch.take<int32_t>(n * a_.index_topk);
    select_entries(x, selected, scratch);
    return selected;
  }

  /// Grouped output projection (spec 2.8): [n,H*hd] -> G x [n,r] -> [n,D].
  void project_out(const float* heads, int64_t n, float* out, Scratch& scratch) {
    const TimePart time(OpPart::kAttentionOutput);
    const int64_t width = a_.heads * a_.head_dim, group_width = width / a_.groups, z_width = a_.groups * w_.o_rank();
    float* z = scratch.take<float>(n * z_width);
    auto* products = scratch.take<Product>(a_.groups);
    for (int64_t g = 0; g < a_.groups; ++g) {
      const Activations group = make_activations(heads + g * group_width, n, group_width, width, a_.mode, scratch);
      std::construct_at(products + g, Product{w_.wo_a[static_cast<size_t>(g)], group, z + g * w_.o_rank(), z_width});
    }
    multiply(std::span(products, static_cast<size_t>(a_.groups)), scratch);
    multiply(*w_.wo_b, make_activations(z, n, z_width, z_width, a_.mode, scratch), out, w_.hidden(), scratch);
  }

  /// The last rows of each run into its ring, once nothing reads those that they replace.
  void keep_windows() {
    for (const Run& run : runs_) run.cache.window.append(run.window_rows, run.position, run.rows);
  }

  const AttentionAttributes& a_;
  const AttentionWeights& w_;
  const std::span<Run> runs_;
  const float* frequencies_;
  const int64_t tokens_;
  Scratch& scratch_;
  const RowPlace* places_;
  RopeTable rope_;
  float* latent_ = nullptr;         // [T,R]
  float* kv_ = nullptr;             // [T,hd]
  std::byte* rows_ = nullptr;       // [T,hd] in the cache's type
  float* raw_ = nullptr;            // [T,2*c*hd]
  float* index_raw_ = nullptr;      // [T,2*c*hi]
  float* index_weights_ = nullptr;  // [T,Hi]
};

}  // namespace

Attention::Attention(const ov::Output<ov::Node>& x, const ov::Output<ov::Node>& runs, const ov::Output<ov::Node>& frequencies,
                     const WeightInputs& weights, const AttentionAttributes& attributes)
    : Op(weights.after({x, runs, frequencies})), weights_(weights), attributes_(attributes) {
  constructor_validate_and_infer_types();
}

void Attention::validate_and_infer_types() {
  const AttentionAttributes& a = attributes_;
  NODE_VALIDATION_CHECK(this, get_input_size() >= kFirstWeight, "expected x, runs, frequencies and weights");
  check_attributes(this, a);
  const std::vector<PackedMatrix> weights = weights_.describe(this, kFirstWeight);
  check_weights(this, weights, a);
  const int64_t hidden = weights[0].cols;
  check_input(this, 0, "x", ov::element::f32, {-1, hidden});
  check_input(this, 1, "runs", ov::element::i32, {-1, kRunNumbers});
  check_input(this, 2, "frequencies", ov::element::f32, {a.rope_dim / 2});
  set_output_type(0, ov::element::f32, {first_dim(this, 0), hidden});
}

std::shared_ptr<ov::Node> Attention::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  return std::make_shared<Attention>(inputs[0], inputs[1], inputs[2], weights_.among(inputs, kFirstWeight), attributes_);
}

bool Attention::visit_attributes(ov::AttributeVisitor& visitor) {
  AttentionAttributes& a = attributes_;
  weights_.visit(visitor);
  visitor.on_attribute("layer", a.layer);
  visitor.on_attribute("heads", a.heads);
  visitor.on_attribute("head_dim", a.head_dim);
  visitor.on_attribute("rope_dim", a.rope_dim);
  visitor.on_attribute("groups", a.groups);
  visitor.on_attribute("window", a.window);
  visitor.on_attribute("ratio", a.ratio);
  visitor.on_attribute("overlap", a.overlap);
  visitor.on_attribute("index_heads", a.index_heads);
  visitor.on_attribute("index_head_dim", a.index_head_dim);
  visitor.on_attribute("index_topk", a.index_topk);
  visitor.on_attribute("norm_eps", a.norm_eps);
  visit_mode(visitor, a.mode);
  visitor.on_attribute("quantize_cache", a.quantize_cache);
  return true;
}

bool Attention::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  const AttentionAttributes& a = attributes_;
  std::vector<PackedMatrix> storage;
  Scratch scratch;
  const AttentionWeights weights = name_weights(weights_.view(inputs, kFirstWeight, storage), a, scratch);
  const ov::Shape& shape = inputs[0].get_shape();
  const auto hidden = static_cast<size_t>(weights.hidden());
  OPENVINO_ASSERT(shape.size() == 2 && shape[1] == hidden, "Attention: x has shape ", shape, "; expected [T,", hidden, "]");
  OPENVINO_ASSERT(inputs[2].get_size() == static_cast<size_t>(a.rope_dim / 2), "Attention: ", inputs[2].get_size(),
                  " frequencies; expected ", a.rope_dim / 2);
  outputs[0].set_shape({shape[0], hidden});
  const auto tokens = static_cast<int64_t>(shape[0]);
  const std::span<Run> runs =
      read_runs(inputs[1], tokens, {a.layer, a.compression(), a.window, a.head_dim, a.overlap ? a.index_head_dim : 0}, scratch);
  if (tokens == 0) return true;
  Call(a, weights, runs, inputs[2].data<const float>(), tokens, scratch).run(inputs[0].data<const float>(), outputs[0].data<float>());
  return true;
}

}  // namespace dsv4::ops
