// Paths to functions.
#include "server/http_router.h"

#include <exception>
#include <utility>

#include "checkpoint/quote.h"

namespace dsv4 {

void HttpRouter::add(const std::string& method, const std::string& path, HttpEndpoint endpoint) {
  routes_.push_back({method, path, std::move(endpoint)});
}

void HttpRouter::answer(HttpRequest request, std::shared_ptr<HttpReply> reply) const {
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  std::string methods;
  for (const Route& route : routes_) {
    const bool fits = route.path.ends_with('/') ? request.path.starts_with(route.path) : request.path == route.path;
    if (!fits) continue;
    if (route.method != method) {
      methods += (methods.empty() ? "" : ", ") + route.method;
      continue;
    }
    workers_.post([this, &route, request = std::move(request), reply = std::move(reply)] {
      if (reply->gone()) return;
      try {
        route.endpoint(request, reply);
      } catch (const std::exception& error) {
        reply->send(refusals_.failure(error));
      }
    });
    return;
  }
  const std::string what = quote(request.method) + " of " + quote(request.path);
  if (methods.empty()) return reply->send(refusals_.refusal(404, what + ": there is no such path"));
  HttpResponse response = refusals_.refusal(405, what + ": this path has " + methods);
  response.headers.emplace_back("Allow", methods);
  reply->send(std::move(response));
}

}  // namespace dsv4
