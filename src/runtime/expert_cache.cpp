// Slots, readers and leases of the expert cache.
#include "runtime/expert_cache.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <numeric>
#include <optional>
#include <system_error>

#include "dsv4/error.h"
#include "runtime/errors.h"

namespace dsv4 {

namespace {

using ops::ExpertDemand;
using ops::ExpertPart;

constexpr uint64_t kRequestBytes = uint64_t{1} << 20;  // smaller ones are slower, larger ones no faster
// Of one call. Two groups are in use at once, so that a long prompt throws out few of the residents.
constexpr size_t kGroup = 16;
constexpr int64_t kTokensBetweenLooks = 32;  // at the available memory
constexpr size_t kHugePage = size_t{1} << 21;

int64_t slots_for(const ExpertLayout& layout, int64_t budget) {
  const int64_t all = static_cast<int64_t>(layout.layers() * layout.experts());
  return std::min(all, budget / static_cast<int64_t>(layout.slot_bytes()));
}

std::string megabytes(int64_t bytes) { return concat((bytes + 999999) / 1000000, " MB"); }

}  // namespace

/// Its groups are consecutive parts of an order in which residents and others take turns, so that the drive is asked for as much by every group.
class ExpertCache::Leases final : public ops::ExpertLeases {
 public:
  Leases(ExpertCache& cache, int64_t layer, std::span<const ExpertDemand> experts);
  ~Leases() override;
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;

  /// Asks for the first group; before that there is nothing to give back.
  void begin();

  std::span<const ExpertDemand> order() const override { return order_; }
  Group next() override;
  ops::PackedMatrix matrix(size_t i, ExpertPart part) const override {
    const Entry& entry = entries_[i];
    const size_t expert = static_cast<size_t>(order_[i].expert);
    if (entry.slot < 0) return cache_.layout_.mapped(layer_, expert, part);
    return cache_.layout_.in_slot(layer_, expert, part, cache_.memory_of(entry.slot));
  }
  std::span<const int32_t> arrived(ExpertPart part, bool wait) override;

 private:
  struct Entry {
    int32_t slot = -1;  // -1 in a group that was asked for: it is read in place
    bool pinned = false;
    bool named[2] = {false, false};
  };

  size_t key(size_t i) const { return layer_ * cache_.layout_.experts() + static_cast<size_t>(order_[i].expert); }
  Group group_from(size_t begin) const { return {begin, std::min(order_.size(), begin + group_)}; }
  // With the cache's mutex held:
  void hold(size_t i, int32_t slot);
  void ask_for(const Group& group);
  void give_back(const Group& group);
  void name_those_there(ExpertPart part);

