// Reads requests of HTTP/1.1 from bytes in pieces of any size, strictly and within bounds: what two readers could take for different requests is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/http_message.h"

namespace dsv4 {

struct HttpLimits {
  size_t head = 64u << 10;  ///< bytes of the request line with all headers, and of what stands behind a body in chunks
  size_t body = 16u << 20;  ///< bytes of a body
};

/// Why a request is refused; the connection cannot go on behind it.
struct HttpProblem {
  int status = 400;
  std::string what;  ///< one line
};

/// Takes one request after another. Time in proportion to the bytes, and no more memory than the limits.
class HttpParser {
 public:
  explicit HttpParser(const HttpLimits& limits) : limits_(limits) {}

  /// Reads up to the end of the request, or to what is wrong with it; returns how many bytes it took.
  size_t push(std::string_view bytes);

  bool done() const { return place_ == Place::kDone; }
  const std::optional<HttpProblem>& problem() const { return problem_; }
  /// Whether a request has begun.
  bool begun() const { return place_ != Place::kHead || !line_.empty(); }
  bool in_body() const { return place_ != Place::kHead && place_ != Place::kDone; }
  /// Whether the client waits for "100 Continue" before it sends the body; true once.
  bool take_expectation();
  /// The request that is done; the parser is ready for the next one.
  HttpRequest take();

 private:
  enum class Place { kHead, kBody, kChunkSize, kChunk, kChunkEnd, kTrailer, kDone };

  size_t read_line(std::string_view bytes, size_t most, bool& whole);
  size_t read_body(std::string_view bytes);
  void line(std::string text);
  void request_line(std::string_view text);
  void header_line(std::string_view text);
  void end_of_head();
  void read_length(const std::string* length, bool chunked);
  void chunk_size(std::string_view text);
  void refuse(int status, std::string what);

  HttpLimits limits_;
  Place place_ = Place::kHead;
  std::string line_;       // that is not at its end
  size_t line_bytes_ = 0;  // of the head, or of what stands behind the chunks
  bool first_line_ = true;
  uint64_t left_ = 0;  // of the body, or of the chunk
  bool expects_ = false;
  HttpRequest request_;
  std::optional<HttpProblem> problem_;
};

/// `%41` as `A`; nothing for a percent sign without two digits and for a byte of zero.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace dsv4
