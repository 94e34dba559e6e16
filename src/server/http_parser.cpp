// The grammar is RFC 9112's without what it only tolerates: bare line feeds, folded headers, spaces before a colon, two lengths.
#include "server/http_parser.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "checkpoint/quote.h"

namespace dsv4 {

namespace {

constexpr size_t kMostChunkLine = 1024;  // a size has 16 digits; extensions mean nothing here

bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || kMarks.find(c) != std::string_view::npos;
  });
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) < 32 && c != '\t') || c == 127; });
}

/// All of the text as a number; nothing for anything else and for more than fits.
std::optional<uint64_t> number(std::string_view text, int base) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Whether a list of a header has this member.
bool has_member(const std::string& list, std::string_view member) {
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    if (lower(trimmed(std::string_view(list).substr(begin, end - begin))) == member) return true;
    begin = end + 1;
  }
  return false;
}

}  // namespace

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const std::optional<uint64_t> byte = i + 2 < text.size() ? number(text.substr(i + 1, 2), 16) : std::nullopt;
    if (!byte || *byte == 0) return std::nullopt;
    out += static_cast<char>(*byte);
    i += 2;
  }
  return out;
}

void HttpParser::refuse(int status, std::string what) {
  if (!problem_) problem_ = HttpProblem{status, std::move(what)};
}

size_t HttpParser::push(std::string_view bytes) {
  size_t taken = 0;
  while (taken < bytes.size() && !problem_ && place_ != Place::kDone) {
    const std::string_view rest = bytes.substr(taken);
    if (place_ == Place::kBody || place_ == Place::kChunk) {
      taken += read_body(rest);
      continue;
    }
    bool whole = false;
    taken += read_line(rest, place_ == Place::kHead || place_ == Place::kTrailer ? limits_.head : kMostChunkLine, whole);
    if (whole) line(std::exchange(line_, {}));
  }
  return taken;
}

/// Up to CRLF, which line_ does not get.
size_t HttpParser::read_line(std::string_view bytes, size_t most, bool& whole) {
  const size_t feed = bytes.find('\n');
  const size_t count = feed == std::string_view::npos ? bytes.size() : feed + 1;
  line_bytes_ += count;
  if (line_bytes_ > most) {
    refuse(431, "the head of the request has more than " + std::to_string(most) + " bytes");
    return count;
  }
  line_.append(bytes.substr(0, count));
  if (feed == std::string_view::npos) return count;
  if (line_.size() < 2 || line_[line_.size() - 2] != '\r') {
    refuse(400, "a line of the request ends without a carriage return");
    return count;
  }
  line_.resize(line_.size() - 2);
  whole = true;
  return count;
}

size_t HttpParser::read_body(std::string_view bytes) {
  const size_t count = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
  request_.body.append(bytes.substr(0, count));
  left_ -= count;
  if (left_ == 0) place_ = place_ == Place::kBody ? Place::kDone : Place::kChunkEnd;
  line_bytes_ = 0;
  return count;
}

void HttpParser::line(std::string text) {
  switch (place_) {
    case Place::kHead:
      if (first_line_ && text.empty()) return;  // RFC 9112 2.2: an empty line behind the last request
      if (std::exchange(first_line_, false)) return request_line(text);
      return text.empty() ? end_of_head() : header_line(text);
    case Place::kChunkSize:
      line_bytes_ = 0;
      return chunk_size(text);
    case Place::kChunkEnd:
      if (!text.empty()) return refuse(400, "a chunk of the body is longer than its size says");
      line_bytes_ = 0;
      place_ = Place::kChunkSize;
      return;
    case Place::kTrailer:
      if (text.empty()) place_ = Place::kDone;
      return;
    case Place::kBody:
    case Place::kChunk:
    case Place::kDone:
      return;
  }
}

void HttpParser::request_line(std::string_view text) {
  const size_t first = text.find(' '), second = text.rfind(' ');
  if (first == std::string_view::npos || second == first) return refuse(400, "no request of HTTP/1.1: " + quote(text));
  const std::string_view version = text.substr(second + 1);
  std::string_view target = text.substr(first + 1, second - first - 1);
  request_.method = text.substr(0, first);
  if (!is_token(request_.method) || !version.starts_with("HTTP/")) return refuse(400, "no request of HTTP/1.1: " + quote(text));
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return refuse(505, "version " + quote(version) + ", expected HTTP/1.1");
  request_.may_stream = version == "HTTP/1.1";
  request_.keep_alive = request_.may_stream;
  if (lower(target.substr(0, 7)) == "http://") {
    target.remove_prefix(std::min(target.size(), target.find('/', 7)));
    if (target.empty()) target = "/";
  }
  const bool control = has_control(target) || target.find_first_of(" \t") != std::string_view::npos;
  if (control || (!target.starts_with('/') && target != "*")) return refuse(400, "the request's path is none: " + quote(target));
  const size_t question = target.find('?');
  const std::optional<std::string> path = percent_decoded(target.substr(0, question));
  if (!path) return refuse(400, "the request's path is none: " + quote(target));
  request_.path = *path;
  if (question != std::string_view::npos) request_.query = target.substr(question + 1);
}

