// Requests as bytes: what is read, what is refused and with which status, in pieces of any size.
#include "server/http_parser.h"

#include <gtest/gtest.h>

namespace dsv4 {
namespace {

constexpr HttpLimits kSmall = {.head = 300, .body = 40};

HttpParser fed(std::string_view bytes, size_t piece) {
  HttpParser parser(kSmall);
  for (size_t at = 0; at < bytes.size() && !parser.done() && !parser.problem();) {
    const size_t taken = parser.push(bytes.substr(at, piece));
    if (taken == 0) break;
    at += taken;
  }
  return parser;
}

int status_of(const std::string& bytes) {
  const HttpParser whole = fed(bytes, bytes.size());
  const HttpParser single = fed(bytes, 1);
  const auto status = [](const HttpParser& parser) { return parser.problem() ? parser.problem()->status : parser.done() ? 200 : 0; };
  EXPECT_EQ(status(whole), status(single)) << bytes;
  return status(whole);
}

std::string get(const std::string& headers) { return "GET /a HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n"; }
std::string post(const std::string& headers, const std::string& body = "") {
  return "POST /a HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n" + body;
}

TEST(HttpParser, ReadsARequestInPiecesOfAnySize) {
  const std::string bytes = "POST /v1/a%20b?x=1&y HTTP/1.1\r\nHost: h\r\nX-One:  two \r\nContent-Length: 5\r\n\r\nhelloGET";
  for (size_t piece = 1; piece < bytes.size(); ++piece) {
    HttpParser parser = fed(bytes, piece);
    ASSERT_TRUE(parser.done());
    const HttpRequest request = parser.take();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/v1/a b");
    EXPECT_EQ(request.query, "x=1&y");
    ASSERT_NE(find_header(request.headers, "x-one"), nullptr);
    EXPECT_EQ(*find_header(request.headers, "x-one"), "two");
    EXPECT_EQ(request.body, "hello");
    EXPECT_TRUE(request.keep_alive);
  }
}

TEST(HttpParser, TakesNothingOfTheNextRequest) {
  const std::string bytes = get("");
  HttpParser parser(kSmall);
  EXPECT_EQ(parser.push(bytes + bytes), bytes.size());
  EXPECT_TRUE(parser.done());
  parser.take();
  EXPECT_FALSE(parser.begun());
  EXPECT_EQ(parser.push(bytes), bytes.size());
  EXPECT_TRUE(parser.done());
}

TEST(HttpParser, ReadsABodyInChunks) {
  const std::string bytes = post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\nA;name=value\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nrest");
  for (size_t piece = 1; piece < bytes.size(); ++piece) {
    HttpParser parser = fed(bytes, piece);
    ASSERT_TRUE(parser.done());
    EXPECT_EQ(parser.take().body, "abc0123456789");
  }
}

TEST(HttpParser, KnowsWhetherTheClientGoesOn) {
  EXPECT_FALSE(fed(get("Connection: close\r\n"), 99).take().keep_alive);
  EXPECT_TRUE(fed(get("Connection: Keep-Alive\r\n"), 99).take().keep_alive);
  EXPECT_FALSE(fed("GET /a HTTP/1.0\r\n\r\n", 99).take().keep_alive);
  EXPECT_FALSE(fed("GET /a HTTP/1.0\r\n\r\n", 99).take().may_stream);
}

TEST(HttpParser, SaysThatTheClientWaitsOnce) {
  HttpParser parser(kSmall);
  parser.push(post("Content-Length: 2\r\nExpect: 100-continue\r\n"));
  EXPECT_TRUE(parser.take_expectation());
  EXPECT_FALSE(parser.take_expectation());
  HttpParser large(kSmall);
  large.push(post("Content-Length: 41\r\nExpect: 100-continue\r\n"));
  EXPECT_FALSE(large.take_expectation());
}

TEST(HttpParser, RefusesWhatIsNoRequest) {
  EXPECT_EQ(status_of("hello\r\n"), 400);
  EXPECT_EQ(status_of("GET /a HTTP/1.1\n"), 400);
  EXPECT_EQ(status_of("GET  HTTP/1.1\r\n"), 400);
  EXPECT_EQ(status_of("GET a HTTP/1.1\r\n"), 400);
  EXPECT_EQ(status_of("GET /a b HTTP/1.1\r\n"), 400);
  EXPECT_EQ(status_of("GET /%zz HTTP/1.1\r\n"), 400);
  EXPECT_EQ(status_of("GET /%00 HTTP/1.1\r\n"), 400);
  EXPECT_EQ(status_of("GET /a HTTP/2.0\r\n"), 505);
  EXPECT_EQ(status_of("\x16\x03\x01\x02\r\n"), 400);  // TLS
  EXPECT_EQ(status_of(get("no colon\r\n")), 400);
  EXPECT_EQ(status_of(get("Spaced : 1\r\n")), 400);
  EXPECT_EQ(status_of(get(" folded\r\n")), 400);
  EXPECT_EQ(status_of(get(std::string("A: \0\r\n", 6))), 400);
  EXPECT_EQ(status_of("GET /a HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of(get("Host: other\r\n")), 400);
}

TEST(HttpParser, RefusesWhatHasNoOneLength) {
  EXPECT_EQ(status_of(post("")), 411);
  EXPECT_EQ(status_of(post("Content-Length: -1\r\n")), 400);
  EXPECT_EQ(status_of(post("Content-Length: 1, 1\r\n")), 400);
  EXPECT_EQ(status_of(post("Content-Length: 99999999999999999999\r\n")), 400);
  EXPECT_EQ(status_of(post("Content-Length: 1\r\nContent-Length: 1\r\n")), 400);
  EXPECT_EQ(status_of(post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")), 400);
  EXPECT_EQ(status_of(post("Transfer-Encoding: gzip, chunked\r\n")), 501);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n", "x\r\n")), 400);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n", "-1\r\n")), 400);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\n")), 400);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n", "1\r\nab\r\n")), 400);
  EXPECT_EQ(status_of(post("Content-Length: 1\r\nContent-Encoding: gzip\r\n")), 415);
  EXPECT_EQ(status_of(post("Content-Length: 1\r\nExpect: tea\r\n")), 417);
}

TEST(HttpParser, KeepsToItsLimits) {
  EXPECT_EQ(status_of(get("A: " + std::string(300, 'a') + "\r\n")), 431);
  EXPECT_EQ(status_of("GET /" + std::string(400, 'a')), 431);
  EXPECT_EQ(status_of(post("Content-Length: 41\r\n")), 413);
  EXPECT_EQ(status_of(post("Content-Length: 18446744073709551615\r\n")), 413);
  const std::string ten = "a\r\n0123456789\r\n";
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n", ten + ten + ten + ten + "0\r\n\r\n")), 200);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n", ten + ten + ten + ten + "1\r\n")), 413);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n", "fffffffffffffff0\r\n")), 413);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n", "1;" + std::string(2000, 'x') + "\r\n")), 431);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n", "0\r\nA: " + std::string(400, 'x') + "\r\n")), 431);
}

}  // namespace
}  // namespace dsv4
