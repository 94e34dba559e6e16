// One client's connection: its requests one after another, and what waits to be sent. Of the event thread alone.
#pragma once

#include <event2/bufferevent.h>

#include <chrono>
#include <memory>

#include "server/http_server.h"

namespace dsv4 {

/// What connections ask of the server that they belong to.
class HttpConnections {
 public:
  virtual ~HttpConnections() = default;
  virtual const HttpServerOptions& options() const = 0;
  virtual const std::shared_ptr<HttpWakeups>& wakeups() const = 0;
  virtual bool closing() const = 0;
  virtual uint64_t next_id() = 0;
  virtual void handle(HttpRequest request, std::shared_ptr<HttpReply> reply) = 0;
  /// Deletes the connection.
  virtual void closed(HttpConnection* connection) = 0;
};

class HttpConnection {
 public:
  /// Takes the descriptor.
  HttpConnection(HttpConnections& owner, event_base* base, int descriptor);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  /// The one that waits for the reply; nullptr: it is closed.
  static HttpConnection* of(const HttpReply& reply) { return reply.connection_; }
  /// Sends what its reply has.
  void flush();
  /// Once a second: a stream that was silent for long gets a sign of life.
  void tick();
  /// The server stops: true if nothing is being answered, and it may be deleted.
  bool may_close() const { return place_ == Place::kReading; }

 private:
  using Clock = std::chrono::steady_clock;
  enum class Place {
    kReading,    // a request
    kAnswering,  // what comes in meanwhile stays where it is
    kLeaving,  // a refusal is sent; what the client still sends is dropped, since closing with unread bytes would take the refusal from it
  };

  void on_read();
  void on_write();
  void on_event(short what);
  void read_requests();
  void start(HttpRequest request);
  void refuse(int status, std::string what);
  void send_head(HttpResponse& head, bool ended);
  void send_piece(std::string_view bytes);
  void finished();
  void log(bool gone);
  void leave();
  void close();
  void set_timeouts(double read, double write);
  void add(std::string_view bytes);
  size_t waiting() const;

  HttpConnections& owner_;
  bufferevent* socket_;
  HttpParser parser_;
  Place place_ = Place::kReading;
  std::shared_ptr<HttpReply> reply_;
  HttpLogEntry entry_;
  Clock::time_point started_;
  Clock::time_point since_ = Clock::now();  // the request began, the last byte of a stream was added, leaving began
  bool head_sent_ = false, chunked_ = false, head_only_ = false, keep_alive_ = true, may_stream_ = true, ended_ = false, refused_ = false;
};

}  // namespace dsv4
