// Loops over the threads of the arena that the op is called in: OpenVINO's own, so that there is no second thread pool.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <type_traits>

#include "openvino/core/parallel.hpp"

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace dsv4::ops {

/// What oneTBB guarantees and ThreadSanitizer does not see, because oneTBB is not compiled with it: what was done before release(x) is there after acquire(x).
struct SeenByThreadSanitizer {
#if defined(__SANITIZE_THREAD__)
  static void release(void* x) { __tsan_release(x); }
  static void acquire(void* x) { __tsan_acquire(x); }
#else
  static void release(void*) {}
  static void acquire(void*) {}
#endif
};

/// Pieces that may run at once: the range of `worker` below.
inline int64_t max_workers() { return parallel_get_max_threads(); }

/// f(begin, end) for pieces of [0, n), at most `grain` long each, handed out as threads become free: on a shared machine equal shares do not end together.
/// Runs on the calling thread alone when there is one piece. An exception of f reaches the caller. f may take a third argument, the `worker` in
/// [0, max_workers()): pieces that run at the same time have different ones, so each can have working memory of its own.
template <class F>
void parallel_pieces(int64_t n, int64_t grain, const F& f) {
  if (n <= 0) return;
  const auto run = [&](int64_t begin, int64_t end, [[maybe_unused]] int64_t worker) {
    if constexpr (std::is_invocable_v<const F&, int64_t, int64_t, int64_t>) {
      f(begin, end, worker);
    } else {
      f(begin, end);
    }
  };
  grain = std::max<int64_t>(grain, 1);
  const int64_t pieces = (n + grain - 1) / grain;
  const int threads = static_cast<int>(std::min<int64_t>(pieces, parallel_get_max_threads()));
  if (threads <= 1) {
    run(0, n, 0);
    return;
  }
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error;
  SeenByThreadSanitizer::release(&next);
  ov::parallel_nt(threads, [&](int worker, int) {
    SeenByThreadSanitizer::acquire(&next);
    try {
      for (int64_t piece; !failed && (piece = next++) < pieces;) run(piece * grain, std::min(n, (piece + 1) * grain), worker);
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();
    }
    SeenByThreadSanitizer::release(&failed);
  });
  SeenByThreadSanitizer::acquire(&failed);
  if (error) std::rethrow_exception(error);
}

}  // namespace dsv4::ops
