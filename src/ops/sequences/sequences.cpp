// Op Sequences: checks, and a call row by row.
#include "ops/sequences/sequences.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "ops/sequences/body.h"
#include "ops/sequences/call_rows.h"
#include "ops/sequences/sequence_table.h"
#include "ops/support/op_inputs.h"
#include "ops/support/parallel.h"

namespace dsv4::ops {

namespace {

enum Input : size_t { kIds, kMask, kPositions, kBeams, kState, kWanted, kInputs };

constexpr int64_t kTokensAtOnce = 512;  // of a prompt: memory stays flat however long it is
constexpr int64_t kHandleNumbers = 2;

/// All or nothing of the checks: nothing is computed or taken before they have passed.
struct Call {
  std::vector<CallRow> rows;
  std::vector<SequenceTable::Row> origins;
  std::span<const SequenceHandle> state;
};

/// What an exception of OpenVINO says, without where it was thrown.
std::string last_line(std::string_view text) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  return std::string(text.substr(text.rfind('\n') + 1));
}

std::span<const SequenceHandle> handles_of(const ov::Tensor& state) {
  const ov::Shape shape = state.get_shape();
  OPENVINO_ASSERT(shape.size() == 3 && shape[1] == 1 && shape[2] == kHandleNumbers, "Sequences: a state of shape ", shape,
                  "; expected [R,1,2], as get_state() gives it");
  return {static_cast<const SequenceHandle*>(state.data()), shape[0]};
}

}  // namespace

struct Sequences::Engine {
  Engine(const std::shared_ptr<ov::Model>& body, const CacheShape& cache) : program(body), table(cache) {}

  /// Checks everything that the inputs say but what only the table knows.
  Call read(const ov::TensorVector& inputs, int64_t capacity) const {
    const ov::Shape shape = inputs[kIds].get_shape();
    OPENVINO_ASSERT(shape.size() == 2 && inputs[kPositions].get_shape() == shape, "Sequences: input_ids ", shape, " and position_ids ",
                    inputs[kPositions].get_shape(), "; expected the same [B,S]");
    OPENVINO_ASSERT(inputs[kBeams].get_shape() == ov::Shape{shape[0]}, "Sequences: beam_idx ", inputs[kBeams].get_shape(), " for ",
                    shape[0], " rows");
    const ov::Shape wanted = inputs[kWanted].get_shape();
    OPENVINO_ASSERT(wanted.size() == 3 && wanted[0] == shape[0] && (wanted[1] == shape[1] || wanted[1] == 1), "Sequences: logits of ",
                    wanted, " columns are asked for; expected all or the last one");
    Call call;
    call.rows = read_call_rows(inputs[kPositions], inputs[kMask], capacity);
    call.state = handles_of(inputs[kState]);
    const auto* ids = inputs[kIds].data<const int32_t>();
    for (size_t b = 0; b < call.rows.size(); ++b) {
      const int32_t from = inputs[kBeams].data<const int32_t>()[b];
      OPENVINO_ASSERT(from >= 0 && static_cast<size_t>(from) < call.state.size(), "Sequences: beam_idx of row ", b, " is ", from,
                      "; expected 0 to ", static_cast<int64_t>(call.state.size()) - 1);
      call.origins.push_back({call.state[static_cast<size_t>(from)], call.rows[b].before});
      for (size_t s = static_cast<size_t>(call.rows[b].padding); s < shape[1]; ++s) {
        const int32_t id = ids[b * shape[1] + s];
        OPENVINO_ASSERT(id >= 0 && id < program.vocabulary(), "Sequences: token id ", id, " in row ", b, "; expected 0 to ",
                        program.vocabulary() - 1);
      }
    }
    return call;
  }

  static Body::Part next(SequenceTable::Sequence& sequence, std::span<const int32_t> ids, int64_t rows) {
    const int64_t before = sequence.length;
    sequence.memory.will_write(before);
    sequence.length += static_cast<int64_t>(ids.size());
    return {ids, before, sequence.slot.id(), rows};
  }

  /// One row of a prompt, in pieces.
  void feed(std::span<const int32_t> ids, SequenceTable::Sequence& sequence, bool all, float* logits) const {
    const auto count = static_cast<int64_t>(ids.size());
    for (int64_t begin = 0; begin < count; begin += kTokensAtOnce) {
      const int64_t n = std::min(kTokensAtOnce, count - begin), rows = all ? n : begin + n == count ? 1 : 0;
      const Body::Part part = next(sequence, ids.subspan(static_cast<size_t>(begin), static_cast<size_t>(n)), rows);
      program.run(std::span(&part, 1), logits);
      logits += rows * program.vocabulary();
    }
  }

