// Opening a folder for the CPU program, and its sequences: a cache is one range of memory that the ops write in place.
#include "runtime/cpu_program.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "checkpoint/listed_files.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "graph/cpu/cpu.h"
#include "openvino/core/model.hpp"
#include "openvino/runtime/core.hpp"
#include "ops/attention/cache_memory.h"
#include "ops/attention/cache_pool.h"
#include "ops/attention/runs.h"
#include "runtime/available_memory.h"
#include "runtime/engine_model.h"
#include "runtime/engine_options.h"
#include "runtime/errors.h"
#include "runtime/route_log.h"
#include "runtime/session_state.h"
#include "runtime/weight_choice.h"
#include "runtime/weight_memory.h"

namespace dsv4 {

namespace {

constexpr const char* kCacheState = "cache";
constexpr const char* kCacheType = "u8";

class CpuState final : public Session::State {
 public:
  explicit CpuState(const Engine::Model& model)
      : State(model), one_token_(model.one_token), memory_(model.cache), slot_({memory_.data(), static_cast<size_t>(layout().bytes())}) {
    runs_ = ov::Tensor(ov::element::i32, {1, static_cast<size_t>(ops::kRunNumbers)});
    token_ = ov::Tensor(ov::element::i32, {1});
    ov::Tensor first_row(ov::element::i32, {1});
    first_row.data<int32_t>()[0] = 0;
    for (CheckedInference* inference : {&inference_, &one_token_}) {
      inference->set("runs", runs_);
    }
    one_token_.set("input_ids", token_);
    one_token_.set("logit_rows", first_row);
  }

  int64_t rows_of(int64_t length, bool last) const override { return model_.options.all_logits ? length : last ? 1 : 0; }

  void infer(std::span<const int64_t> tokens, int64_t position, int64_t rows, std::vector<float>& logits) override {
    memory_.will_write(position);
    const int32_t run[] = {0, static_cast<int32_t>(tokens.size()), static_cast<int32_t>(position), slot_.id()};
    std::copy(std::begin(run), std::end(run), runs_.data<int32_t>());
    const bool one = tokens.size() == 1 && rows == 1;
    if (model_.experts && tokens.size() == 1) model_.experts->expect(tokens[0]);
    if (one) {
      token_.data<int32_t>()[0] = static_cast<int32_t>(tokens[0]);
    } else {
      ids_.set_length(inference_, "input_ids", tokens.size());
      std::copy(tokens.begin(), tokens.end(), ids_.data());
      rows_.set_length(inference_, "logit_rows", static_cast<size_t>(rows));
      for (int64_t i = 0; i < rows; ++i) rows_.data()[i] = static_cast<int32_t>(static_cast<int64_t>(tokens.size()) - rows + i);
    }
    CheckedInference& inference = one ? one_token_ : inference_;
    const std::span<const float> values = inference.infer({static_cast<size_t>(rows), static_cast<size_t>(model_.config.vocab_size)});
    logits.insert(logits.end(), values.begin(), values.end());
  }

  bool rewinds() const override { return true; }

  void reset() override {}  // an op at position 0 reads nothing of the cache

  void save(Snapshot& snapshot) override {
    Snapshot::State state{kCacheType, {}, {}};
    state.bytes.reserve(static_cast<size_t>(saved_bytes(snapshot.position, snapshot.back)));
    for (const auto& range : layout().used(snapshot.position, snapshot.back)) {
      state.bytes.insert(state.bytes.end(), memory_.data() + range.begin, memory_.data() + range.end);
    }
    state.shape = {state.bytes.size()};
    snapshot.states.emplace(kCacheState, std::move(state));
  }

  int64_t saved_bytes(int64_t position, int64_t back) override {
    int64_t bytes = 0;
    for (const auto& range : layout().used(position, back)) bytes += range.end - range.begin;
    return bytes;
  }

  std::function<void()> prepare(const Snapshot& snapshot) override {
    const auto found = snapshot.states.find(kCacheState);
    if (snapshot.states.size() != 1 || found == snapshot.states.end() || !snapshot.tokens.empty()) {
      fail("the snapshot holds no cache of the CPU program alone; it belongs to another model");
    }
    const Snapshot::State& state = found->second;
    const int64_t expected = saved_bytes(snapshot.position, snapshot.back);
    const std::vector<size_t> shape = {static_cast<size_t>(expected)};
    if (state.type != kCacheType || state.shape != shape || state.bytes.size() != shape[0]) {
      fail("the snapshot's cache is ", state.type, " of ", state.bytes.size(), " bytes, expected ", kCacheType, " of ", expected,
           "; it belongs to another model");
    }
    return [this, &state, ranges = layout().used(snapshot.position, snapshot.back)] {
      memory_.will_write(0);
      const std::byte* from = state.bytes.data();
      for (const auto& range : ranges) {
        std::memcpy(memory_.data() + range.begin, from, static_cast<size_t>(range.end - range.begin));
        from += range.end - range.begin;
      }
    };
  }

