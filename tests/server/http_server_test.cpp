// The server over real sockets: whole answers and streams, limits, clients that go, read slowly or send junk, and its end.
#include "server/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "server/http_router.h"
#include "server/raw_client.h"

namespace dsv4 {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using testing_support::RawClient;

HttpResponse refusal(int status, const std::string& what) { return {status, "text/plain", "refused: " + what}; }

/// A flag that another thread sets.
class Signal {
 public:
  void set() {
    const std::lock_guard lock(mutex_);
    set_ = true;
    changed_.notify_all();
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [this] { return set_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

/// A server on a thread of its own.
class Running {
 public:
  explicit Running(HttpHandler handler, HttpServerOptions options = {}) : server_(with(std::move(options)), std::move(handler)) {
    thread_ = std::thread([this] {
      server_.run();
      ended.set();
    });
  }
  ~Running() {
    server_.stop();
    thread_.join();
  }

  int port() const { return server_.port(); }
  void stop() { server_.stop(); }

  Signal ended;

 private:
  static HttpServerOptions with(HttpServerOptions options) {
    options.port = 0;
    options.refusal = refusal;
    return options;
  }

  HttpServer server_;
  std::thread thread_;
};

/// Answers with what it got.
void echo(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  reply->send({200, "text/plain", request.method + " " + request.path + " " + request.body});
}

std::string get(const std::string& path, const std::string& headers = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n";
}

TEST(HttpServer, AnswersOneRequestAfterAnotherOnAConnection) {
  Running server(echo);
  RawClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    client.send(get("/one"));
    EXPECT_THAT(client.read_until("GET /one "), StartsWith("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Request-Id: " +
                                                           std::to_string(i + 1) + "\r\nContent-Length: 9\r\n\r\n"));
  }
  client.send("POST /two HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody" + get("/three"));
  client.read_until("POST /two body");
  EXPECT_THAT(client.read_until("GET /three "), HasSubstr("200 OK"));
}

TEST(HttpServer, ClosesWhenTheClientWants) {
  Running server(echo);
  RawClient client(server.port());
  client.send(get("/one", "Connection: close\r\n"));
  EXPECT_THAT(client.read_all(), HasSubstr("Connection: close\r\n\r\nGET /one "));
  RawClient old(server.port());
  old.send("GET /old HTTP/1.0\r\n\r\n");
  EXPECT_THAT(old.read_all(), testing::EndsWith("GET /old "));
}

TEST(HttpServer, StreamsFromAnotherThread) {
  std::thread writer;
  {
    Running server([&writer](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
      if (writer.joinable()) writer.join();
      writer = std::thread([reply] {
        reply->begin({200, "text/event-stream", "first"});
        reply->write("second");
        reply->end();
      });
    });
    RawClient client(server.port());
    client.send(get("/stream"));
    const std::string answer = client.read_until("\r\n0\r\n\r\n");
    EXPECT_THAT(answer, HasSubstr("Transfer-Encoding: chunked"));
    // However the pieces were joined on their way, they are all of it.
    std::string text;
    for (size_t at = answer.find("\r\n\r\n") + 4;;) {
      const size_t size = std::stoul(answer.substr(at), nullptr, 16);
      if (size == 0) break;
      at = answer.find("\r\n", at) + 2;
      text += answer.substr(at, size);
      at += size + 2;
    }
    EXPECT_EQ(text, "firstsecond");
    RawClient old(server.port());
    old.send("GET /stream HTTP/1.0\r\n\r\n");
    EXPECT_THAT(old.read_all(), testing::EndsWith("\r\n\r\nfirstsecond"));
  }
  writer.join();
}

TEST(HttpServer, LeavesTheBodyOutForHead) {
  Running server(echo);
  RawClient client(server.port());
  client.send("HEAD /one HTTP/1.1\r\nHost: h\r\n\r\n" + get("/two"));
  EXPECT_THAT(client.read_until("GET /two "), HasSubstr("Content-Length: 10\r\n\r\nHTTP/1.1 200 OK"));
}

TEST(HttpServer, SaysWhatPagesOfOthersMayDo) {
  Running open(echo);
  RawClient plain(open.port());
  plain.send("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(plain.read_until("\r\n\r\n"), testing::AllOf(HasSubstr("204"), HasSubstr("Allow: "), Not(HasSubstr("Access-Control"))));
  HttpServerOptions options;
  options.cors = "https://chat.example";
  Running server(echo, options);
  RawClient client(server.port());
  client.send("OPTIONS /v1 HTTP/1.1\r\nHost: h\r\nAccess-Control-Request-Headers: X-Mine\r\n\r\n");
  EXPECT_THAT(client.read_until("\r\n\r\n"), testing::AllOf(HasSubstr("Access-Control-Allow-Origin: https://chat.example\r\n"),
                                                            HasSubstr("Access-Control-Allow-Headers: X-Mine\r\n")));
}

TEST(HttpServer, RefusesInItsOwnFormAndCloses) {
  HttpServerOptions options;
  options.limits.body = 1000;
  Running server(echo, options);
  const auto answer_to = [&server](const std::string& bytes) {
    RawClient client(server.port());
    client.send(bytes);
    return client.read_all();
  };
  EXPECT_THAT(answer_to("junk\r\n\r\n"), testing::AllOf(StartsWith("HTTP/1.1 400 "), HasSubstr("refused: no request of HTTP/1.1: ")));
  EXPECT_THAT(answer_to("POST / HTTP/1.1\r\nHost: h\r\n\r\n"), StartsWith("HTTP/1.1 411 "));
  // More than the kernel keeps: the refusal is read although nobody reads the rest of the body.
  EXPECT_THAT(answer_to("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000000\r\n\r\n" + std::string(20000000, 'x')),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(answer_to("GET / HTTP/1.1\r\nA: " + std::string(70000, 'x') + "\r\n"), StartsWith("HTTP/1.1 431 "));
}

TEST(HttpServer, EndsABodyThatDoesNotEnd) {
  HttpServerOptions options;
  options.limits.body = 100000;
  Running server(echo, options);
  RawClient client(server.port());
  client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "3e8\r\n" + std::string(1000, 'x') + "\r\n";
  for (int i = 0; i < 200; ++i) client.send(chunk);
  EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
}

TEST(HttpServer, AsksForTheBodyOfAClientThatWaits) {
  Running server(echo);
  RawClient client(server.port());
  client.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("ab");
  EXPECT_THAT(client.read_until("POST /a ab"), HasSubstr("200 OK"));
}

TEST(HttpServer, AnswersOthersWhileClientsAreIdleOrHalfDone) {
  Running server(echo);
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int i = 0; i < 100; ++i) {
    idle.push_back(std::make_unique<RawClient>(server.port()));
    if (i % 2 == 0) idle.back()->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Len");
  }
  RawClient client(server.port());
  client.send(get("/one"));
  EXPECT_THAT(client.read_until("GET /one "), HasSubstr("200 OK"));
}

TEST(HttpServer, ClosesConnectionsOnWhichNothingComes) {
  HttpServerOptions options;
  options.idle_seconds = 0.2;
  Running server(echo, options);
  RawClient idle(server.port()), half(server.port());
  half.send("GET /one HT");
  EXPECT_EQ(idle.read_all(), "");
  EXPECT_THAT(half.read_all(), StartsWith("HTTP/1.1 408 "));
}

TEST(HttpServer, TakesNoMoreConnectionsThanItMay) {
  HttpServerOptions options;
  options.connections = 2;
  Running server(echo, options);
  RawClient third_waits(server.port());
  auto second = std::make_unique<RawClient>(server.port());
  third_waits.send(get("/one"));
  third_waits.read_until("GET /one ");
  second->send(get("/two"));
  second->read_until("GET /two ");
  RawClient third(server.port());
  third.send(get("/three"));
  second.reset();
  EXPECT_THAT(third.read_until("GET /three "), HasSubstr("200 OK"));
}

TEST(HttpServer, SeesThatAClientHasGoneThoughNothingIsWritten) {
  Signal asked, gone;
  Running server([&](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
    reply->on_change([&gone, reply = std::weak_ptr(reply)] {
      if (const auto held = reply.lock(); held && held->gone()) gone.set();
    });
    asked.set();
  });
  RawClient client(server.port());
  client.send(get("/one"));
  ASSERT_TRUE(asked.wait());
  client.close();
  EXPECT_TRUE(gone.wait());
}

TEST(HttpServer, PausesTheWriterOfASlowReaderAlone) {
  HttpServerOptions options;
  options.buffer = 100000;
  std::mutex mutex;
  std::shared_ptr<HttpReply> slow;
  Signal asked, writable;
  Running server(
      [&](const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
        if (request.path != "/slow") return echo(request, reply);
        const std::lock_guard lock(mutex);
        slow = reply;
        reply->on_change([&writable] { writable.set(); });
        asked.set();
      },
      options);
  RawClient client(server.port(), 4096);
  client.send(get("/slow"));
  ASSERT_TRUE(asked.wait());
  slow->begin({200, "text/event-stream", ""});
  const std::string piece(10000, 'x');
  size_t pieces = 1;
  while (slow->write(piece)) ASSERT_LT(++pieces, 10000u);
  EXPECT_GE(pieces, 10u);
  RawClient other(server.port());
  other.send(get("/other"));
  EXPECT_THAT(other.read_until("GET /other "), HasSubstr("200 OK"));
  slow->end();
  const std::string all = client.read_until("\r\n0\r\n\r\n");
  EXPECT_TRUE(writable.wait());
  EXPECT_EQ(static_cast<size_t>(std::count(all.begin() + static_cast<std::ptrdiff_t>(all.find("\r\n\r\n")), all.end(), 'x')),
            pieces * piece.size());
}

TEST(HttpServer, CutsAClientThatReadsNothing) {
  HttpServerOptions options;
  options.buffer = 1000;
  options.stall_seconds = 0.3;
  Signal gone;
  Running server(
      [&](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
        reply->on_change([&gone, reply = std::weak_ptr(reply)] {
          if (const auto held = reply.lock(); held && held->gone()) gone.set();
        });
        reply->begin({200, "text/plain", std::string(20000000, 'x')});
      },
      options);
  RawClient client(server.port(), 4096);
  client.send(get("/one"));
  EXPECT_TRUE(gone.wait());
}

TEST(HttpServer, GivesASilentStreamASignOfLife) {
  HttpServerOptions options;
  options.keep_alive_seconds = 0;
  Running server(
      [](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
        reply->begin({200, "text/event-stream", ""}, ": alive\n\n");
      },
      options);
  RawClient client(server.port());
  client.send(get("/one"));
  EXPECT_THAT(client.read_until(": alive\n\n\r\n"), HasSubstr("200 OK"));
}

TEST(HttpServer, EndsWhenTheLastReplyHasEnded) {
  Signal asked;
  std::shared_ptr<HttpReply> open;
  Running server([&](const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
    if (request.path == "/idle") return echo(request, reply);
    open = reply;
    asked.set();
  });
  RawClient idle(server.port()), client(server.port());
  idle.send(get("/idle"));
  idle.read_until("GET /idle ");
  client.send(get("/one"));
  ASSERT_TRUE(asked.wait());
  open->begin({200, "text/event-stream", "begin"});
  client.read_until("begin\r\n");
  server.stop();
  EXPECT_EQ(idle.read_all(), "");
  open->write("end");
  open->end();
  EXPECT_THAT(client.read_all(), HasSubstr("end\r\n0\r\n\r\n"));
  EXPECT_TRUE(server.ended.wait());
}

TEST(HttpServer, EndsRepliesThatTakeTooLongToEnd) {
  HttpServerOptions options;
  options.stop_seconds = 0;
  Signal asked;
  Running server([&](const HttpRequest&, const std::shared_ptr<HttpReply>&) { asked.set(); }, options);
  RawClient client(server.port());
  client.send(get("/one"));
  ASSERT_TRUE(asked.wait());
  server.stop();
  EXPECT_TRUE(server.ended.wait());
}

TEST(HttpServer, AnswersWithWhatAHandlerThrows) {
  Running server([](const HttpRequest&, const std::shared_ptr<HttpReply>&) { throw std::runtime_error("broken"); });
  RawClient client(server.port());
  client.send(get("/one"));
  EXPECT_THAT(client.read_until("refused: broken"), StartsWith("HTTP/1.1 500 "));
}

TEST(HttpServer, SaysWhichAddressCannotBeHad) {
  Running first(echo);
  HttpServerOptions options;
  options.port = first.port();
  options.refusal = refusal;
  EXPECT_THROW(HttpServer(options, echo), std::runtime_error);
  options.host = "no such host";
  EXPECT_THROW(HttpServer(options, echo), std::runtime_error);
}

TEST(HttpServer, TellsOfEveryRequest) {
  std::vector<std::string> lines;
  HttpServerOptions options;
  options.log = [&lines](const HttpLogEntry& entry) {
    lines.push_back(entry.method + " " + entry.path + " " + std::to_string(entry.status) + (entry.gone ? " gone" : "") + " " +
                    std::to_string(entry.id));
  };
  Signal asked;
  {
    Running server(
        [&asked](const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
          if (request.path != "/never") return echo(request, reply);
          asked.set();
        },
        options);
    RawClient client(server.port());
    client.send(get("/one?secret=1"));
    client.read_until("GET /one ");
    RawClient junk(server.port());
    junk.send("junk\r\n");
    junk.read_all();
    client.send(get("/never"));
    ASSERT_TRUE(asked.wait());
    client.close();
    RawClient after(server.port());
    after.send(get("/after", "Connection: close\r\n"));
    after.read_all();
  }
  EXPECT_THAT(lines, testing::UnorderedElementsAre("GET /one 200 1", "  400 2", "GET /never 0 gone 3", "GET /after 200 4"));
}

TEST(HttpRouter, FindsTheFunctionOfAPath) {
  Workers workers(2);
  HttpRouter router({refusal, [](const std::exception& error) { return refusal(500, error.what()); }}, workers);
  router.add("GET", "/models", echo);
  router.add("POST", "/chat", echo);
  router.add("GET", "/models/", echo);
  router.add("POST", "/fails", [](const HttpRequest&, const std::shared_ptr<HttpReply>&) { throw std::runtime_error("broken"); });
  Running server([&router](HttpRequest request, std::shared_ptr<HttpReply> reply) { router.answer(std::move(request), std::move(reply)); });
  const auto answer_to = [&server](const std::string& method, const std::string& path) {
    RawClient client(server.port());
    client.send(method + " " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    return client.read_all();
  };
  EXPECT_THAT(answer_to("GET", "/models?x=1"), HasSubstr("200 OK"));
  EXPECT_THAT(answer_to("HEAD", "/models"), HasSubstr("200 OK"));
  EXPECT_THAT(answer_to("GET", "/models/some/name"), HasSubstr("GET /models/some/name"));
  EXPECT_THAT(answer_to("GET", "/chat"), testing::AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Allow: POST\r\n")));
  EXPECT_THAT(answer_to("GET", "/other"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(answer_to("POST", "/fails"), testing::AllOf(StartsWith("HTTP/1.1 500 "), HasSubstr("refused: broken")));
}

}  // namespace
}  // namespace dsv4