  void compute(const ov::TensorVector& inputs, float* logits, SequenceHandle* state) {
    const Call call = read(inputs, table.capacity());
    const auto* ids = inputs[kIds].data<const int32_t>();
    const auto columns = static_cast<int64_t>(inputs[kIds].get_shape()[1]), wanted = static_cast<int64_t>(inputs[kWanted].get_shape()[1]);
    const auto count = static_cast<int64_t>(call.rows.size());
    std::vector<std::unique_ptr<SequenceTable::Sequence>> sequences = table.take(call.origins, call.state);
    if (columns == 1) {  // a token each: all together
      std::vector<Body::Part> parts;
      for (int64_t b = 0; b < count; ++b) {
        parts.push_back(next(*sequences[static_cast<size_t>(b)], {ids + b, 1}, 1));
      }
      if (!parts.empty()) program.run(parts, logits);
    } else {
      for (int64_t b = 0; b < count; ++b) {
        const int64_t padding = call.rows[static_cast<size_t>(b)].padding, width = program.vocabulary();
        float* row = logits + b * wanted * width;
        const bool all = wanted == columns;
        if (all) std::fill_n(row, padding * width, 0.0f);
        feed({ids + b * columns + padding, static_cast<size_t>(columns - padding)}, *sequences[static_cast<size_t>(b)], all,
             row + (all ? padding * width : 0));
      }
    }
    const std::vector<SequenceHandle> handles = table.keep(std::move(sequences));
    std::copy(handles.begin(), handles.end(), state);
  }

  Body program;
  SequenceTable table;
};

Sequences::Sequences(const ov::OutputVector& inputs, std::shared_ptr<ov::Model> body, const CacheShape& cache)
    : Op(inputs),
      body_(std::move(body)),
      window_(cache.window),
      head_dim_(cache.head_dim),
      index_head_dim_(cache.index_head_dim),
      capacity_(cache.capacity),
      f32_cache_(cache.type == CachePrecision::kF32),
      to_be_written_(true) {
  for (const CacheLayer& layer : cache.layers) {
    ratios_.push_back(layer.ratio);
    overlaps_.push_back(layer.overlap ? 1 : 0);
  }
  constructor_validate_and_infer_types();
}

CacheShape Sequences::cache_shape() const {
  NODE_VALIDATION_CHECK(this, ratios_.size() == overlaps_.size(), ratios_.size(), " ratios and ", overlaps_.size(), " overlaps");
  CacheShape shape;
  for (size_t i = 0; i < ratios_.size(); ++i) shape.layers.push_back({ratios_[i], overlaps_[i] != 0});
  shape.window = window_;
  shape.head_dim = head_dim_;
  shape.index_head_dim = index_head_dim_;
  shape.capacity = capacity_;
  shape.type = f32_cache_ ? CachePrecision::kF32 : CachePrecision::kBF16;
  return shape;
}

/// The last dimension of what the body gives; whether it is the CPU program is found out where it is computed, for a writer's constants hold no values.
int64_t Sequences::vocabulary() const {
  NODE_VALIDATION_CHECK(this, body_ && body_->get_results().size() == 1, "expected a body with one result");
  const ov::PartialShape& logits = body_->get_results()[0]->get_input_partial_shape(0);
  NODE_VALIDATION_CHECK(this, logits.rank() == 2 && logits[1].is_static(), "the body gives ", logits, "; expected [n,V]");
  return logits[1].get_length();
}

void Sequences::validate_and_infer_types() {
  NODE_VALIDATION_CHECK(this, get_input_size() == kInputs, "expected ", static_cast<size_t>(kInputs), " inputs, found ", get_input_size());
  const CacheLayout layout(cache_shape());  // refuses a shape that no cache can have
  check_input(this, kIds, "ids", ov::element::i32, {-1, -1});
  check_input(this, kMask, "mask", ov::element::i32, {-1, -1});
  check_input(this, kPositions, "positions", ov::element::i32, {-1, -1});
  check_input(this, kBeams, "beam_idx", ov::element::i32, {-1});
  check_input(this, kState, "state", ov::element::i32, {-1, 1, kHandleNumbers});
  check_input(this, kWanted, "wanted", ov::element::f32, {-1, -1, 1});
  const ov::PartialShape& wanted = get_input_partial_shape(kWanted);
  const ov::Dimension rows = first_dim(this, kIds), columns = wanted.rank().is_static() ? wanted[1] : ov::Dimension::dynamic();
  if (!engine_ && !to_be_written_) engine_ = std::make_shared<Engine>(body_, layout.shape());
  set_output_type(0, ov::element::f32, {rows, columns, vocabulary()});
  set_output_type(1, ov::element::i32, {rows, 1, kHandleNumbers});
}

