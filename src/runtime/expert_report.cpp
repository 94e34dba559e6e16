// Counts of an engine's cache, and a second of reads.
#include "runtime/expert_report.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <limits>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "dsv4/error.h"
#include "files/lazy_memory.h"
#include "runtime/engine_model.h"
#include "runtime/expert_profile.h"
#include "runtime/inner.h"

namespace dsv4 {

namespace {

int64_t swapped_bytes() {
  std::ifstream in("/proc/self/status");
  std::string key;
  for (int64_t kilobytes = 0; in >> key; in.ignore(std::numeric_limits<std::streamsize>::max(), '\n')) {
    if (key == "VmSwap:") return in >> kilobytes ? kilobytes * 1024 : 0;
  }
  return 0;
}

}  // namespace

std::optional<ExpertReport> expert_report(const Engine& engine) {
  const StreamedExperts* experts = Inner::model(engine).experts.get();
  if (!experts) return std::nullopt;
  const ExpertCache& cache = experts->cache();
  const auto all = static_cast<double>(cache.layout().layers() * cache.layout().experts());
  return ExpertReport{static_cast<double>(cache.slots()) / all,
                      cache.resident_bytes(),
                      cache.unfilled_bytes(),
                      experts->file().direct(),
                      swapped_bytes(),
                      cache.counts()};
}

double drive_bandwidth(const Engine& engine) {
  constexpr int kThreads = 32;
  constexpr uint64_t kBytes = uint64_t{1} << 20;
  const StreamedExperts* experts = Inner::model(engine).experts.get();
  if (!experts) return 0.0;
  const DirectFile& file = experts->file();
  const uint64_t pieces = file.size() / kBytes;
  if (pieces == 0) return 0.0;
  const LazyMemory memory(static_cast<int64_t>((kThreads + 1) * kBytes), "measuring the drive");
  std::byte* const aligned = memory.aligned_data(kBytes);
  std::atomic<uint64_t> read{0};
  std::atomic<bool> failed{false};
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  std::vector<std::thread> threads;
  try {
    for (unsigned t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937_64 random(t);
        try {
          while (!failed && seconds() < 1.0) {
            const uint64_t begin = random() % pieces * kBytes;
            file.read(begin, begin + kBytes, begin + kBytes, aligned + t * kBytes);
            read += kBytes;
          }
        } catch (const std::exception&) {
          failed = true;
        }
      });
    }
  } catch (const std::system_error&) {  // as many as can be made
  }
  for (std::thread& thread : threads) thread.join();
  return failed ? 0.0 : static_cast<double>(read) / seconds();
}

void save_expert_profile(const Engine& engine) {
  const Engine::Model& model = Inner::model(engine);
  if (!model.experts || model.options.expert_profile.empty()) return;
  const ExpertCache& cache = model.experts->cache();
  write_expert_profile(model.options.expert_profile, {cache.layout().layers(), cache.layout().experts(), cache.frequencies()});
}

}  // namespace dsv4
