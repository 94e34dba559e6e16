// What one call of the portable program knows about its tokens: sizes, positions, RoPE tables, masks, block indices; computed once for all layers.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "checkpoint/config.h"
#include "graph/vocabulary.h"

namespace dsv4 {

/// y = x * cos + swap_pairs(x) * sin rotates the last rd entries of x and leaves the others (there cos is 1 and sin is 0).
struct RopeTable {
  Value cos;
  Value sin;
};

/// Shared by the layers of one compress ratio m. Block i stands for positions i*m .. i*m+m-1. A call touches blocks first .. first+count-1 of each
/// row of the batch; the last of them may be incomplete: its entry is provisional, masked, and written again by the call that goes on with it.
struct BlockPositions {
  Value count;     ///< scalar i32: depends on S alone, so that shapes repeat
  Value capacity;  ///< scalar i32: rows of the entry lists after this call, a multiple of the padding unit
  Value
      k_rows;  ///< indices of the raw buffer's chunks (compressor.cpp) that hold K: [B,count,m], with overlap [B,count,2m,chunks of an entry]
  Value z_rows;              ///< the same for Z
  Value kept_rows;           ///< i32 [tail]: rows of the raw buffer that become the next call's tail
  Value growth_rows;         ///< f32 [B,1,growth,width]: zeros
  Value previous_rows_mask;  ///< f32 [B,count,2m,1,1], overlapping blocks: 0, or kMasked for rows before the sequence
  Value scatter;             ///< i32 [B,count,1,3]: (batch row, 0, entry row) of each touched block
  Value first_position;      ///< i32 [B,count,1,1]: position i*m of each touched block
  Value visible;             ///< f32 [B,S,1,capacity]: 0 where the query sees the entry, else kMasked
  Value selected;            ///< i32 scalar: min(index_topk, capacity); layers with an indexer
};

/// Shared by all layers whose keys have the same number of entry columns (one m, or none).
struct KeyPositions {
  Value mask;         ///< f32 [B,S,1,N]: 0 where the query sees the key column, else kMasked; entry columns first
  Value sink_column;  ///< boolean [1,1,1,N]: the column of the zero row, where the score is the head's sink
  Value kept_rows;    ///< i32 [W]: columns that become the next call's window state: the zero row and the last W-1 positions
};

/// Far below every score, and exp(kMasked - max) is exactly 0; finite in f32 so that a fully masked row (padding) gives no NaN.
inline constexpr float kMasked = -1e30f;

class CallPositions {
 public:
  /// input_ids i64 [B,S]; position_ids i64 [B,S], or empty for positions 0..S-1 of every row. Only the last column of position_ids is read: a row
  /// of S tokens ends there, so that left padding has negative positions, which no query sees and no block holds.
  CallPositions(const Config& config, const Value& input_ids, const Value& position_ids);

  const Value& batch() const { return batch_; }    ///< scalar i32 B
  const Value& length() const { return length_; }  ///< scalar i32 S
  const Value& tokens() const { return tokens_; }  ///< scalar i32 T = B*S
  const Value& ids() const { return ids_; }        ///< i32 [T,1]
  /// f32 [B,S,1,W+S]: 0 where the query sees the zero row, a position of the window or of the call, else kMasked.
  const Value& window_mask() const { return window_mask_; }

  /// Tables for queries [B,S,heads,width], keys [B,1,S,width] of the layers with (compressed) or without a compressor.
  RopeTable query_rope(bool compressed, int64_t width);
  RopeTable inverse_query_rope(bool compressed, int64_t width);
  RopeTable key_rope(bool compressed, int64_t width);
  /// For entries [B,count,1,sum(widths)] at first_position; each width rotates its own last rd.
  RopeTable entry_rope(const BlockPositions& blocks, const std::vector<int64_t>& widths);

  /// `entries` is the entry list of any layer with this ratio, before the call: [B,1,capacity before,*]; no value: there is none.
  const BlockPositions& blocks(const LayerConfig& layer, const Value& entries);
  /// Key columns of a layer; blocks(layer) was called before if it has a compressor.
  const KeyPositions& keys(const LayerConfig& layer);

 private:
  RopeTable rope(const Value& positions, bool compressed, const std::vector<int64_t>& widths, float direction) const;

  const Config& config_;
  Value batch_, length_, tokens_, ids_;
  Value start_;      // i32 [B,1]: position of the call's first column
  Value positions_;  // i32 [B,S,1,1]
  std::map<std::string, RopeTable> ropes_;
  std::map<int64_t, BlockPositions> blocks_;
  std::map<int64_t, KeyPositions> keys_;
  Value window_mask_;
};

/// x rotated: x * cos + swap(x) * sin. `widths` as given to the table.
Value apply_rope(const Value& x, const RopeTable& table, const std::vector<int64_t>& widths, int64_t rope_dim);

}  // namespace dsv4
