// The event loop: who listens, which connections there are, and when it ends.
#include "server/http_server.h"

#include <event2/event.h>
#include <event2/listener.h>
#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <cstring>
#include <unordered_map>

#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "server/http_connection.h"

namespace dsv4 {

namespace {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* thing) const {
    Free(thing);
  }
};

using Base = std::unique_ptr<event_base, Freed<event_base_free>>;
using Event = std::unique_ptr<event, Freed<event_free>>;
using Listener = std::unique_ptr<evconnlistener, Freed<evconnlistener_free>>;
using Addresses = std::unique_ptr<addrinfo, Freed<freeaddrinfo>>;

Addresses addresses_of(const std::string& host, int port) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) fail("--host ", quote(host), ": ", ::gai_strerror(error), "; expected an address of this machine, such as 127.0.0.1");
  return Addresses(found);
}

int port_of(int descriptor) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  std::array<char, NI_MAXSERV> port = {};
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
  ::getnameinfo(reinterpret_cast<sockaddr*>(&address), size, nullptr, 0, port.data(), port.size(), NI_NUMERICSERV);
  return std::atoi(port.data());
}

}  // namespace

class HttpServer::Loop : public HttpConnections {
 public:
  Loop(HttpServerOptions options, HttpHandler handler)
      : options_(std::move(options)), handler_(std::move(handler)), wakeups_(std::make_shared<HttpWakeups>()), base_(event_base_new()) {
    if (!base_) fail("the server cannot begin: no event loop");
    std::signal(SIGPIPE, SIG_IGN);  // a client that goes is an error of its connection
    listen();
    add_event(wakeups_->descriptor(), EV_READ | EV_PERSIST, [](int, short, void* self) { static_cast<Loop*>(self)->woken(); });
    const timeval second = {1, 0};
    add_event(
        -1, EV_PERSIST, [](int, short, void* self) { static_cast<Loop*>(self)->tick(); }, &second);
    if (!options_.stop_on_signals) return;
    for (const int signal : {SIGTERM, SIGINT}) {
      add_event(signal, EV_SIGNAL | EV_PERSIST, [](int, short, void* self) { static_cast<Loop*>(self)->signalled(); });
    }
  }

  ~Loop() override {
    connections_.clear();
    events_.clear();
    listener_.reset();
  }

  int port() const { return port_; }

  void run() { event_base_dispatch(base_.get()); }

  void stop() {
    stop_asked_ = true;
    wakeups_->wake();
  }
  bool stopping() const { return stop_asked_; }

  const HttpServerOptions& options() const override { return options_; }
  const std::shared_ptr<HttpWakeups>& wakeups() const override { return wakeups_; }
  bool closing() const override { return stop_asked_; }

  uint64_t next_id() override { return ++requests_; }

  void handle(HttpRequest request, std::shared_ptr<HttpReply> reply) override {
    if (request.method == "OPTIONS") return reply->send(preflight(request));
    try {
      handler_(std::move(request), reply);
    } catch (const std::exception& error) {
      reply->send(options_.refusal(500, error.what()));
    }
  }

  void closed(HttpConnection* connection) override {
    connections_.erase(connection);
    if (listener_ && connections_.size() < options_.connections) evconnlistener_enable(listener_.get());
    if (stopped_ && connections_.empty()) leave();
  }

 private:
  void add_event(int descriptor, short what, event_callback_fn function, const timeval* time = nullptr) {
    Event made(event_new(base_.get(), descriptor, what, function, this));
    if (!made || event_add(made.get(), time) != 0) fail("the server cannot begin: no event");
    events_.push_back(std::move(made));
  }

