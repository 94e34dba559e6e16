// Loading a folder for the CPU program.
#include "dsv4/error.h"
#include "graph/cpu/cpu.h"
#include "openvino/core/model.hpp"
#include "openvino/runtime/core.hpp"
#include "runtime/errors.h"
#include "runtime/loaded_model.h"
#include "runtime/weight_memory.h"

namespace dsv4 {

void load_cpu(LoadedModel& loaded, const std::shared_ptr<ov::Model>& ir, const std::filesystem::path& folder) {
  const EngineOptions& options = loaded.options;
  CpuOptions cpu;
  cpu.activations = options.activations;
  cpu.quantize_cache = options.quantize_cache;
  cpu.prefetch_experts = options.weights == WeightMemory::kMap;
  const int64_t context = options.context > 0 ? options.context : loaded.config.max_position_embeddings;
  loaded.cache = cpu_cache_shape(loaded.config, context, options.cache);

  ov::Core core;
  const ov::AnyMap properties = compile_properties(options);
  try {
    const CpuModel built = in_file(folder / kModelXml, [&] {
      ModelWeights weights(*ir, options.weights);
      return build_cpu_model(loaded.config, weights, cpu);
    });
    loaded.token_bytes = built.token_bytes;
    loaded.compiled = core.compile_model(built.model, "CPU", properties);
    built.model->reshape({{"input_ids", {1}}, {"logit_rows", {1}}});
    loaded.one_token = core.compile_model(built.model, "CPU", properties);
  } catch (const ov::Exception& e) {
    fail(path_text(folder), ": the CPU program cannot be built from its weights: ", reason_of(e));
  }
}

}  // namespace dsv4
