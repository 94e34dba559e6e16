// Compressors (spec 2.10, 3.3): blocks of m positions pooled into one entry, channel by channel; with an indexer, its compressor pools along.
#include <numeric>

#include "graph/portable/nodes.h"
#include "graph/portable/portable.h"
#include "graph/portable/raw_rows.h"
#include "openvino/op/scatter_nd_update.hpp"

namespace dsv4 {

namespace op = ov::op;
using namespace nodes;

namespace {

constexpr const char* kEntryState = ".compressor.entries";  // after the layer's prefix

}  // namespace

int64_t compressor_tail_rows(const LayerConfig& layer) {
  return layer.kind == LayerKind::kCsa ? 2 * layer.compress_ratio - 1 : layer.compress_ratio - 1;
}

std::string entry_state_name(const std::string& block) { return block + ".attn" + kEntryState; }

RawLayout raw_layout(const Config& config, const LayerConfig& layer) {
  const int64_t hd = config.head_dim, index_hd = config.index_head_dim, m = layer.compress_ratio;
  RawLayout layout;
  if (layer.kind == LayerKind::kHca) {
    layout.width = 2 * hd;
    layout.chunk = hd;
    layout.row_chunks = 2;
    layout.entry_chunks = 1;
    layout.k_chunks = {0};
    layout.z_chunks = {1};
    return layout;
  }
  layout.chunk = std::gcd(hd, index_hd);
  const int64_t main_chunks = hd / layout.chunk, index_chunks = index_hd / layout.chunk;
  layout.entry_chunks = main_chunks + index_chunks;
  layout.row_chunks = 4 * layout.entry_chunks;
  layout.width = layout.row_chunks * layout.chunk;
  for (int64_t q = 0; q < 2 * m; ++q) {
    const int64_t half = q < m ? 0 : 1;
    const int64_t rows_before = q < m ? m : 0;
    for (int64_t u = 0; u < layout.entry_chunks; ++u) {
      const bool main = u < main_chunks;
      const int64_t k = main ? half * main_chunks + u : 4 * main_chunks + half * index_chunks + (u - main_chunks);
      layout.k_chunks.push_back(static_cast<int32_t>(k - rows_before * layout.row_chunks));
      layout.z_chunks.push_back(layout.k_chunks.back() + static_cast<int32_t>(2 * (main ? main_chunks : index_chunks)));
    }
  }
  return layout;
}

Value PortableVocabulary::compressed_entries(const Value& x, const LayerConfig& layer, const std::string& prefix) {
  const bool overlap = layer.kind == LayerKind::kCsa;
  const int64_t hd = config_.head_dim, index_hd = config_.index_head_dim;
  const int64_t raw_width = raw_layout(config_, layer).width;

  // Raw rows of this call, K and Z of every channel: [T,1,D] -> [B,S,raw_width].
  std::vector<Value> raw = {linear(x, prefix + ".compressor.wkv.weight"), linear(x, prefix + ".compressor.wgate.weight")};
  if (overlap) {
    raw.push_back(linear(x, prefix + ".indexer.compressor.wkv.weight"));
    raw.push_back(linear(x, prefix + ".indexer.compressor.wgate.weight"));
  }
  const Value call_rows = reshape_to(concat(raw, 2), shape_of({call_->batch(), call_->length(), i32(static_cast<int32_t>(raw_width))}));

  // Buffer = last rows of the past ++ this call.
  const int64_t tail = compressor_tail_rows(layer);
  const std::string tail_state = prefix + ".compressor.tail", entry_state = prefix + kEntryState;
  const Value buffer =
      tail == 0 ? call_rows : concat({state_->read_fixed(tail_state, tail, raw_width), call_rows}, 1);  // [B,tail+S,raw_width]

  const int64_t width = overlap ? hd + index_hd : hd;
  const Value past = state_->read_growing(entry_state, width);  // [B,1,capacity before,width]
  const BlockPositions& blocks = call_->blocks(layer, past);
  if (tail != 0) state_->write(tail_state, gather(buffer, blocks.kept_rows, 1));

  // Touched blocks -> entries: pooled, normalised, rotated at the block's first position.
  const std::vector<int64_t> widths = overlap ? std::vector<int64_t>{hd, index_hd} : std::vector<int64_t>{hd};
  Value entry =
      overlap ? pooled_overlapping_blocks(buffer, layer, prefix, blocks) : pooled_blocks(buffer, prefix, blocks);  // [B,count,1,width]
  if (overlap) {
    const std::vector<Value> parts = split(entry, 3, {static_cast<int32_t>(hd), static_cast<int32_t>(index_hd)});
    entry =
        concat({rms_norm(parts[0], prefix + ".compressor.norm.weight"), rms_norm(parts[1], prefix + ".indexer.compressor.norm.weight")}, 3);
  } else {
    entry = rms_norm(entry, prefix + ".compressor.norm.weight");
  }
  entry = apply_rope(entry, call_->entry_rope(blocks, widths), widths, config_.qk_rope_head_dim);

  const Value grown = past.get_node() ? concat({past, blocks.growth_rows}, 2) : blocks.growth_rows;  // [B,1,capacity,width]
  const Value entries = std::make_shared<ov::op::v3::ScatterNDUpdate>(grown, blocks.scatter, entry);
  state_->write(entry_state, entries);
  return entries;
}

Value PortableVocabulary::pooled_blocks(const Value& buffer, const std::string& prefix, const BlockPositions& blocks) {
  const int32_t hd = static_cast<int32_t>(config_.head_dim);
  const Value chunks = reshape(buffer, {0, -1, hd});                               // [B,rows,2*hd] -> [B,2*rows,hd]: K and Z of a row
  const Value k = gather(chunks, blocks.k_rows, 1, 1);                             // [B,count,m,hd]
  const Value z = gather(chunks, blocks.z_rows, 1, 1);                             // [B,count,m,hd]
  const Value p = softmax(add(z, weights_.exact(prefix + ".compressor.ape")), 2);  // ape [m,hd]; over the m rows, channel by channel
  return reduce_sum(mul(k, p), 2, true);                                           // [B,count,1,hd]
}

Value PortableVocabulary::pooled_overlapping_blocks(const Value& buffer, const LayerConfig& layer, const std::string& prefix,
                                                    const BlockPositions& blocks) {
  // A block pools 2m rows: the first half-channels of the m positions before it, the second of its own; main and indexer channels side by side.
  const int64_t hd = config_.head_dim, index_hd = config_.index_head_dim;
  const RawLayout layout = raw_layout(config_, layer);
  const int32_t chunk = static_cast<int32_t>(layout.chunk), entry_chunks = static_cast<int32_t>(layout.entry_chunks);
  const Value chunks = reshape(buffer, {0, -1, chunk});  // [B,rows,width] -> [B,rows*row_chunks,chunk]
  const Value k = gather(chunks, blocks.k_rows, 1, 1);   // [B,count,2m,entry_chunks,chunk]
  const Value z = gather(chunks, blocks.z_rows, 1, 1);

  // ape of a row, for the half that it gives: [m,2h] -> [2m,h], main and indexer (constants).
  const auto halves = [&](const std::string& name, int64_t h) {
    return concat(split(weights_.exact(name), 1, {static_cast<int32_t>(h), static_cast<int32_t>(h)}), 0);
  };
  const Value ape = reshape(concat({halves(prefix + ".compressor.ape", hd), halves(prefix + ".indexer.compressor.ape", index_hd)}, 1),
                            {static_cast<int32_t>(2 * layer.compress_ratio), entry_chunks, chunk});

  const Value p = softmax(add(add(z, ape), blocks.previous_rows_mask), 2);                           // over the 2m rows, channel by channel
  return reshape(reduce_sum(mul(k, p), 2, false), {0, -1, 1, static_cast<int32_t>(hd + index_hd)});  // [B,count,1,hd+index_hd]
}

}  // namespace dsv4
