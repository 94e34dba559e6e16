// Positions, RoPE tables, masks and block indices of one call.
#include "graph/portable/call_positions.h"

#include <algorithm>
#include <numeric>

#include "graph/frequencies.h"
#include "graph/portable/nodes.h"
#include "graph/portable/raw_rows.h"
#include "openvino/op/broadcast.hpp"
#include "openvino/op/cos.hpp"
#include "openvino/op/equal.hpp"
#include "openvino/op/reduce_max.hpp"
#include "openvino/op/shape_of.hpp"
#include "openvino/op/sin.hpp"

namespace dsv4 {

namespace op = ov::op;
using namespace nodes;

namespace {

// Entry lists grow by this many positions' worth of rows at a time: every new shape makes the CPU plugin keep new executors, so few shapes keep RSS
// flat, while the padding rows cost scores that are masked.
constexpr int64_t kEntryPadding = 128;

// Left padding that positions allow for. With as many positions it stays below 2^24, up to where float32 arithmetic on integers is exact.
constexpr int64_t kMaxPadding = 1 << 20;

Value broadcast_f32(float value, const std::vector<Value>& dims) { return std::make_shared<op::v3::Broadcast>(f32(value), shape_of(dims)); }

Value masked_unless(const Value& condition) { return select(condition, f32(0.0f), f32(kMasked)); }

// floor(x / m) for i32 positions, which left padding makes negative: shifted by whole blocks so that the division sees none.
Value floor_div(const Value& x, int64_t m) {
  const int32_t divisor = static_cast<int32_t>(m), shift = static_cast<int32_t>(kMaxPadding / m + 1);
  return sub(whole_div(add(x, i32(shift * divisor)), i32(divisor)), i32(shift));
}

// Chunk `chunks[i]` of the row: index into the buffer seen as chunks. Rows before the buffer are masked later: any index in range will do.
Value chunk_rows(const Value& rows, int64_t row_chunks, const std::vector<int32_t>& chunks, const std::vector<int64_t>& shape) {
  return maximum(add(mul(rows, i32(static_cast<int32_t>(row_chunks))), i32(chunks, shape)), i32(0));
}

std::string rope_key(const char* what, bool compressed, int64_t width) {
  return std::string(what) + (compressed ? "/compressed/" : "/plain/") + std::to_string(width);
}

}  // namespace

CallPositions::CallPositions(const Config& config, const Value& input_ids, const Value& position_ids) : config_(config) {
  if (const ov::PartialShape& fixed = input_ids.get_partial_shape(); fixed.is_static()) {
    batch_ = i32(static_cast<int32_t>(fixed[0].get_length()));
    length_ = i32(static_cast<int32_t>(fixed[1].get_length()));
  } else {
    const Value shape = std::make_shared<op::v3::ShapeOf>(input_ids, ov::element::i32);
    batch_ = gather(shape, i32(0), 0);
    length_ = gather(shape, i32(1), 0);
  }
  tokens_ = mul(batch_, length_);
  ids_ = reshape(to_i32(input_ids), {-1, 1});  // [B,S] -> [T,1]

  // All index arithmetic is i32: where a plugin computes float32 nodes in bfloat16, positions beyond 256 would be rounded.
  const Value columns = range(length_);  // [S]
  if (position_ids.get_node()) {
    const Value last = gather(to_i32(position_ids), sub(length_, i32(1)), 1);  // [B,S] -> [B]
    start_ = reshape(sub(last, sub(length_, i32(1))), {-1, 1});                // [B,1]
  } else {
    start_ = std::make_shared<op::v3::Broadcast>(i32(0), shape_of({batch_, i32(1)}));
  }
  const Value positions = add(start_, reshape(columns, {1, -1}));  // [B,1] + [1,S] -> [B,S]
  positions_ = reshape(positions, {0, -1, 1, 1});                  // [B,S,1,1]

  // Window columns: 0 is the zero row, c = 1..W-1 is position start-W+c, then the call's own S positions. A query at column s of the call sees
  // positions t-W+1 .. t, and none before 0.
  const Value window = i32(static_cast<int32_t>(config.sliding_window));
  const Value c = range(add(length_, window));   // [W+S]
  const Value s = reshape(columns, {-1, 1, 1});  // [S,1,1]
  const Value causal = logical_and(less_equal(c, add(s, window)), less_equal(add(s, i32(1)), c));
  const Value inside = less_equal(sub(window, reshape(start_, {0, 1, 1, 1})), c);
  window_mask_ = masked_unless(logical_and(causal, inside));  // [B,S,1,W+S]
}

RopeTable CallPositions::rope(const Value& positions, bool compressed, const std::vector<int64_t>& widths, float direction) const {
  const std::vector<double> frequencies = rope_frequencies(config_, compressed);
  std::vector<float> frequency, sign;  // of every entry; pairs (2j, 2j+1) of the last rd entries of each width share f_j
  for (const int64_t width : widths) {
    const int64_t nope = width - config_.qk_rope_head_dim;
    for (int64_t i = 0; i < width; ++i) {
      frequency.push_back(i < nope ? 0.0f : static_cast<float>(frequencies[static_cast<size_t>(i - nope) / 2]));
      sign.push_back(i < nope ? 0.0f : ((i - nope) % 2 == 0 ? -direction : direction));
    }
  }
  const int64_t total = static_cast<int64_t>(frequency.size());
  const Value angle = keep_f32(mul(keep_f32(to_f32(positions)), f32(frequency, {total})));  // fl32(position) * f_j, as the reference does
  const Value cos = keep_f32(std::make_shared<op::v0::Cos>(angle));
  const Value sin = keep_f32(mul(keep_f32(std::make_shared<op::v0::Sin>(angle)), f32(sign, {total})));
  return {cos, sin};
}

RopeTable CallPositions::query_rope(bool compressed, int64_t width) {
  const std::string key = rope_key("query", compressed, width);
  if (!ropes_.contains(key)) ropes_[key] = rope(positions_, compressed, {width}, 1.0f);  // [B,S,1,width]
  return ropes_[key];
}

RopeTable CallPositions::inverse_query_rope(bool compressed, int64_t width) {
  const std::string key = rope_key("inverse", compressed, width);
  if (!ropes_.contains(key)) {
    const RopeTable forward = query_rope(compressed, width);
    ropes_[key] = {forward.cos, keep_f32(mul(forward.sin, f32(-1.0f)))};
  }
  return ropes_[key];
}

RopeTable CallPositions::key_rope(bool compressed, int64_t width) {
  const std::string key = rope_key("key", compressed, width);
  if (!ropes_.contains(key)) {
    const RopeTable query = query_rope(compressed, width);
    const int32_t w = static_cast<int32_t>(width);
    ropes_[key] = {keep_f32(reshape(query.cos, {0, 1, -1, w})), keep_f32(reshape(query.sin, {0, 1, -1, w}))};  // [B,S,1,w] -> [B,1,S,w]
  }
  return ropes_[key];
}

RopeTable CallPositions::entry_rope(const BlockPositions& blocks, const std::vector<int64_t>& widths) {
  int64_t total = 0;
  for (const int64_t width : widths) total += width;
  const std::string key = rope_key("entry", true, total) + "/" + blocks.first_position.get_node()->get_name();
  if (!ropes_.contains(key)) ropes_[key] = rope(blocks.first_position, true, widths, 1.0f);  // [B,count,1,total]
  return ropes_[key];
}

const BlockPositions& CallPositions::blocks(const LayerConfig& layer, const Value& entries) {
  const auto found = blocks_.find(layer.compress_ratio);
  if (found != blocks_.end()) return found->second;

  const int64_t m = layer.compress_ratio;
  const int32_t mi = static_cast<int32_t>(m);
  const bool overlap = layer.kind == LayerKind::kCsa;
  const int64_t tail = compressor_tail_rows(layer);
  BlockPositions b;

  // Blocks touched by S tokens that may begin anywhere in a block: ceil((m-1+S)/m), the same for every start.
  b.count = whole_div(add(length_, i32(2 * mi - 2)), i32(mi));
  const Value first = floor_div(start_, m);                          // i32 [B,1]
  const Value block = add(first, reshape(range(b.count), {1, -1}));  // i32 [B,count]

  // One spare row at the end takes the entries of blocks before the sequence (left padding).
  const Value last_first = std::make_shared<op::v1::ReduceMax>(first, i32(std::vector<int32_t>{0, 1}), false);
  const Value needed = add(add(last_first, b.count), i32(1));
  const int32_t unit = static_cast<int32_t>(overlap ? kEntryPadding : std::max<int64_t>(kEntryPadding * 4 / m, 8));
  const Value rounded = mul(whole_div(add(needed, i32(unit - 1)), i32(unit)), i32(unit));
  const Value before = entries.get_node() ? gather(std::make_shared<op::v3::ShapeOf>(entries, ov::element::i32), i32(2), 0) : i32(0);
  b.capacity = maximum(before, rounded);
  const int32_t width = static_cast<int32_t>(overlap ? config_.head_dim + config_.index_head_dim : config_.head_dim);
  b.growth_rows = broadcast_f32(0.0f, {batch_, i32(1), sub(b.capacity, before), i32(width)});

  // Row of position p in tail ++ call is p - start + tail. Rows past the call belong to an incomplete block: any row will do.
  const Value first_row = add(sub(mul(first, i32(mi)), start_), i32(static_cast<int32_t>(tail)));  // i32 [B,1]
  const Value last_row = add(length_, i32(static_cast<int32_t>(tail - 1)));
  const Value row = add(first_row, reshape(range(mul(b.count, i32(mi))), {1, -1}));             // i32 [B,count*m]
  const Value rows = reshape_to(minimum(row, last_row), shape_of({batch_, b.count, i32(mi)}));  // i32 [B,count,m]
  const RawLayout layout = raw_layout(config_, layer);
  if (overlap) {
    const Value both = reshape(concat({rows, rows}, 2), {0, -1, 2 * mi, 1});  // previous block's rows are m before the block's own
    const std::vector<int64_t> shape = {2 * m, layout.entry_chunks};
    b.k_rows = chunk_rows(both, layout.row_chunks, layout.k_chunks, shape);  // [B,count,2m,entry_chunks]
    b.z_rows = chunk_rows(both, layout.row_chunks, layout.z_chunks, shape);
  } else {
    b.k_rows = chunk_rows(rows, layout.row_chunks, layout.k_chunks, {1});  // [B,count,m]
    b.z_rows = chunk_rows(rows, layout.row_chunks, layout.z_chunks, {1});
  }
  std::vector<int32_t> last(static_cast<size_t>(tail));
  std::iota(last.begin(), last.end(), 0);
  if (tail > 0) b.kept_rows = add(i32(last), length_);

  b.first_position = reshape(mul(block, i32(mi)), {0, -1, 1, 1});  // i32 [B,count,1,1]
  if (overlap) {
    // Rows of the previous block first, then the block's own: positions i*m-m .. i*m+m-1.
    std::vector<int32_t> offsets;
    for (int32_t q = 0; q < 2 * mi; ++q) offsets.push_back(q - mi);
    const Value position = add(reshape(b.first_position, {0, -1, 1, 1, 1}), i32(offsets, {2 * m, 1, 1}));  // i32 [B,count,2m,1,1]
    b.previous_rows_mask = masked_unless(less_equal(i32(0), position));
  }

  const Value entry_row = select(less_equal(i32(0), block), block, sub(b.capacity, i32(1)));  // i32 [B,count]
  const Value each = shape_of({batch_, b.count, i32(std::vector<int32_t>{1, 1})});
  const Value batch_row = std::make_shared<op::v3::Broadcast>(reshape(range(batch_), {-1, 1, 1, 1}), each);
  b.scatter = concat({batch_row, std::make_shared<op::v3::Broadcast>(i32(0), each), reshape_to(entry_row, each)}, 3);  // i32 [B,count,1,3]

  // Entry i is complete, and visible, from position (i+1)*m-1 on.
  const Value complete_at = add(mul(range(b.capacity), i32(mi)), i32(mi - 1));  // i32 [capacity]
  b.visible = masked_unless(less_equal(complete_at, positions_));               // [capacity] vs [B,S,1,1] -> [B,S,1,capacity]

  if (overlap) b.selected = minimum(b.capacity, i32(static_cast<int32_t>(config_.index_topk)));
  return blocks_[layer.compress_ratio] = b;
}

const KeyPositions& CallPositions::keys(const LayerConfig& layer) {
  const auto found = keys_.find(layer.compress_ratio);
  if (found != keys_.end()) return found->second;

  const int32_t window = static_cast<int32_t>(config_.sliding_window);
  KeyPositions k;
  Value entries = i32(0);  // entry columns come first
  k.mask = window_mask_;
  if (layer.kind != LayerKind::kSliding) {
    const BlockPositions& b = blocks_.at(layer.compress_ratio);
    entries = b.capacity;
    k.mask = concat({b.visible, window_mask_}, 3);
  }
  const Value columns = add(add(length_, i32(window)), entries);
  k.sink_column = reshape(std::make_shared<op::v1::Equal>(range(columns), entries), {1, 1, 1, -1});

  std::vector<int32_t> last_rows;
  for (int32_t i = 1; i < window; ++i) last_rows.push_back(i);
  const Value kept = add(i32(last_rows), add(entries, length_));  // [W-1]
  k.kept_rows = concat({reshape(entries, {1}), kept}, 0);         // [W]
  return keys_[layer.compress_ratio] = k;
}

Value apply_rope(const Value& x, const RopeTable& table, const std::vector<int64_t>& widths, int64_t rope_dim) {
  std::vector<int32_t> swap;  // pairs exchanged in the rotated entries, identity elsewhere (there sin is 0)
  int32_t base = 0;
  for (const int64_t width : widths) {
    const int32_t nope = static_cast<int32_t>(width - rope_dim);
    for (int32_t i = 0; i < static_cast<int32_t>(width); ++i) swap.push_back(base + (i < nope ? i : nope + ((i - nope) ^ 1)));
    base += static_cast<int32_t>(width);
  }
  return add(mul(x, table.cos), mul(gather(x, i32(swap), -1), table.sin));
}

}  // namespace dsv4
