// What a call knows about its tokens - masks, blocks, entry lists - computed on the CPU and compared with the rules written out.
#include "graph/portable/call_positions.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "graph/evaluate.h"
#include "graph/portable/raw_rows.h"

namespace dsv4 {

void PrintTo(const LayerConfig& layer, std::ostream* out) { *out << "compress ratio " << layer.compress_ratio; }

namespace {

using namespace testing_support;

constexpr int64_t kWindow = 6;
constexpr int64_t kHeadDim = 12, kIndexDim = 8;
constexpr int64_t kTopK = 3;

int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

Config small_config() {
  Config config;
  config.sliding_window = kWindow;
  config.head_dim = kHeadDim;
  config.index_head_dim = kIndexDim;
  config.qk_rope_head_dim = 4;
  config.index_topk = kTopK;
  return config;
}

LayerConfig layer_of(LayerKind kind, int64_t m) { return {.kind = kind, .compress_ratio = m, .hash_routed = false}; }

/// Rows of a batch that begin at `starts` (negative: left padding), `length` tokens each, over entry lists of `before` rows.
struct Call {
  std::vector<int64_t> starts;
  int64_t length = 1;
  int64_t before = 0;
};

/// A call's tensors, read by index.
class Answers {
 public:
  explicit Answers(std::vector<ov::Tensor> tensors) : tensors_(std::move(tensors)) {}
  ov::Shape shape(size_t output) const { return tensors_.at(output).get_shape(); }
  bool masked(size_t output, size_t i) const {
    const float value = tensors_.at(output).data<const float>()[i];
    EXPECT_TRUE(value == 0.0f || value == kMasked) << value;
    return value != 0.0f;
  }
  int64_t integer(size_t output, size_t i = 0) const { return tensors_.at(output).data<const int32_t>()[i]; }
  float real(size_t output, size_t i) const { return tensors_.at(output).data<const float>()[i]; }
  bool boolean(size_t output, size_t i) const { return tensors_.at(output).data<const bool>()[i]; }
  size_t size(size_t output) const { return tensors_.at(output).get_size(); }

 private:
  std::vector<ov::Tensor> tensors_;
};

/// In bfloat16 a mask's value is rounded, all else is to be the same: positions pass through no float.
void expect_same(const ov::Tensor& actual, const ov::Tensor& expected) {
  ASSERT_EQ(actual.get_element_type(), expected.get_element_type());
  ASSERT_EQ(actual.get_shape(), expected.get_shape());
  if (expected.get_element_type() != ov::element::f32) {
    EXPECT_EQ(std::memcmp(actual.data(), expected.data(), expected.get_byte_size()), 0);
    return;
  }
  for (size_t i = 0; i < expected.get_size(); ++i) {
    const float value = actual.data<const float>()[i];
    EXPECT_EQ(value < kMasked / 2.0f ? kMasked : value, expected.data<const float>()[i]) << i;
  }
}

/// The outputs that `pick` takes from the CallPositions of a layer, computed in float32 and in what OpenVINO chooses.
class PositionsProgram {
 public:
  using Pick = std::vector<Value> (*)(CallPositions&, const LayerConfig&, const Value& entries);

  PositionsProgram(const LayerConfig& layer, Pick pick) : config_(small_config()) {
    width_ = layer.kind == LayerKind::kCsa ? kHeadDim + kIndexDim : kHeadDim;
    const Parameter ids = parameter(ov::element::i64, {-1, -1}), positions = parameter(ov::element::i64, {-1, -1});
    const Parameter entries = parameter(ov::element::f32, {-1, 1, -1, width_});
    CallPositions call(config_, ids, positions);
    const std::vector<Value> outputs = pick(call, layer, entries);
    program_ = std::make_unique<Program>(outputs, ov::ParameterVector{ids, positions, entries});
    by_default_ = std::make_unique<Program>(outputs, ov::ParameterVector{ids, positions, entries}, ov::element::dynamic);
  }

