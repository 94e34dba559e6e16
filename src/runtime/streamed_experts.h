// The expert cache of a loaded model: the file that it reads, how large it is, and which experts a token will need before any layer has run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dsv4/engine.h"
#include "files/direct_file.h"
#include "openvino/core/model.hpp"
#include "ops/experts/experts.h"
#include "runtime/expert_budget.h"
#include "runtime/expert_cache.h"

namespace dsv4 {

struct Config;

/// The experts' ops of a program whose weights are bound to them, in the order of the layers; all get `connection`, each with its own layer.
std::vector<std::shared_ptr<ops::Experts>> connect_experts(ov::Model& program, ops::ExpertConnection connection);

class StreamedExperts {
 public:
  /// Gives the experts' ops of `program`, whose weights are bound to them where `bin` is mapped, leases of a cache over the same file. `available`: memory before
  /// the dense weights were copied. Error when the file cannot be read, is not the one that is mapped, or the budget is too small.
  StreamedExperts(ov::Model& program, const std::filesystem::path& bin, const Config& config, const EngineOptions& options,
                  uint64_t available, const MemoryNeeds& needs, const std::shared_ptr<ops::RouteObserver>& observer);

  /// `token` is the next one: the experts of layers that a table chooses are known now.
  void expect(int64_t token);

  ExpertCache& cache() const { return *cache_; }
  const DirectFile& file() const { return *file_; }
  /// "experts come from the drive: 38 % of ...": for the user, when the model is open.
  std::string text() const;

 private:
  struct HashLayer {
    int64_t layer;
    const std::byte* table;  // i32 [vocabulary,K], kept by the program
    int64_t vocabulary, experts_per_token;
  };

  std::shared_ptr<const DirectFile> file_;
  std::shared_ptr<ExpertCache> cache_;
  std::vector<HashLayer> hash_layers_;
  std::vector<std::shared_ptr<ov::Node>> tables_;
};

}  // namespace dsv4