void HttpParser::header_line(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  if (colon == std::string_view::npos || !is_token(name)) return refuse(400, "no header: " + quote(text));
  const std::string_view value = trimmed(text.substr(colon + 1));
  if (has_control(value)) return refuse(400, "a control character in the header " + quote(name));
  request_.headers.emplace_back(lower(name), value);
}

void HttpParser::end_of_head() {
  const HttpHeaders& headers = request_.headers;
  const auto count = [&headers](std::string_view name) {
    return std::count_if(headers.begin(), headers.end(), [name](const auto& header) { return header.first == name; });
  };
  if (request_.may_stream && count("host") != 1) return refuse(400, "expected one Host header, found " + std::to_string(count("host")));
  for (const char* name : {"content-length", "transfer-encoding"}) {
    if (count(name) > 1) return refuse(400, std::string("more than one header ") + name);
  }
  if (const std::string* connection = find_header(headers, "connection")) {
    if (has_member(*connection, "close")) request_.keep_alive = false;
    if (has_member(*connection, "keep-alive")) request_.keep_alive = true;
  }
  const std::string* encoding = find_header(headers, "transfer-encoding");
  const std::string* length = find_header(headers, "content-length");
  if (encoding != nullptr && lower(*encoding) != "chunked")
    return refuse(501, "Transfer-Encoding " + quote(*encoding) + ", expected chunked");
  if (encoding != nullptr && length != nullptr) return refuse(400, "both Content-Length and Transfer-Encoding");
  if (encoding != nullptr && !request_.may_stream) return refuse(400, "Transfer-Encoding in HTTP/1.0");
  if (const std::string* coding = find_header(headers, "content-encoding"); coding != nullptr && lower(*coding) != "identity") {
    return refuse(415, "Content-Encoding " + quote(*coding) + ", expected a body that is not compressed");
  }
  if (const std::string* expect = find_header(headers, "expect")) {
    if (lower(*expect) != "100-continue") return refuse(417, "Expect " + quote(*expect) + ", expected 100-continue");
    expects_ = request_.may_stream;
  }
  line_bytes_ = 0;
  read_length(length, encoding != nullptr);
}

void HttpParser::read_length(const std::string* length, bool chunked) {
  if (chunked) {
    place_ = Place::kChunkSize;
    return;
  }
  if (length == nullptr) {
    const bool needs_body = request_.method == "POST" || request_.method == "PUT" || request_.method == "PATCH";
    if (needs_body) return refuse(411, request_.method + " without Content-Length; send it, or the body in chunks");
    place_ = Place::kDone;
    return;
  }
  const std::optional<uint64_t> bytes = number(*length, 10);
  if (!bytes) return refuse(400, "Content-Length " + quote(*length) + ", expected a number of bytes");
  if (*bytes > limits_.body) {
    return refuse(413, "the body has " + std::to_string(*bytes) + " bytes, expected at most " + std::to_string(limits_.body));
  }
  left_ = *bytes;
  place_ = left_ == 0 ? Place::kDone : Place::kBody;
}

void HttpParser::chunk_size(std::string_view text) {
  const std::optional<uint64_t> bytes = number(trimmed(text.substr(0, text.find(';'))), 16);
  if (!bytes) return refuse(400, "size of a chunk " + quote(text) + ", expected a hexadecimal number");
  if (*bytes > limits_.body - request_.body.size()) {
    return refuse(413, "the body has more than " + std::to_string(limits_.body) + " bytes");
  }
  left_ = *bytes;
  place_ = left_ == 0 ? Place::kTrailer : Place::kChunk;
}

bool HttpParser::take_expectation() { return in_body() && !problem_ && std::exchange(expects_, false); }

HttpRequest HttpParser::take() {
  HttpRequest out = std::move(request_);
  *this = HttpParser(limits_);
  return out;
}

}  // namespace dsv4
