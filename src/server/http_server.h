// A server of HTTP/1.1: one thread for all connections, bounded in what clients can make it keep, and requests to a function.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/http_parser.h"
#include "server/http_reply.h"

namespace dsv4 {

/// A request that has got its answer, or whose client has gone.
struct HttpLogEntry {
  uint64_t id = 0;
  std::string method, path;  ///< empty: the request could not be read
  int status = 0;            ///< 0: there was no answer
  double seconds = 0;        ///< from the end of the request
  bool gone = false;         ///< before the end of the answer
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;  ///< 0: one that is free
  HttpLimits limits = {};
  size_t buffer = 1u << 20;                      ///< bytes that wait for a client before its writer pauses
  size_t connections = 512;                      ///< open ones; further clients wait
  double idle_seconds = 60;                      ///< without a request, for the head of one, and without a byte of a body that is not whole
  double stall_seconds = 60;                     ///< in which a client reads nothing of what waits for it: it is cut then
  double keep_alive_seconds = 10;                ///< of a stream without a byte, behind which it gets its reply's keep_alive
  double stop_seconds = 30;                      ///< that replies have to end behind stop()
  bool stop_on_signals = false;                  ///< SIGTERM and SIGINT call stop(); a second one ends run() at once
  std::string cors;                              ///< origin whose pages may read answers, "*" for all; empty: none
  std::function<void(const HttpLogEntry&)> log;  ///< called on the event thread for each request; may be empty
  /// The body of a refusal that the server itself answers with.
  std::function<HttpResponse(int status, const std::string& what)> refusal;
};

/// Called on the event thread for every request: it must not wait, and hands the reply to who writes it. What it throws is answered with 500.
using HttpHandler = std::function<void(HttpRequest request, std::shared_ptr<HttpReply> reply)>;

class HttpServer {
 public:
  /// Listens from here on. Error when the address cannot be had. SIGPIPE is ignored in the whole process from here on.
  HttpServer(HttpServerOptions options, HttpHandler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;
  /// Serves on this thread until stop() and the end of all replies.
  void run();
  /// No new requests; those that are being answered have stop_seconds. From any thread.
  void stop();
  bool stopping() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace dsv4
