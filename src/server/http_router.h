// Which function answers which path and method.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/http_reply.h"
#include "server/workers.h"

namespace dsv4 {

/// Reports what is wrong by an exception before the reply has begun.
using HttpEndpoint = std::function<void(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply)>;

class HttpRouter {
 public:
  /// What an exception of an endpoint is answered with, and a path or a method that there is not (404, 405 with the methods that there are).
  struct Refusals {
    std::function<HttpResponse(int status, const std::string& what)> refusal;
    std::function<HttpResponse(const std::exception& error)> failure;
  };

  HttpRouter(Refusals refusals, Workers& workers) : refusals_(std::move(refusals)), workers_(workers) {}

  /// A path that ends with `/` stands for all that begin with it. HEAD is what GET is.
  void add(const std::string& method, const std::string& path, HttpEndpoint endpoint);
  /// Hands the request to a worker.
  void answer(HttpRequest request, std::shared_ptr<HttpReply> reply) const;

 private:
  struct Route {
    std::string method, path;
    HttpEndpoint endpoint;
  };

  Refusals refusals_;
  Workers& workers_;
  std::vector<Route> routes_;
};

}  // namespace dsv4
