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
#include "ops/attention/cache_memory.h"
#include "ops/attention/cache_pool.h"
#include "runtime/available_memory.h"
#include "runtime/cpu_steps.h"
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
/// Tokens of a call whose experts of layers with a table are asked for before the first layer: those of more tokens come soon enough.
constexpr size_t kMostExpected = 8;

class CpuState final : public Session::State {
 public:
  explicit CpuState(const Engine::Model& model)
      : State(model), memory_(model.cache), slot_({memory_.data(), static_cast<size_t>(layout().bytes())}) {}

  int64_t rows_of(int64_t length, bool last) const override { return model_.options.all_logits ? length : last ? 1 : 0; }

  void infer(std::span<const Part> parts) override {
    std::vector<CpuSteps::Part> steps;
    size_t tokens = 0;
    for (const Part& part : parts) {
      auto& state = static_cast<CpuState&>(part.state);
      state.memory_.will_write(part.position);
      steps.push_back({part.tokens, part.position, state.slot_.id(), part.rows, &part.logits});
      tokens += part.tokens.size();
    }
    if (model_.experts && tokens <= kMostExpected) {
      for (const Part& part : parts) std::for_each(part.tokens.begin(), part.tokens.end(), [&](int64_t t) { model_.experts->expect(t); });
    }
    model_.steps->infer(steps);
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
  const ops::CacheLayout& layout() const { return memory_.layout(); }

  ops::CacheMemory memory_;
  ops::CacheSlot slot_;
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
    // Routes are written call by call.
    model.steps = std::make_unique<CpuSteps>(built.model, compile_properties(options), observer != nullptr);
    model.compiled = model.steps->any_rows();
  } catch (const ov::Exception& e) {
    fail(path_text(model.folder), ": the CPU program cannot be built from its weights: ", reason_of(e));
  }
}

std::unique_ptr<Session::State> make_cpu_state(const Engine::Model& model) { return std::make_unique<CpuState>(model); }

}  // namespace dsv4