std::shared_ptr<ov::Node> Sequences::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  const auto copy = std::make_shared<Sequences>();
  copy->set_arguments(inputs);
  copy->body_ = body_;
  copy->ratios_ = ratios_;
  copy->overlaps_ = overlaps_;
  copy->window_ = window_;
  copy->head_dim_ = head_dim_;
  copy->index_head_dim_ = index_head_dim_;
  copy->capacity_ = capacity_;
  copy->f32_cache_ = f32_cache_;
  copy->to_be_written_ = to_be_written_;
  copy->engine_ = engine_;
  copy->constructor_validate_and_infer_types();
  return copy;
}

bool Sequences::visit_attributes(ov::AttributeVisitor& visitor) {
  visitor.on_attribute("body", body_);
  visitor.on_attribute("ratios", ratios_);
  visitor.on_attribute("overlaps", overlaps_);
  visitor.on_attribute("window", window_);
  visitor.on_attribute("head_dim", head_dim_);
  visitor.on_attribute("index_head_dim", index_head_dim_);
  visitor.on_attribute("capacity", capacity_);
  visitor.on_attribute("f32_cache", f32_cache_);
  return true;
}

bool Sequences::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  OPENVINO_ASSERT(engine_ != nullptr, "Sequences: the op was not read from a file");
  const ov::Shape wanted = inputs[kWanted].get_shape();
  OPENVINO_ASSERT(wanted.size() == 3, "Sequences: logits of ", wanted, " columns are asked for");
  outputs[0].set_shape({wanted[0], wanted[1], static_cast<size_t>(engine_->program.vocabulary())});
  outputs[1].set_shape({wanted[0], 1, static_cast<size_t>(kHandleNumbers)});
  auto* logits = outputs[0].data<float>();
  auto* state = static_cast<SequenceHandle*>(outputs[1].data());
  try {
    engine_->compute(inputs, logits, state);
  } catch (const std::exception& e) {
    if (max_workers() > 1) throw;
    // With one thread InferRequest::infer() of OpenVINO's CPU plugin drops exceptions and leaves the output of the call before; the next call of the thread runs
    // this one again. So nothing is thrown: the logits are no numbers, the state names nothing, and a line says why.
    std::fprintf(stderr, "dsv4: error: %s\n", last_line(e.what()).c_str());
    std::fill_n(logits, outputs[0].get_size(), std::numeric_limits<float>::quiet_NaN());
    std::fill_n(state, wanted[0], SequenceHandle{-1, -1});
  }
  return true;
}

namespace {

void check_ids(const ov::Node* node) {
  NODE_VALIDATION_CHECK(node, node->get_input_size() == 1, "expected ids");
  check_input(node, 0, "ids", ov::element::i32, {-1, -1});
}

ov::Shape shape_of_ids(const ov::Tensor& ids) {
  const ov::Shape shape = ids.get_shape();
  OPENVINO_ASSERT(shape.size() == 2, "ids of shape ", shape, "; expected [B,S]");
  return shape;
}

void set_zeros(ov::Tensor& tensor, const ov::Shape& shape) {
  tensor.set_shape(shape);
  if (tensor.get_byte_size() > 0) std::memset(tensor.data(), 0, tensor.get_byte_size());
}

}  // namespace

void SequenceStart::validate_and_infer_types() {
  check_ids(this);
  set_output_type(0, ov::element::i32, {first_dim(this, 0), 1, kHandleNumbers});
}

std::shared_ptr<ov::Node> SequenceStart::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  return std::make_shared<SequenceStart>(inputs.at(0));
}

bool SequenceStart::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  set_zeros(outputs[0], {shape_of_ids(inputs[0])[0], 1, static_cast<size_t>(kHandleNumbers)});
  return true;
}

void WantedColumns::validate_and_infer_types() {
  check_ids(this);
  const ov::PartialShape& ids = get_input_partial_shape(0);
  set_output_type(0, ov::element::f32, {first_dim(this, 0), ids.rank().is_static() ? ids[1] : ov::Dimension::dynamic(), 1});
  set_output_type(1, ov::element::f32, {1, 1});
}

std::shared_ptr<ov::Node> WantedColumns::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  return std::make_shared<WantedColumns>(inputs.at(0));
}

bool WantedColumns::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  const ov::Shape ids = shape_of_ids(inputs[0]);
  set_zeros(outputs[0], {ids[0], ids[1], 1});
  set_zeros(outputs[1], {1, 1});
  return true;
}

}  // namespace dsv4::ops