  ExpertCache& cache_;
  size_t layer_;
  size_t group_;
  std::vector<ExpertDemand> order_;
  std::vector<Entry> entries_;
  std::vector<int32_t> named_;
  Group current_;
};

ExpertCache::Leases::Leases(ExpertCache& cache, int64_t layer, std::span<const ExpertDemand> experts)
    : cache_(cache), layer_(static_cast<size_t>(layer)), entries_(experts.size()) {
  const size_t n = experts.size();
  const std::lock_guard lock(cache_.mutex_);
  const auto slots = static_cast<size_t>(std::ssize(cache_.slots_) - cache_.given_back_);
  group_ = std::clamp<size_t>(slots / 4, 1, kGroup);
  std::vector<ExpertDemand> there, missing;
  const int64_t tokens = std::max<int64_t>(
      1, std::accumulate(experts.begin(), experts.end(), int64_t{0}, [](int64_t sum, const ExpertDemand& d) { return sum + d.tokens; }) /
             cache_.options_.experts_per_token);
  cache_.policy_.begin(layer_, tokens);
  for (const ExpertDemand& demand : experts) {
    const size_t expert = layer_ * cache_.layout_.experts() + static_cast<size_t>(demand.expert);
    const int32_t slot = cache_.index_[expert];
    Slot* const found = slot < 0 ? nullptr : &cache_.slots_[static_cast<size_t>(slot)];
    const bool expected = found && found->expected;
    if (!expected) cache_.policy_.request(expert, demand.tokens, tokens);
    ++cache_.counts_.requests;
    if (found && !expected) ++cache_.counts_.hits;
    if (found) found->expected = false;
    (found && found->settled() ? there : missing).push_back(demand);
  }
  // Evenly, and in a group the residents first.
  for (size_t i = 0, r = 0; i < n; ++i) {
    const bool resident = r * n < (i + 1) * there.size() && r < there.size();
    order_.push_back(resident ? there[r++] : missing[i - r]);
  }
}

void ExpertCache::Leases::begin() {
  const std::lock_guard lock(cache_.mutex_);
  // What is resident stays until its group has come, as far as that leaves room for the others.
  const size_t most = (cache_.slots_.size() - static_cast<size_t>(cache_.given_back_)) / 2;
  size_t held = 0;
  for (size_t i = 0; i < order_.size() && held < most; ++i) {
    const int32_t slot = cache_.index_[key(i)];
    if (slot < 0) continue;
    hold(i, slot);
    ++held;
  }
  ask_for(group_from(0));
}

ExpertCache::Leases::~Leases() {
  const std::lock_guard lock(cache_.mutex_);
  give_back({0, order_.size()});
}

void ExpertCache::Leases::hold(size_t i, int32_t slot) {
  ++cache_.slots_[static_cast<size_t>(slot)].pins;
  entries_[i].slot = slot;
  entries_[i].pinned = true;
}

void ExpertCache::Leases::ask_for(const Group& group) {
  std::vector<int32_t> read;
  read.reserve(group.end - group.begin);  // before a slot is taken that nobody would fill
  // Hits first, so that none of them makes room for another of the group.
  for (size_t i = group.begin; i < group.end; ++i) {
    const int32_t slot = cache_.index_[key(i)];
    if (!entries_[i].pinned && slot >= 0) hold(i, slot);
  }
  for (size_t i = group.begin; i < group.end; ++i) {
    if (entries_[i].pinned) continue;
    const int32_t slot = cache_.admit(key(i));
    if (slot < 0) {
      ++cache_.counts_.in_place;
      continue;
    }
    hold(i, slot);
    read.push_back(slot);
  }
  cache_.queue_reads(read);
}

void ExpertCache::Leases::give_back(const Group& group) {
  for (size_t i = group.begin; i < group.end; ++i) {
    if (!entries_[i].pinned) continue;
    entries_[i].pinned = false;
    cache_.unpin(entries_[i].slot);
  }
}

ops::ExpertLeases::Group ExpertCache::Leases::next() {
  const std::lock_guard lock(cache_.mutex_);
  const Group before = current_;
  give_back(before);
  current_ = group_from(before.end);
  const Group after = group_from(current_.end);
  if (!after.empty()) ask_for(after);
  return current_;
}

void ExpertCache::Leases::name_those_there(ExpertPart part) {
  const auto p = static_cast<size_t>(part);
  for (size_t i = current_.begin; i < current_.end; ++i) {
    Entry& entry = entries_[i];
    if (entry.slot >= 0) {
      const Slot& slot = cache_.slots_[static_cast<size_t>(entry.slot)];
      if (slot.failed) fail(slot.error);
      if (slot.pending[p] > 0) continue;
    }
    if (entry.named[p]) continue;
    entry.named[p] = true;
    named_.push_back(static_cast<int32_t>(i));
  }
}

std::span<const int32_t> ExpertCache::Leases::arrived(ExpertPart part, bool wait) {
  named_.clear();
  std::unique_lock lock(cache_.mutex_);
  name_those_there(part);
  if (!named_.empty() || !wait) return named_;
  const auto start = std::chrono::steady_clock::now();
  while (named_.empty()) {
    cache_.arrived_.wait(lock);
    name_those_there(part);
  }
  cache_.counts_.waited_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return named_;
}

int64_t ExpertCache::least_bytes(const ExpertLayout& layout, int64_t experts_per_token) {
  const auto layers = static_cast<int64_t>(layout.layers()), experts = static_cast<int64_t>(layout.experts());
  return std::min(2 * experts_per_token, experts) * layers * static_cast<int64_t>(layout.slot_bytes());
}

ExpertCache::ExpertCache(ExpertLayout layout, Read read, const Options& options)
    : layout_(std::move(layout)),
      read_(std::move(read)),
      options_(options),
      memory_(std::max<int64_t>(slots_for(layout_, options.budget), 0) * static_cast<int64_t>(layout_.slot_bytes()) +
                  static_cast<int64_t>(std::max(kHugePage, layout_.alignment())),
              "the expert cache", LazyMemory::Pages::kHuge),
      slots_begin_(memory_.aligned_data(std::max(kHugePage, layout_.alignment()))),
      index_(layout_.layers() * layout_.experts(), -1),
      slots_(static_cast<size_t>(std::max<int64_t>(slots_for(layout_, options.budget), 0))),
      next_look_(kTokensBetweenLooks * options.experts_per_token * static_cast<int64_t>(layout_.layers())),
      policy_(layout_.layers(), layout_.experts()) {
  if (const int64_t least = least_bytes(layout_, options.experts_per_token); options.budget < least) {
    fail("an expert cache of ", options.budget / 1000000, " MB is too small: the experts of two tokens take ", megabytes(least));
  }
  free_.reserve(slots_.size());
  for (size_t slot = slots_.size(); slot > 0; --slot) free_.push_back(static_cast<int32_t>(slot - 1));
  std::string reason = "none was asked for";
  try {
    while (std::ssize(readers_) < options_.readers) readers_.emplace_back([this] { read_loop(); });
  } catch (const std::system_error& error) {
    reason = reason_of(error);  // fewer do as well; without any nobody would read
  }
  if (readers_.empty()) fail("no thread can be made to read experts: ", reason, "; raise the limit of processes (ulimit -u)");
}

ExpertCache::~ExpertCache() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  for (std::thread& reader : readers_) reader.join();
}

