// The fuzz target of the chat format on its seeds and on mutations of them.
#include <gtest/gtest.h>

#include "fuzz/chat_targets.h"
#include "support/replay.h"

namespace dsv4 {
namespace {

using testing_support::Bytes;
using testing_support::replay;

TEST(FuzzReplay, Chats) {
  replay("fuzz_chat", 3000, [](const Bytes& bytes) { return fuzz::chat(bytes); });
}

TEST(FuzzReplay, SavedChats) {
  replay(
      "fuzz_saved_chat", 3000, [](const Bytes& bytes) { return fuzz::saved_chat(bytes); }, 100);
}

TEST(FuzzReplay, PythonJson) {
  replay("fuzz_chat", 3000, [](const Bytes& bytes) { return fuzz::python_json(bytes); });
}

}  // namespace
}  // namespace dsv4
