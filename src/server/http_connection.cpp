// A connection's life: requests are read, answered, and the next one begins; or it ends.
#include "server/http_connection.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cmath>
#include <cstdio>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr size_t kMostAhead = 64u << 10;  // bytes that a client sends ahead of the answer it waits for
constexpr double kLeaveSeconds = 5;
constexpr double kBodySeconds = 600;  // for a whole body

timeval time_of(double seconds) {
  const double whole = std::floor(seconds);
  return {static_cast<time_t>(whole), static_cast<suseconds_t>((seconds - whole) * 1e6)};
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Small pieces go out at once; a client whose machine is gone is noticed although nothing is sent.
void set_socket_options(int descriptor) {
  const int on = 1, idle = 60, interval = 15, count = 4;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

}  // namespace

HttpConnection::HttpConnection(HttpConnections& owner, event_base* base, int descriptor)
    : owner_(owner), socket_(bufferevent_socket_new(base, descriptor, BEV_OPT_CLOSE_ON_FREE)), parser_(owner.options().limits) {
  if (socket_ == nullptr) fail("no memory for a connection");
  set_socket_options(descriptor);
  bufferevent_setcb(
      socket_, [](bufferevent*, void* self) { static_cast<HttpConnection*>(self)->on_read(); },
      [](bufferevent*, void* self) { static_cast<HttpConnection*>(self)->on_write(); },
      [](bufferevent*, short what, void* self) { static_cast<HttpConnection*>(self)->on_event(what); }, this);
  bufferevent_setwatermark(socket_, EV_WRITE, owner.options().buffer / 2, 0);
  set_timeouts(owner.options().idle_seconds, owner.options().stall_seconds);
  bufferevent_enable(socket_, EV_READ | EV_WRITE);
}

HttpConnection::~HttpConnection() {
  if (reply_) {
    log(true);
    reply_->connection_ = nullptr;
    reply_->set_gone();
  }
  bufferevent_free(socket_);
}

void HttpConnection::set_timeouts(double read, double write) {
  const timeval read_time = time_of(read), write_time = time_of(write);
  bufferevent_set_timeouts(socket_, read > 0 ? &read_time : nullptr, &write_time);
}

void HttpConnection::add(std::string_view bytes) { evbuffer_add(bufferevent_get_output(socket_), bytes.data(), bytes.size()); }

size_t HttpConnection::waiting() const { return evbuffer_get_length(bufferevent_get_output(socket_)); }

void HttpConnection::close() { owner_.closed(this); }

void HttpConnection::on_read() {
  evbuffer* input = bufferevent_get_input(socket_);
  switch (place_) {
    case Place::kReading:
      return read_requests();
    case Place::kAnswering:
      if (evbuffer_get_length(input) > kMostAhead) close();
      return;
    case Place::kLeaving:
      evbuffer_drain(input, evbuffer_get_length(input));
      if (seconds_since(since_) > kLeaveSeconds) close();
      return;
  }
}

void HttpConnection::read_requests() {
  evbuffer* input = bufferevent_get_input(socket_);
  while (evbuffer_get_length(input) > 0) {
    if (!parser_.begun()) since_ = Clock::now();
    const size_t count = evbuffer_get_contiguous_space(input);
    const size_t taken = parser_.push({reinterpret_cast<const char*>(evbuffer_pullup(input, static_cast<ev_ssize_t>(count))), count});
    evbuffer_drain(input, taken);
    if (parser_.problem()) return refuse(parser_.problem()->status, parser_.problem()->what);
    if (parser_.take_expectation()) add("HTTP/1.1 100 Continue\r\n\r\n");
    if (parser_.done()) return start(parser_.take());
  }
  const double most = parser_.in_body() ? kBodySeconds : owner_.options().idle_seconds;
  if (parser_.begun() && seconds_since(since_) > most)
    refuse(408, "the request is not whole after " + std::to_string(std::lround(most)) + " s");
}

void HttpConnection::start(HttpRequest request) {
  place_ = Place::kAnswering;
  set_timeouts(0, owner_.options().stall_seconds);
  head_sent_ = ended_ = false;
  head_only_ = request.method == "HEAD";
  keep_alive_ = request.keep_alive;
  may_stream_ = request.may_stream;
  entry_ = {owner_.next_id(), request.method, request.path};
  started_ = Clock::now();
  reply_ = std::make_shared<HttpReply>(owner_.wakeups(), owner_.options().buffer, entry_.id);
  reply_->connection_ = this;
  owner_.handle(std::move(request), reply_);
}

/// Of what could not be read to its end: the connection ends with it.
void HttpConnection::refuse(int status, std::string what) {
  place_ = Place::kAnswering;
  refused_ = true;
  set_timeouts(0, owner_.options().stall_seconds);
  evbuffer_drain(bufferevent_get_input(socket_), evbuffer_get_length(bufferevent_get_input(socket_)));
  parser_ = HttpParser(owner_.options().limits);
  head_only_ = keep_alive_ = may_stream_ = false;
  entry_ = {owner_.next_id(), {}, {}};
  started_ = Clock::now();
  HttpResponse response = owner_.options().refusal(status, what);
  send_head(response, true);
  ended_ = true;
}

void HttpConnection::send_head(HttpResponse& head, bool ended) {
  HttpHeaders headers;
  if (head.status != 204) headers.emplace_back("Content-Type", head.content_type);
  headers.emplace_back("X-Request-Id", std::to_string(entry_.id));
  entry_.status = head.status;
  headers.insert(headers.end(), head.headers.begin(), head.headers.end());
  if (const std::string& origin = owner_.options().cors; !origin.empty()) {
    headers.emplace_back("Access-Control-Allow-Origin", origin);
    headers.emplace_back("Vary", "Origin");
  }
  chunked_ = !ended && may_stream_;
  if (!ended && !may_stream_) keep_alive_ = false;  // the end of the connection is the end of the body
  if (owner_.closing()) keep_alive_ = false;
  if (ended && head.status != 204) headers.emplace_back("Content-Length", std::to_string(head.body.size()));
  if (chunked_) headers.emplace_back("Transfer-Encoding", "chunked");
  if (!keep_alive_) headers.emplace_back("Connection", "close");
  if (keep_alive_ && !may_stream_) headers.emplace_back("Connection", "keep-alive");
  add(response_head(head.status, headers));
  if (ended && !head_only_) add(head.body);
  head_sent_ = true;
}

void HttpConnection::send_piece(std::string_view bytes) {
  if (bytes.empty() || head_only_) return;
  if (chunked_) {
    char size[24];
    const int count = std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    add({size, static_cast<size_t>(count)});
  }
  add(bytes);
  if (chunked_) add("\r\n");
  since_ = Clock::now();
}

void HttpConnection::flush() {
  HttpReply::Taken taken = reply_->take();
  if (taken.head) {
    // Whole when nothing came as a stream: then the head's own body is all of it.
    const bool whole = taken.ended && taken.bytes.empty();
    since_ = Clock::now();
    send_head(*taken.head, whole);
  }
  if (!head_sent_) return;
  send_piece(taken.bytes);
  if (taken.ended && !ended_) {
    if (chunked_ && !head_only_) add("0\r\n\r\n");
    ended_ = true;
  }
  reply_->sent(waiting());
  if (ended_ && waiting() == 0) finished();
}

void HttpConnection::tick() {
  if (place_ == Place::kLeaving && seconds_since(since_) > kLeaveSeconds) return close();
  if (place_ != Place::kAnswering || !reply_ || !head_sent_ || waiting() > 0) return;
  if (seconds_since(since_) >= owner_.options().keep_alive_seconds) send_piece(reply_->keep_alive());
}

void HttpConnection::on_write() {
  if (place_ != Place::kAnswering) return;
  if (reply_) reply_->sent(waiting());
  if (ended_ && waiting() == 0) finished();
}

void HttpConnection::log(bool gone) {
  if (!owner_.options().log) return;
  entry_.gone = gone;
  entry_.seconds = seconds_since(started_);
  owner_.options().log(entry_);
}

void HttpConnection::finished() {
  log(false);
  if (reply_) {
    reply_->connection_ = nullptr;
    reply_->close();
    reply_.reset();
  }
  if (refused_) return leave();
  if (!keep_alive_ || owner_.closing()) return close();
  place_ = Place::kReading;
  since_ = Clock::now();
  set_timeouts(owner_.options().idle_seconds, owner_.options().stall_seconds);
  read_requests();
}

void HttpConnection::leave() {
  place_ = Place::kLeaving;
  since_ = Clock::now();
  ::shutdown(bufferevent_getfd(socket_), SHUT_WR);
  set_timeouts(kLeaveSeconds, owner_.options().stall_seconds);
}

void HttpConnection::on_event(short what) {
  // It sends nothing more, but may still read what is on its way.
  if ((what & BEV_EVENT_EOF) != 0 && place_ == Place::kAnswering && ended_) {
    keep_alive_ = false;
    return;
  }
  const bool slow_request =
      (what & BEV_EVENT_TIMEOUT) != 0 && (what & BEV_EVENT_READING) != 0 && place_ == Place::kReading && parser_.begun();
  if (!slow_request) return close();
  bufferevent_enable(socket_, EV_READ);  // a time-out has disabled it
  refuse(408, "the request does not come");
}

}  // namespace dsv4
