// Sessions and snapshots: one sequence on an engine, and copies of its state.
#include "dsv4/session.h"

#include <algorithm>

#include "binding.h"

using namespace dsv4::python;
using dsv4::Engine;
using dsv4::FeedOptions;
using dsv4::Session;
using dsv4::Snapshot;

DSV4_PYTHON int dsv4_session_new(const Engine* engine, Session** session) {
  return guarded([&] { *session = new Session(*engine); });
}
DSV4_PYTHON void dsv4_session_close(Session* session) { delete session; }

/// `logits`: `capacity` numbers, as many as the engine's options say.
DSV4_PYTHON int dsv4_session_feed(Session* session, const int64_t* tokens, int64_t count, int64_t chunk, const Stop* stop, float* logits,
                                  int64_t capacity) {
  return guarded([&] {
    FeedOptions options;
    options.chunk = chunk;
    if (stop) options.cancel = stop->source.get_token();
    const std::vector<float> out = session->feed({tokens, static_cast<size_t>(count)}, options);
    if (std::ssize(out) != capacity)
      dsv4::fail("the model returned ", out.size(), " logits, expected ", capacity, "; its IR is another than dsv4 writes");
    std::copy(out.begin(), out.end(), logits);
  });
}
DSV4_PYTHON int dsv4_session_reset(Session* session) {
  return guarded([&] { session->reset(); });
}
DSV4_PYTHON int64_t dsv4_session_position(const Session* session) { return session->position(); }
DSV4_PYTHON int64_t dsv4_session_room(const Session* session) { return session->room(); }
DSV4_PYTHON int64_t dsv4_session_rewindable(const Session* session) { return session->rewindable(); }
DSV4_PYTHON int dsv4_session_rewind(Session* session, int64_t count) {
  return guarded([&] { session->rewind(count); });
}
DSV4_PYTHON int dsv4_session_keep(Session* session, int64_t most) {
  return guarded([&] { session->keep(most); });
}
DSV4_PYTHON int dsv4_session_kept(const Session* session, const int64_t** positions, int64_t* count) {
  return guarded([&] {
    const std::vector<int64_t>& out = handed_out(session->kept());
    *positions = out.data();
    *count = std::ssize(out);
  });
}
DSV4_PYTHON int dsv4_session_truncate(Session* session, int64_t position, const Stop* stop, int64_t* fed) {
  return guarded([&] {
    FeedOptions options;
    if (stop) options.cancel = stop->source.get_token();
    *fed = session->truncate(position, options);
  });
}
DSV4_PYTHON int dsv4_session_fork(const Session* session, Session** other) {
  return guarded([&] { *other = new Session(session->fork()); });
}
DSV4_PYTHON int dsv4_session_save(const Session* session, Snapshot** snapshot) {
  return guarded([&] { *snapshot = new Snapshot(session->save()); });
}
DSV4_PYTHON int dsv4_session_restore(Session* session, const Snapshot* snapshot) {
  return guarded([&] { session->restore(*snapshot); });
}

DSV4_PYTHON int dsv4_snapshot_read(const char* file, Snapshot** snapshot) {
  return guarded([&] { *snapshot = new Snapshot(dsv4::read_snapshot(file)); });
}
DSV4_PYTHON int dsv4_snapshot_write(const Snapshot* snapshot, const char* file) {
  return guarded([&] { dsv4::write_snapshot(*snapshot, file); });
}
DSV4_PYTHON int64_t dsv4_snapshot_position(const Snapshot* snapshot) { return snapshot->position; }
DSV4_PYTHON void dsv4_snapshot_close(Snapshot* snapshot) { delete snapshot; }