  Answers operator()(const Call& call) {
    const size_t batch = call.starts.size(), length = static_cast<size_t>(call.length);
    std::vector<int64_t> positions;
    for (const int64_t start : call.starts) {
      for (int64_t s = 0; s < call.length; ++s) positions.push_back(start + s);
    }
    ov::Tensor entries(ov::element::f32, {batch, 1, static_cast<size_t>(call.before), static_cast<size_t>(width_)});
    std::fill_n(entries.data<float>(), entries.get_size(), 1.0f);
    const std::vector<ov::Tensor> inputs = {tensor<int64_t>({batch, length}, std::vector<int64_t>(batch * length)),
                                            tensor<int64_t>({batch, length}, positions), entries};
    const std::vector<ov::Tensor> outputs = (*program_)(inputs), others = (*by_default_)(inputs);
    for (size_t i = 0; i < outputs.size(); ++i) expect_same(others[i], outputs[i]);
    return Answers(outputs);
  }

 private:
  Config config_;
  int64_t width_ = 0;
  std::unique_ptr<Program> program_, by_default_;
};

const std::vector<Call> kCalls = {
    {{0}, 1},         {{0}, 5},      {{0}, 6},         {{0}, 23},         {{1}, 1, 128},        {{3}, 4, 128},
    {{4}, 4, 128},    {{5}, 1, 128}, {{7}, 12, 128},   {{0, 0}, 3},       {{129}, 3, 128},      {{4000}, 2, 1024},
    {{0, 9}, 5, 128}, {{-3, 0}, 7},  {{-9, -1, 0}, 4}, {{-2, 5}, 1, 128}, {{100000}, 9, 25088}, {{1000000}, 3, 250112},
};

std::string name_of(const Call& call) {
  std::string text = "length " + std::to_string(call.length) + " starts";
  for (const int64_t start : call.starts) text += " " + std::to_string(start);
  return text;
}

/// Window columns: the zero row, positions start-W+1 .. start-1, the call's own.
bool window_column_visible(int64_t start, int64_t t, int64_t column) {
  if (column == 0) return false;
  const int64_t p = start - kWindow + column;
  return p >= 0 && p <= t && p > t - kWindow;
}

TEST(CallPositions, CountsTokensAndRows) {
  PositionsProgram program(layer_of(LayerKind::kSliding, 0), [](CallPositions& s, const LayerConfig&, const Value&) {
    return std::vector<Value>{s.batch(), s.length(), s.tokens(), s.ids()};
  });
  const Answers a = program({{0, 0, 0}, 5});
  EXPECT_EQ(a.integer(0), 3);
  EXPECT_EQ(a.integer(1), 5);
  EXPECT_EQ(a.integer(2), 15);
  EXPECT_EQ(a.shape(3), (ov::Shape{15, 1}));
}

TEST(CallPositions, MasksAllButTheSlidingWindow) {
  PositionsProgram program(layer_of(LayerKind::kSliding, 0), [](CallPositions& s, const LayerConfig& layer, const Value&) {
    const KeyPositions& k = s.keys(layer);
    return std::vector<Value>{k.mask, k.sink_column, k.kept_rows};
  });
  for (const Call& call : kCalls) {
    SCOPED_TRACE(name_of(call));
    const Answers a = program(call);
    const int64_t columns = kWindow + call.length;
    ASSERT_EQ(a.shape(0), (ov::Shape{call.starts.size(), static_cast<size_t>(call.length), 1, static_cast<size_t>(columns)}));
    size_t i = 0;
    for (const int64_t start : call.starts) {
      for (int64_t s = 0; s < call.length; ++s) {
        for (int64_t c = 0; c < columns; ++c, ++i) {
          ASSERT_EQ(!a.masked(0, i), window_column_visible(start, start + s, c)) << "start " << start << " query " << s << " column " << c;
        }
      }
    }
    ASSERT_EQ(a.size(1), static_cast<size_t>(columns));
    for (int64_t c = 0; c < columns; ++c) EXPECT_EQ(a.boolean(1, static_cast<size_t>(c)), c == 0) << c;
    // The next call's window: the zero row, then the last W-1 columns.
    ASSERT_EQ(a.size(2), static_cast<size_t>(kWindow));
    EXPECT_EQ(a.integer(2, 0), 0);
    for (int64_t r = 1; r < kWindow; ++r) EXPECT_EQ(a.integer(2, static_cast<size_t>(r)), columns - kWindow + r);
  }
}

/// Ratio and kind of a layer with a compressor.
class Blocks : public testing::TestWithParam<LayerConfig> {};

TEST_P(Blocks, CoverTheCallAndFitTheEntryList) {
  const LayerConfig layer = GetParam();
  const int64_t m = layer.compress_ratio, width = layer.kind == LayerKind::kCsa ? kHeadDim + kIndexDim : kHeadDim;
  PositionsProgram program(layer, [](CallPositions& s, const LayerConfig& l, const Value& entries) {
    const BlockPositions& b = s.blocks(l, entries);
    return std::vector<Value>{b.count, b.capacity, b.growth_rows, b.first_position, b.scatter};
  });
  for (const Call& call : kCalls) {
    SCOPED_TRACE(name_of(call));
    const Answers a = program(call);
    const int64_t count = a.integer(0), capacity = a.integer(1);
    const size_t batch = call.starts.size();
    EXPECT_EQ(count, (m - 1 + call.length + m - 1) / m) << "the most blocks that so many tokens can touch";
    EXPECT_GE(capacity, call.before) << "entry lists never shrink";
    EXPECT_EQ(a.shape(2), (ov::Shape{batch, 1, static_cast<size_t>(capacity - call.before), static_cast<size_t>(width)}));
    for (size_t i = 0; i < a.size(2); ++i) ASSERT_EQ(a.real(2, i), 0.0f);

    ASSERT_EQ(a.shape(3), (ov::Shape{batch, static_cast<size_t>(count), 1, 1}));
    ASSERT_EQ(a.shape(4), (ov::Shape{batch, static_cast<size_t>(count), 1, 3}));
    for (size_t b = 0; b < batch; ++b) {
      const int64_t first = floor_div(call.starts[b], m);
      EXPECT_GE((first + count) * m, call.starts[b] + call.length) << "the last token is in none of the blocks";
      for (int64_t i = 0; i < count; ++i) {
        const size_t place = b * static_cast<size_t>(count) + static_cast<size_t>(i);
        EXPECT_EQ(a.integer(3, place), (first + i) * m);
        EXPECT_EQ(a.integer(4, 3 * place), static_cast<int64_t>(b));
        EXPECT_EQ(a.integer(4, 3 * place + 1), 0);
        // Blocks before the sequence go to the spare row at the end, which belongs to no block of the call.
        ASSERT_LT(first + i, capacity - 1);
        EXPECT_EQ(a.integer(4, 3 * place + 2), first + i >= 0 ? first + i : capacity - 1);
      }
    }
  }
}

TEST_P(Blocks, PoolTheRawRowsOfTheirPositions) {
  const LayerConfig layer = GetParam();
  const bool overlap = layer.kind == LayerKind::kCsa;
  const int64_t m = layer.compress_ratio, tail = overlap ? 2 * m - 1 : m - 1;
  PositionsProgram program(layer, [](CallPositions& s, const LayerConfig& l, const Value& entries) {
    const BlockPositions& b = s.blocks(l, entries);
    std::vector<Value> values = {b.count, b.k_rows, b.z_rows};
    if (b.kept_rows.get_node()) values.push_back(b.kept_rows);
    return values;
  });
  const RawLayout layout = raw_layout(small_config(), layer);
  const int64_t pooled = overlap ? 2 * m : m, entry_chunks = overlap ? layout.entry_chunks : 1;
  for (const Call& call : kCalls) {
    SCOPED_TRACE(name_of(call));
    const Answers a = program(call);
    const int64_t count = a.integer(0), chunks = (tail + call.length) * layout.row_chunks;
    const size_t indices = call.starts.size() * static_cast<size_t>(count * pooled * entry_chunks);
    for (const size_t output : {size_t{1}, size_t{2}}) {
      const std::vector<int32_t>& offsets = output == 1 ? layout.k_chunks : layout.z_chunks;
      ASSERT_EQ(a.size(output), indices);
      size_t i = 0;
      for (const int64_t start : call.starts) {
        for (int64_t block = floor_div(start, m), end = block + count; block < end; ++block) {
          for (int64_t q = 0; q < pooled; ++q) {
            const int64_t position = overlap ? block * m - m + q : block * m + q;
            for (int64_t u = 0; u < entry_chunks; ++u, ++i) {
              const int64_t index = a.integer(output, i);
              ASSERT_GE(index, 0);
              ASSERT_LT(index, chunks);
              if (position < 0 || block * m + m > start + call.length) continue;  // masked, or the entry is provisional
              const int64_t row = position - start + tail;                        // in [last rows of the past | this call]
              ASSERT_GE(row, 0) << "position " << position << " is no longer kept";
              // The layout counts a chunk of the previous block's rows from the row m further on (raw_rows_test.cpp).
              const int64_t own_row = overlap && q < m ? row + m : row;
              const size_t place = overlap ? static_cast<size_t>(q * entry_chunks + u) : 0;
              ASSERT_EQ(index, own_row * layout.row_chunks + offsets[place]) << "block " << block << " row " << q << " chunk " << u;
            }
          }
        }
      }
    }
    for (int64_t r = 0; r < tail; ++r) EXPECT_EQ(a.integer(3, static_cast<size_t>(r)), call.length + r);
  }
}

TEST_P(Blocks, AreVisibleOnceComplete) {
  const LayerConfig layer = GetParam();
  const int64_t m = layer.compress_ratio;
  PositionsProgram program(layer, [](CallPositions& s, const LayerConfig& l, const Value& entries) {
    const Value visible = s.blocks(l, entries).visible;
    const KeyPositions& k = s.keys(l);
    return std::vector<Value>{visible, k.mask, k.sink_column, k.kept_rows};
  });
  for (const Call& call : kCalls) {
    SCOPED_TRACE(name_of(call));
    const Answers a = program(call);
    const int64_t capacity = static_cast<int64_t>(a.shape(0)[3]), columns = capacity + kWindow + call.length;
    ASSERT_EQ(a.shape(1), (ov::Shape{call.starts.size(), static_cast<size_t>(call.length), 1, static_cast<size_t>(columns)}));
    size_t i = 0, j = 0;
    for (const int64_t start : call.starts) {
      for (int64_t t = start; t < start + call.length; ++t) {
        for (int64_t entry = 0; entry < capacity; ++entry, ++i) {
          const bool expected = entry * m + m - 1 <= t;  // its last position is not after the query's
          ASSERT_EQ(!a.masked(0, i), expected) << "query at " << t << " entry " << entry;
        }
        for (int64_t c = 0; c < columns; ++c, ++j) {
          const bool expected = c < capacity ? c * m + m - 1 <= t : window_column_visible(start, t, c - capacity);
          ASSERT_EQ(!a.masked(1, j), expected) << "query at " << t << " column " << c;
        }
      }
    }
    for (int64_t c = 0; c < columns; ++c) ASSERT_EQ(a.boolean(2, static_cast<size_t>(c)), c == capacity);
    EXPECT_EQ(a.integer(3, 0), capacity);
    for (int64_t r = 1; r < kWindow; ++r) EXPECT_EQ(a.integer(3, static_cast<size_t>(r)), columns - kWindow + r);
  }
}

TEST_P(Blocks, KeepToFewShapesWhileDecoding) {
  // New shapes make the CPU plugin keep new executors: the entry list is to grow in steps.
  const LayerConfig layer = GetParam();
  PositionsProgram program(layer, [](CallPositions& s, const LayerConfig& l, const Value& entries) {
    return std::vector<Value>{s.blocks(l, entries).capacity};
  });
  std::set<int64_t> capacities;
  int64_t capacity = 0;
  for (int64_t position = 0; position < 512; ++position) {
    capacity = program({{position}, 1, capacity}).integer(0);
    capacities.insert(capacity);
  }
  EXPECT_LE(capacities.size(), 3u);
}

INSTANTIATE_TEST_SUITE_P(Ratios, Blocks,
                         testing::Values(layer_of(LayerKind::kCsa, 4), layer_of(LayerKind::kCsa, 3), layer_of(LayerKind::kHca, 8),
                                         layer_of(LayerKind::kHca, 128), layer_of(LayerKind::kHca, 5)),
                         [](const testing::TestParamInfo<LayerConfig>& p) {
                           return std::string(p.param.kind == LayerKind::kCsa ? "Csa" : "Hca") + std::to_string(p.param.compress_ratio);
                         });

TEST(OverlappingBlocks, MaskRowsBeforeTheSequence) {
  for (const int64_t m : {3, 4}) {
    PositionsProgram program(layer_of(LayerKind::kCsa, m), [](CallPositions& s, const LayerConfig& l, const Value& entries) {
      return std::vector<Value>{s.blocks(l, entries).count, s.blocks(l, entries).previous_rows_mask};
    });
    for (const Call& call : kCalls) {
      SCOPED_TRACE(name_of(call));
      const Answers a = program(call);
      const int64_t count = a.integer(0);
      ASSERT_EQ(a.shape(1), (ov::Shape{call.starts.size(), static_cast<size_t>(count), static_cast<size_t>(2 * m), 1, 1}));
      size_t i = 0;
      for (const int64_t start : call.starts) {
        for (int64_t block = floor_div(start, m), end = block + count; block < end; ++block) {
          for (int64_t q = 0; q < 2 * m; ++q, ++i) ASSERT_EQ(a.masked(1, i), block * m - m + q < 0) << "block " << block << " row " << q;
        }
      }
    }
  }
}

TEST(OverlappingBlocks, SelectNoMoreThanTopKBesideTheWindow) {
  PositionsProgram program(layer_of(LayerKind::kCsa, 4), [](CallPositions& s, const LayerConfig& l, const Value& entries) {
    const BlockPositions& b = s.blocks(l, entries);
    return std::vector<Value>{b.capacity, b.selected, s.window_mask()};
  });
  for (const Call& call : kCalls) {
    SCOPED_TRACE(name_of(call));
    const Answers a = program(call);
    EXPECT_EQ(a.integer(1), std::min(a.integer(0), kTopK));
    const int64_t columns = kWindow + call.length;
    ASSERT_EQ(a.shape(2), (ov::Shape{call.starts.size(), static_cast<size_t>(call.length), 1, static_cast<size_t>(columns)}));
    size_t i = 0;
    for (const int64_t start : call.starts) {
      for (int64_t t = start; t < start + call.length; ++t) {
        for (int64_t c = 0; c < columns; ++c, ++i)
          ASSERT_EQ(!a.masked(2, i), window_column_visible(start, t, c)) << "query at " << t << " column " << c;
      }
    }
  }
}

TEST(CallPositions, WithoutPositionsBeginsAtZero) {
  const Config config = small_config();
  const LayerConfig layer = layer_of(LayerKind::kSliding, 0);
  const Parameter ids = parameter(ov::element::i64, {-1, -1});
  CallPositions call(config, ids, Value());
  Program program({call.keys(layer).mask}, {ids});
  const Answers a(program({tensor<int64_t>({2, 9}, std::vector<int64_t>(18))}));
  ASSERT_EQ(a.size(0), 2u * 9u * (9u + kWindow));
  size_t i = 0;
  for (int row = 0; row < 2; ++row) {
    for (int64_t t = 0; t < 9; ++t) {
      for (int64_t c = 0; c < kWindow + 9; ++c, ++i)
        ASSERT_EQ(!a.masked(0, i), window_column_visible(0, t, c)) << "query " << t << " column " << c;
    }
  }
}

}  // namespace
}  // namespace dsv4