std::unique_ptr<ops::ExpertLeases> ExpertCache::acquire(int64_t layer, std::span<const ExpertDemand> experts) {
  {
    const std::lock_guard lock(mutex_);
    if (options_.available && counts_.requests >= next_look_) follow_available();
  }
  auto leases = std::make_unique<Leases>(*this, layer, experts);
  leases->begin();
  return leases;
}

void ExpertCache::expect(int64_t layer, std::span<const int32_t> experts) {
  const std::lock_guard lock(mutex_);
  std::vector<int32_t> read;
  read.reserve(experts.size());
  for (const int32_t expert : experts) {
    const size_t key = static_cast<size_t>(layer) * layout_.experts() + static_cast<size_t>(expert);
    if (index_[key] >= 0) continue;
    policy_.request(key, 1, 1);
    const int32_t slot = admit(key);
    if (slot < 0) continue;
    slots_[static_cast<size_t>(slot)].expected = true;
    read.push_back(slot);
  }
  queue_reads(read);
}

void ExpertCache::fill(std::span<const float> frequencies) {
  {
    const std::lock_guard lock(mutex_);
    policy_.set_frequencies(frequencies);
    to_fill_.resize(index_.size());
    std::iota(to_fill_.begin(), to_fill_.end(), size_t{0});
    std::erase_if(to_fill_, [&](size_t expert) { return !(frequencies[expert] > 0.0f); });
    std::sort(to_fill_.begin(), to_fill_.end(), [&](size_t a, size_t b) { return frequencies[a] < frequencies[b]; });
  }
  work_.notify_all();
}

std::vector<float> ExpertCache::frequencies() const {
  const std::lock_guard lock(mutex_);
  return policy_.frequencies();
}

int64_t ExpertCache::slots() const {
  const std::lock_guard lock(mutex_);
  return std::ssize(slots_) - given_back_;
}

int64_t ExpertCache::unfilled_bytes() const {
  const std::lock_guard lock(mutex_);
  return std::ssize(free_) * static_cast<int64_t>(layout_.slot_bytes());
}

ExpertCounts ExpertCache::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

int32_t ExpertCache::take_slot() {
  if (!free_.empty()) {
    const int32_t slot = free_.back();
    free_.pop_back();
    return slot;
  }
  const int64_t victim = policy_.evict([this](size_t expert) {
    const Slot& slot = slots_[static_cast<size_t>(index_[expert])];
    return slot.pins == 0 && slot.settled();
  });
  if (victim < 0) return -1;
  const int32_t slot = index_[static_cast<size_t>(victim)];
  index_[static_cast<size_t>(victim)] = -1;
  slots_[static_cast<size_t>(slot)] = {};
  return slot;
}

int32_t ExpertCache::admit(size_t expert) {
  const int32_t slot = take_slot();
  if (slot < 0) return -1;
  try {
    policy_.admit(expert);
  } catch (...) {
    free_.push_back(slot);
    throw;
  }
  slots_[static_cast<size_t>(slot)].expert = static_cast<int64_t>(expert);
  index_[expert] = slot;
  return slot;
}