  struct KeptCache final : Kept {
    std::shared_ptr<const ops::FrozenCache> cache;
  };

  std::shared_ptr<const Kept> keep(int64_t position, int64_t back) override {
    auto kept = std::make_shared<KeptCache>();
    kept->cache = memory_.freeze(position, back);
    return kept;
  }

  void go_on_from(const Kept& kept) override { memory_.go_on_from(static_cast<const KeptCache&>(kept).cache); }

  void fill_with_noise(int64_t position) override {
    memory_.will_write(0);
    // Rows are float32 or bfloat16; 16 random bits below 0x3F80 are a number between 0 and 1 as the upper half of either.
    std::mt19937 random(1);
    for (const auto& range : layout().used(position)) {
      auto* halves = reinterpret_cast<uint16_t*>(memory_.data() + range.begin);
      for (int64_t i = 0; i < (range.end - range.begin) / 2; ++i) halves[i] = static_cast<uint16_t>(0x3E00u + (random() & 0x80FFu));
    }
  }

 private:
  /// An i32 input whose tensor is made anew only when its length changes.
  class Indices {
   public:
    void set_length(CheckedInference& inference, const char* name, size_t length) {
      if (tensor_ && tensor_.get_size() == length) return;
      const ov::Tensor tensor(ov::element::i32, {length});
      inference.set(name, tensor);
      tensor_ = tensor;
    }
    int32_t* data() { return tensor_.data<int32_t>(); }

   private:
    ov::Tensor tensor_;
  };

  const ops::CacheLayout& layout() const { return memory_.layout(); }

  CheckedInference one_token_;
  ops::CacheMemory memory_;
  ops::CacheSlot slot_;
  ov::Tensor runs_, token_;
  Indices ids_, rows_;
};

}  // namespace

void open_cpu_program(Engine::Model& model, const std::shared_ptr<ov::Model>& ir) {
  const uint64_t available = available_memory();
  settle_weight_memory(model, *ir, available);
  const EngineOptions& options = model.options;
  CpuOptions cpu;
  cpu.activations = options.activations;
  cpu.quantize_cache = options.quantize_cache;
  cpu.prefetch_experts = options.weights == WeightMemory::kMap;
  const int64_t context = options.context > 0 ? options.context : model.config.max_position_embeddings;
  model.cache = cpu_cache_shape(model.config, context, options.cache);
  MemoryNeeds needs = needs_beside_weights(model.config, options);

  ov::Core core;
  const ov::AnyMap properties = compile_properties(options);
  try {
    const CpuModel built = in_file(model.folder / kModelXml, [&] {
      ModelWeights weights(*ir, options.weights);
      CpuModel program = build_cpu_model(model.config, weights, cpu);
      needs.dense = weights.copied_bytes();
      return program;
    });
    std::shared_ptr<ops::RouteObserver> observer;
    if (!options.routes.empty()) {
      observer =
          std::make_shared<RouteLog>(options.routes, model.config.layers.size(), static_cast<size_t>(model.config.num_experts_per_tok));
    }
    if (options.weights == WeightMemory::kStream) {
      in_file(model.folder, [&] {
        model.experts =
            std::make_unique<StreamedExperts>(*built.model, model.folder / kModelBin, model.config, options, available, needs, observer);
      });
      if (options.notice) options.notice(model.experts->text());
    } else if (observer) {
      connect_experts(*built.model, {.observer = observer});
    }
    model.token_bytes = built.token_bytes;
    model.compiled = core.compile_model(built.model, "CPU", properties);
    built.model->reshape({{"input_ids", {1}}, {"runs", {1, ops::kRunNumbers}}, {"logit_rows", {1}}});
    model.one_token = core.compile_model(built.model, "CPU", properties);
  } catch (const ov::Exception& e) {
    fail(path_text(model.folder), ": the CPU program cannot be built from its weights: ", reason_of(e));
  }
}

std::unique_ptr<Session::State> make_cpu_state(const Engine::Model& model) { return std::make_unique<CpuState>(model); }

}  // namespace dsv4
