// From the experts' ops of a program to a cache that they lease from.
#include "runtime/streamed_experts.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iomanip>
#include <sstream>

#include "checkpoint/amounts.h"
#include "checkpoint/config.h"
#include "checkpoint/listed_files.h"
#include "dsv4/error.h"
#include "openvino/op/constant.hpp"
#include "runtime/available_memory.h"
#include "runtime/expert_profile.h"

namespace dsv4 {

namespace {

using ops::PackedMatrix;

constexpr uint64_t kLeastReserve = uint64_t{128} << 20;  // with a budget that the user chose

/// Where the kernel has mapped which bytes of files: the offsets of weights, without a second reading of the .xml.
class MappedRanges {
 public:
  MappedRanges() {
    std::ifstream in("/proc/self/maps");
    for (std::string line; std::getline(in, line);) {
      Range range{};
      char dash = 0, permissions[8] = {};
      std::istringstream fields(line);
      fields >> std::hex >> range.begin >> dash >> range.end >> std::setw(sizeof permissions) >> permissions >> range.offset;
      if (fields) ranges_.push_back(range);
    }
  }

  uint64_t offset_of(const std::byte* memory) const {
    const auto address = reinterpret_cast<uintptr_t>(memory);
    for (const Range& range : ranges_) {
      if (address >= range.begin && address < range.end) return range.offset + (address - range.begin);
    }
    fail("weights are not in a mapped file");
  }

