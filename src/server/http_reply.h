// The answer to a request, written from any thread while the event thread sends it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http_message.h"

namespace dsv4 {

class HttpReply;

/// What other threads tell the event thread: a list, and a descriptor that becomes readable with it.
class HttpWakeups {
 public:
  /// Error when the system has no descriptor left.
  HttpWakeups();
  ~HttpWakeups();
  HttpWakeups(const HttpWakeups&) = delete;
  HttpWakeups& operator=(const HttpWakeups&) = delete;

  int descriptor() const { return descriptor_; }
  /// A reply has something to send; nullptr wakes the event thread for other matters.
  void wake(std::shared_ptr<HttpReply> reply = nullptr);
  /// What came since the last time.
  std::vector<std::shared_ptr<HttpReply>> take();

 private:
  int descriptor_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<HttpReply>> replies_;
};

/// Either send(), or begin(), any number of write() and end(). Thread-safe. What is written when the client has gone is dropped.
class HttpReply : public std::enable_shared_from_this<HttpReply> {
 public:
  /// `most` bytes are kept for a client that reads slowly, before the writer is told to pause.
  HttpReply(std::shared_ptr<HttpWakeups> wakeups, size_t most, uint64_t id) : wakeups_(std::move(wakeups)), most_(most), id_(id) {}

  void send(HttpResponse response);
  /// The head of a stream, with the first bytes of its body. `keep_alive` is sent whenever nothing else was for a while; empty: nothing is.
  void begin(HttpResponse head, std::string keep_alive = {});
  /// Before begin() it is kept. False when so much waits for the client that the writer should pause until on_change's function is called; the bytes are sent all the same.
  bool write(std::string_view bytes);
  void end();

  /// The number of the request, which its client gets as X-Request-Id and the log has too.
  uint64_t id() const { return id_; }
  bool begun() const;
  /// The writer was told to pause, and on_change's function was not called since.
  bool full() const;
  /// The client has closed its connection, or does not read.
  bool gone() const;
  /// Called on the event thread when the client has gone, and when a writer that was told to pause may go on; at once if it has gone already. It must not wait.
  void on_change(std::function<void()> changed);

 private:
  friend class HttpConnection;

  struct Taken {
    std::optional<HttpResponse> head;  // the first time
    std::string bytes;
    bool ended = false;
  };

  Taken take();
  /// `waiting` bytes wait for the client in the connection.
  void sent(size_t waiting);
  void set_gone();
  /// All of it is sent.
  void close();
  std::string keep_alive() const;
  void wake();

  std::shared_ptr<HttpWakeups> wakeups_;
  size_t most_;
  uint64_t id_;
  class HttpConnection* connection_ = nullptr;  // of the event thread alone; nullptr: it is closed

  mutable std::mutex mutex_;
  std::optional<HttpResponse> head_;
  std::string pending_, keep_alive_;
  size_t waiting_ = 0;
  bool begun_ = false, ended_ = false, gone_ = false, paused_ = false, woken_ = false, closed_ = false;
  std::function<void()> changed_;
};

}  // namespace dsv4