  void listen() {
    const Addresses addresses = addresses_of(options_.host, options_.port);
    int error = 0;
    for (const addrinfo* address = addresses.get(); address != nullptr && !listener_; address = address->ai_next) {
      listener_.reset(evconnlistener_new_bind(
          base_.get(),
          [](evconnlistener*, evutil_socket_t descriptor, sockaddr*, int, void* self) { static_cast<Loop*>(self)->accept(descriptor); },
          this, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, -1, address->ai_addr,
          static_cast<int>(address->ai_addrlen)));
      error = errno;
    }
    if (!listener_) {
      fail("port ", options_.port, " of ", quote(options_.host), " cannot be had: ", std::strerror(error),
           "; give another --port or --host");
    }
    // Without descriptors accepting would fail again and again: the next second may have some.
    evconnlistener_set_error_cb(listener_.get(), [](evconnlistener* listener, void*) { evconnlistener_disable(listener); });
    port_ = port_of(evconnlistener_get_fd(listener_.get()));
  }

  void accept(int descriptor) {
    try {
      auto connection = std::make_unique<HttpConnection>(*this, base_.get(), descriptor);
      HttpConnection* key = connection.get();
      connections_.emplace(key, std::move(connection));
    } catch (const std::exception&) {
      evutil_closesocket(descriptor);
    }
    if (connections_.size() >= options_.connections) evconnlistener_disable(listener_.get());
  }

  void woken() {
    for (const std::shared_ptr<HttpReply>& reply : wakeups_->take()) {
      if (HttpConnection* connection = HttpConnection::of(*reply)) connection->flush();
    }
    if (stop_asked_ && !stopped_) begin_stop();
  }

  void tick() {
    for (HttpConnection* connection : keys()) {
      if (connections_.contains(connection)) connection->tick();
    }
    if (listener_ && connections_.size() < options_.connections) evconnlistener_enable(listener_.get());
    if (stopped_ && std::chrono::steady_clock::now() > deadline_) event_base_loopbreak(base_.get());
  }

  void signalled() {
    if (stop_asked_) {
      event_base_loopbreak(base_.get());
    } else {
      stop();
    }
  }

  void begin_stop() {
    stopped_ = true;
    deadline_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(static_cast<int64_t>(options_.stop_seconds * 1000));
    listener_.reset();
    for (HttpConnection* connection : keys()) {
      if (connection->may_close()) connections_.erase(connection);
    }
    if (connections_.empty()) leave();
  }

  /// Not at once: sockets of connections that were just deleted are closed by the loop.
  void leave() { event_base_loopexit(base_.get(), nullptr); }

  std::vector<HttpConnection*> keys() const {
    std::vector<HttpConnection*> out;
    for (const auto& [key, connection] : connections_) out.push_back(key);
    return out;
  }

  HttpResponse preflight(const HttpRequest& request) const {
    HttpResponse response{204, {}, {}, {{"Allow", "GET, HEAD, POST, OPTIONS"}}};
    if (options_.cors.empty()) return response;
    const std::string* wanted = find_header(request.headers, "access-control-request-headers");
    response.headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    response.headers.emplace_back("Access-Control-Allow-Headers", wanted != nullptr ? *wanted : "Authorization, Content-Type");
    response.headers.emplace_back("Access-Control-Max-Age", "600");
    return response;
  }

  HttpServerOptions options_;
  HttpHandler handler_;
  std::shared_ptr<HttpWakeups> wakeups_;
  Base base_;
  Listener listener_;
  std::vector<Event> events_;
  int port_ = 0;
  uint64_t requests_ = 0;
  std::unordered_map<HttpConnection*, std::unique_ptr<HttpConnection>> connections_;
  std::atomic<bool> stop_asked_ = false;
  bool stopped_ = false;  // it has begun
  std::chrono::steady_clock::time_point deadline_;
};

HttpServer::HttpServer(HttpServerOptions options, HttpHandler handler)
    : loop_(std::make_unique<Loop>(std::move(options), std::move(handler))) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const { return loop_->port(); }
void HttpServer::run() { loop_->run(); }
void HttpServer::stop() { loop_->stop(); }
bool HttpServer::stopping() const { return loop_->stopping(); }

}  // namespace dsv4