 private:
  struct Range {
    uint64_t begin = 0, end = 0, offset = 0;
  };
  std::vector<Range> ranges_;
};

/// The first bytes of a tensor, read as the cache reads, against the mapping: a wrong offset would go on as a fluent model of wrong experts.
void check_beginning(const DirectFile& file, uint64_t offset, const std::byte* mapped, uint64_t bytes) {
  const uint64_t block = file.alignment(), begin = offset / block * block;
  const LazyMemory memory(static_cast<int64_t>(2 * block), "a block of weights");
  std::byte* const aligned = memory.aligned_data(block);
  const uint64_t end = std::min({offset + bytes, begin + block, file.size()});
  file.read(begin, begin + block, end, aligned);
  if (std::memcmp(aligned + (offset - begin), mapped, end - offset) != 0) {
    fail(kModelBin, ": reading byte ", offset, " gives other bytes than the mapped file; is the file being written? Use --weights map");
  }
}

StackedWeights located(const PackedMatrix& stack, const MappedRanges& ranges, const DirectFile& file) {
  StackedWeights weights{.mapped = stack};
  const auto locate = [&](const std::byte* tensor, int64_t bytes) {
    const uint64_t offset = ranges.offset_of(tensor);
    check_beginning(file, offset, tensor, static_cast<uint64_t>(bytes));
    return offset;
  };
  weights.codes = locate(stack.codes, stack.code_bytes());
  if (stack.scales) weights.scales = locate(stack.scales, stack.scale_bytes());
  if (stack.zero_points) weights.zero_points = locate(stack.zero_points, stack.zero_point_bytes());
  return weights;
}

std::string gigabytes(int64_t bytes) { return byte_text(static_cast<uint64_t>(std::max<int64_t>(bytes, 0))); }

}  // namespace

std::vector<std::shared_ptr<ops::Experts>> connect_experts(ov::Model& program, ops::ExpertConnection connection) {
  std::vector<std::shared_ptr<ops::Experts>> layers;
  for (const std::shared_ptr<ov::Node>& node : program.get_ordered_ops()) {
    const auto experts = ov::as_type_ptr<ops::Experts>(node);
    if (!experts) continue;
    connection.layer = std::ssize(layers);
    experts->connect(connection);
    layers.push_back(experts);
  }
  return layers;
}

StreamedExperts::StreamedExperts(ov::Model& program, const std::filesystem::path& bin, const Config& config, const EngineOptions& options,
                                 uint64_t available, const MemoryNeeds& needs, const std::shared_ptr<ops::RouteObserver>& observer)
    : file_(std::make_shared<const DirectFile>(bin, kModelBin)) {
  const MappedRanges ranges;
  std::vector<ExpertStacks> stacks;
  for (const std::shared_ptr<ops::Experts>& experts : connect_experts(program, {})) {
    stacks.push_back({located(experts->gate_up(), ranges, *file_), located(experts->down(), ranges, *file_)});
    if (experts->attributes().hash_routed) {
      const auto table = ov::as_type_ptr<ov::op::v0::Constant>(experts->get_input_node_shared_ptr(2));
      const ov::Shape& shape = table->get_shape();
      hash_layers_.push_back({std::ssize(stacks) - 1, static_cast<const std::byte*>(table->get_data_ptr()), static_cast<int64_t>(shape[0]),
                              static_cast<int64_t>(shape[1])});
      tables_.push_back(table);
    }
  }
  ExpertLayout layout(std::move(stacks), file_->alignment());

  ExpertCache::Options cache;
  cache.experts_per_token = config.num_experts_per_tok;
  cache.notice = options.notice;
  cache.available = [] { return available_memory(); };
  const int64_t all = static_cast<int64_t>(layout.layers() * layout.experts() * layout.slot_bytes());
  const int64_t most = static_cast<int64_t>(std::min<uint64_t>(available, INT64_MAX)) - needs.total();
  const int64_t least = ExpertCache::least_bytes(layout, config.num_experts_per_tok);
  cache.budget = options.expert_cache_bytes > 0 ? options.expert_cache_bytes : expert_budget(available, needs);
  cache.budget = std::min(cache.budget, all);
  if (cache.budget < least || cache.budget > most) {
    const bool small = cache.budget < least;
    fail("an expert cache of ", gigabytes(cache.budget), small ? " is too small: the experts of two tokens take " : " is too large: of ",
         gigabytes(small ? least : static_cast<int64_t>(available)),
         concat(small ? concat("; of ", gigabytes(static_cast<int64_t>(available))) : "", " of memory that are available, ",
                gigabytes(needs.dense), " are needed for dense weights and ", gigabytes(needs.sequence + needs.working),
                " for a sequence and working memory; ",
                most < least ? "free memory or use --weights map"
                : small      ? "give --expert-cache more, or free memory"
                             : "give --expert-cache less"));
  }
  const uint64_t left = static_cast<uint64_t>(most - cache.budget);
  cache.reserve = std::max(std::min(memory_reserve(available), left), kLeastReserve);
  cache_ = std::make_shared<ExpertCache>(
      std::move(layout),
      [file = file_](uint64_t begin, uint64_t end, uint64_t needed, std::byte* to) { file->read(begin, end, needed, to); }, cache);
  if (!options.expert_profile.empty()) {
    const auto profile = read_expert_profile(options.expert_profile, cache_->layout().layers(), cache_->layout().experts());
    if (profile) cache_->fill(profile->frequencies);
  }
  connect_experts(program, {.source = cache_, .observer = observer});
}

void StreamedExperts::expect(int64_t token) {
  for (const HashLayer& layer : hash_layers_) {
    if (token < 0 || token >= layer.vocabulary) continue;
    std::vector<int32_t> experts(static_cast<size_t>(layer.experts_per_token));
    std::memcpy(experts.data(), layer.table + token * std::ssize(experts) * static_cast<int64_t>(sizeof(int32_t)),
                experts.size() * sizeof(int32_t));
    const auto known = static_cast<int32_t>(cache_->layout().experts());
    std::erase_if(experts, [&](int32_t expert) { return expert < 0 || expert >= known; });  // the op says so of a damaged table
    cache_->expect(layer.layer, experts);
  }
}

std::string StreamedExperts::text() const {
  const auto all = static_cast<double>(cache_->layout().layers() * cache_->layout().experts());
  return concat("experts come from the drive: ", static_cast<int>(100.0 * static_cast<double>(cache_->slots()) / all + 0.5),
                " % of the routed ones fit into memory (", gigabytes(cache_->resident_bytes()), "), reads are ",
                file_->direct() ? "direct" : "buffered, because the file system has no direct ones");
}

}  // namespace dsv4
