// Routed experts without GroupedMatMul: the (token, expert) rows in tiles of one expert each, the weights of one expert at a time in a Loop.
#include <algorithm>
#include <numeric>

#include "checkpoint/names.h"
#include "graph/portable/nodes.h"
#include "graph/portable/portable.h"
#include "openvino/core/model.hpp"
#include "openvino/op/broadcast.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/cum_sum.hpp"
#include "openvino/op/equal.hpp"
#include "openvino/op/gather_elements.hpp"
#include "openvino/op/loop.hpp"
#include "openvino/op/parameter.hpp"
#include "openvino/op/scatter_update.hpp"

namespace dsv4 {

namespace op = ov::op;
using namespace nodes;

namespace {

// Rows of a tile. Decompressing an expert of V4-Flash takes about as long as its products with this many rows, and a tile that is not full still
// computes all of them.
constexpr int64_t kTileRows = 32;

/// How the N = T*K (token, expert) rows lie in tiles of R rows of one expert; an expert's rows fill as many tiles as they need.
struct Tiles {
  Value count;    ///< scalar i32 M
  Value experts;  ///< i32 [M]: the expert of each tile
  Value tokens;   ///< i32 [M,R]: the token of each row; 0 where a tile is not full
  Value places;   ///< i32 [N]: where each (token, expert) row is among the M*R rows
};

/// ids i32 [T,1,K]. A static T gives a static M that is enough for every routing; the tiles that are left over hold no row.
Tiles tile_rows(const Value& ids, const Value& tokens, int64_t experts, int64_t k) {
  const ov::Dimension t = ids.get_partial_shape()[0];
  std::vector<int32_t> expert_ids(static_cast<size_t>(experts));
  std::iota(expert_ids.begin(), expert_ids.end(), 0);
  const int32_t last = static_cast<int32_t>(experts - 1);

  const Value rows = t.is_static() ? i32(static_cast<int32_t>(std::min(t.get_length(), kTileRows)))
                                   : minimum(tokens, i32(static_cast<int32_t>(kTileRows)));             // R
  const Value expert = reshape(ids, {-1, 1});                                                           // [N,1]
  const Value routed = to_i32(std::make_shared<op::v1::Equal>(expert, i32(expert_ids, {1, experts})));  // [N,E]: 0 or 1
  const Value up_to_here = std::make_shared<op::v0::CumSum>(routed, i32(0));                            // [N,E]
  const Value rank = sub(std::make_shared<op::v6::GatherElements>(up_to_here, expert, 1), i32(1));      // [N,1]: among its expert's rows
  const Value tiles = whole_div(add(reduce_sum(routed, 0, false), sub(rows, i32(1))), rows);            // [E]
  const Value tile_ends = std::make_shared<op::v0::CumSum>(tiles, i32(0));                              // [E]: tiles of experts 0..e
  const Value first_row = mul(sub(tile_ends, tiles), rows);                                             // [E]

  Tiles result;
  if (t.is_static()) {
    const int64_t n = t.get_length() * k, r = std::min(t.get_length(), kTileRows), used = std::min(n, experts);
    result.count = i32(static_cast<int32_t>(used + (n - used) / r));  // every used expert has a first row, and the others fill whole tiles
  } else {
    result.count = gather(tile_ends, i32(last), 0);
  }
  const Value before = less_equal(reshape(tile_ends, {1, -1}), reshape(range(result.count), {-1, 1}));  // [M,E]
  result.experts = minimum(reduce_sum(to_i32(before), 1, false), i32(last));                            // [M]
  result.places = reshape(add(gather(first_row, expert, 0), rank), {-1});                               // [N]
  const Value each = shape_of({tokens, i32(static_cast<int32_t>(k))});
  const Value token = reshape(std::make_shared<op::v3::Broadcast>(reshape(range(tokens), {-1, 1}), each), {-1});  // [N]: k rows a token
  const Value nowhere = std::make_shared<op::v3::Broadcast>(i32(0), shape_of({mul(result.count, rows)}));         // [M*R]
  result.tokens =
      reshape_to(std::make_shared<op::v3::ScatterUpdate>(nowhere, result.places, token, i32(0)), shape_of({result.count, rows}));
  return result;
}

}  // namespace

Value PortableVocabulary::gathered_experts(const Value& x, const Value& shared, const Value& ids, const Value& weights,
                                           const Block& block) {
  const int32_t d = static_cast<int32_t>(config_.hidden_size), width = static_cast<int32_t>(config_.moe_intermediate_size);
  const int32_t k = static_cast<int32_t>(config_.num_experts_per_tok);
  const Tiles tiles = tile_rows(ids, call_->tokens(), config_.n_routed_experts, k);

  // One tile. The stacks are constants of the body: as inputs of the Loop they would be copied at every call.
  const ov::Dimension rows = tiles.tokens.get_partial_shape()[1];
  const auto all_x = std::make_shared<op::v0::Parameter>(ov::element::f32, x.get_partial_shape());  // [T,1,D]
  const auto expert = std::make_shared<op::v0::Parameter>(ov::element::i32, ov::PartialShape{1});
  const auto tokens = std::make_shared<op::v0::Parameter>(ov::element::i32, ov::PartialShape{1, rows});
  const Value tile = reshape(gather(all_x, tokens, 0), {1, -1, d});  // [T,1,D] -> [1,R,D]
  const Value gate_up = matmul(tile, weights_.gather_matrices(gate_up_stack_name(block.prefix), expert), false, true);  // [1,R,2I]
  const std::vector<Value> parts = split(gate_up, 2, {width, width});
  const Value down = matmul(swiglu(parts[0], parts[1]), weights_.gather_matrices(down_stack_name(block.prefix), expert), false, true);
  const Value go_on = std::make_shared<op::v0::Constant>(ov::element::boolean, ov::Shape{}, true);
  const auto body = std::make_shared<ov::Model>(ov::OutputVector{go_on, down}, ov::ParameterVector{all_x, expert, tokens}, "expert");

  const auto loop =
      std::make_shared<op::v5::Loop>(tiles.count, std::make_shared<op::v0::Constant>(ov::element::boolean, ov::Shape{}, true));
  loop->set_function(body);
  loop->set_special_body_ports({-1, 0});
  loop->set_invariant_input(all_x, x);
  loop->set_sliced_input(expert, tiles.experts, 0, 1, 1, -1, 0);
  loop->set_sliced_input(tokens, tiles.tokens, 0, 1, 1, -1, 0);
  const Value outputs = reshape(loop->get_concatenated_slices(down, 0, 1, 1, -1, 0), {-1, d});  // [M,R,D] -> [M*R,D]

  const Value routed = reshape(gather(outputs, tiles.places, 0), {-1, k, d});  // [N,D] -> [T,K,D]
  return add(shared, matmul(weights, routed));                                 // [T,1,K] x [T,K,D] -> [T,1,D]
}

}  // namespace dsv4