void ExpertCache::queue_reads(std::span<const int32_t> slots) {
  try {
    for (const ExpertPart part : {ExpertPart::kGateUp, ExpertPart::kDown}) {
      for (const int32_t index : slots) {
        Slot& slot = slots_[static_cast<size_t>(index)];
        const auto expert = static_cast<size_t>(slot.expert);
        for (const ExpertLayout::Window& window : layout_.windows(expert / layout_.experts(), expert % layout_.experts())) {
          if (window.part != part) continue;
          for (uint64_t begin = window.begin; begin < window.end; begin += kRequestBytes) {
            const uint64_t end = std::min(window.end, begin + kRequestBytes);
            std::byte* to = memory_of(index) + window.at + (begin - window.begin);
            queue_.push_back({begin, end, std::min(window.needed, end), to, index, static_cast<int32_t>(part)});
            ++slot.pending[static_cast<size_t>(part)];
          }
        }
      }
    }
  } catch (...) {
    // What is not queued would never come, and nobody may take such a slot for a full one.
    for (const int32_t index : slots) {
      fail_slot(slots_[static_cast<size_t>(index)], "not enough memory to read experts");
      free_if_done(index);
    }
    throw;
  }
  if (!slots.empty()) work_.notify_all();
}

void ExpertCache::unpin(int32_t slot) {
  --slots_[static_cast<size_t>(slot)].pins;
  free_if_done(slot);
}

void ExpertCache::fail_slot(Slot& slot, const char* why) {
  if (slot.failed) return;
  slot.failed = true;
  index_[static_cast<size_t>(slot.expert)] = -1;
  policy_.forget(static_cast<size_t>(slot.expert));
  slot.error = why;
}

void ExpertCache::free_if_done(int32_t index) {
  Slot& slot = slots_[static_cast<size_t>(index)];
  if (!slot.failed || slot.pins > 0 || !slot.settled()) return;
  slot = {};
  free_.push_back(index);
}

void ExpertCache::follow_available() {
  next_look_ = counts_.requests + kTokensBetweenLooks * options_.experts_per_token * static_cast<int64_t>(layout_.layers());
  const uint64_t available = options_.available();
  // Half of the reserve may be used by others for a while.
  if (available >= options_.reserve / 2) return;
  const auto slot_bytes = static_cast<int64_t>(layout_.slot_bytes());
  const int64_t least = least_bytes(layout_, options_.experts_per_token) / slot_bytes, now = std::ssize(slots_) - given_back_;
  const int64_t wanted = static_cast<int64_t>(options_.reserve - available + layout_.slot_bytes() - 1) / slot_bytes;
  int64_t given = 0;
  for (; given < std::min(wanted, now - least); ++given) {
    const int32_t slot = take_slot();
    if (slot < 0) break;
    // Whole pages: the neighbours keep theirs.
    const auto page = uintptr_t{4096}, begin = (reinterpret_cast<uintptr_t>(memory_of(slot)) + page - 1) / page * page;
    const uintptr_t end = reinterpret_cast<uintptr_t>(memory_of(slot) + slot_bytes) / page * page;
    if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  given_back_ += given;
  if (!options_.notice || (given == 0 && told_)) return;
  told_ = given == 0;
  options_.notice(given > 0 ? concat("memory has become scarce: the expert cache gave back ", megabytes(given * slot_bytes), " and has ",
                                     megabytes((now - given) * slot_bytes), " now")
                            : concat("memory has become scarce, and the expert cache cannot give back any: the experts of two tokens take ",
                                     megabytes(least * slot_bytes)));
}

bool ExpertCache::begin_filling() {
  while (!to_fill_.empty() && !free_.empty()) {
    const size_t expert = to_fill_.back();
    to_fill_.pop_back();
    if (index_[expert] >= 0) continue;
    try {
      const int32_t slot = admit(expert);
      queue_reads({&slot, 1});
      return true;
    } catch (const std::bad_alloc&) {  // nobody waits for it
      break;
    }
  }
  to_fill_.clear();
  return false;
}

void ExpertCache::read_loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return stopping_ || !queue_.empty() || begin_filling(); });
    if (stopping_) return;
    const Request request = queue_.front();
    queue_.pop_front();
    Slot& slot = slots_[static_cast<size_t>(request.slot)];
    std::optional<std::string> error;
    if (!slot.failed) {
      lock.unlock();
      try {
        read_(request.begin, request.end, request.needed, request.to);
      } catch (const std::exception& e) {
        error = e.what();
      }
      lock.lock();
      if (error) {
        fail_slot(slot, error->c_str());
      } else {
        counts_.bytes_read += static_cast<int64_t>(request.end - request.begin);
      }
    }
    if (--slot.pending[static_cast<size_t>(request.part)] == 0 || error) arrived_.notify_all();
    free_if_done(request.slot);
  }
}

}  // namespace dsv4
