// Threads that help the calling one with work that they take from a common store.
#pragma once

#include <cstdint>
#include <functional>

namespace dsv4 {

/// Runs `work` on the calling thread and on up to `helpers` others at once, and returns when all have ended. Fewer help where the system gives no more threads
/// (a limit of processes or of memory), so `work` takes its pieces from something shared until none is left. The first exception is thrown here, after all
/// have ended; the others are to see from what they share that they should end.
void run_with_helpers(int64_t helpers, const std::function<void()>& work);

}  // namespace dsv4
