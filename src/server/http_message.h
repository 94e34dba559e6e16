// A request and a response of HTTP/1.1 as values, and the text of a response's head.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dsv4 {

/// Names in lower case.
using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

/// The value of the first header of this name, given in lower case; nullptr: there is none.
const std::string* find_header(const HttpHeaders& headers, std::string_view name);

struct HttpRequest {
  std::string method;
  std::string path;   ///< begins with `/`; percent signs are decoded; "*" of OPTIONS for the server as a whole
  std::string query;  ///< behind the `?`, as it came
  HttpHeaders headers;
  std::string body;
  bool keep_alive = true;  ///< the client wants to send another request
  bool may_stream = true;  ///< HTTP/1.1: takes a body in chunks
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  HttpHeaders headers = {};
};

/// "Not Found" for 404.
std::string_view status_text(int status);

/// Status line and headers up to the empty line. Line breaks in headers become spaces.
std::string response_head(int status, const HttpHeaders& headers);

}  // namespace dsv4
