// Errors of the APIs: a status, and the form in which OpenAI's clients read what is wrong.
#pragma once

#include <exception>
#include <string>

#include "dsv4/error.h"
#include "server/http_message.h"

namespace dsv4 {

/// A request that is refused.
class ApiError : public Error {
 public:
  ApiError(int status, const std::string& line, std::string param = {}, std::string code = {})
      : Error(line), status_(status), param_(std::move(param)), code_(std::move(code)) {}

  int status() const { return status_; }
  const std::string& param() const { return param_; }  ///< the field that is to blame, such as messages[2].role; empty: none
  const std::string& code() const { return code_; }    ///< for programs, such as context_length_exceeded; empty: none

 private:
  int status_;
  std::string param_, code_;
};

/// {"error": {"message", "type", "param", "code"}} as text.
std::string openai_error_json(const std::exception& error);
/// The whole answer: the status of an ApiError, 500 for what else goes wrong.
HttpResponse openai_error(const std::exception& error);
/// What the HTTP server refuses by itself.
HttpResponse openai_refusal(int status, const std::string& what);

}  // namespace dsv4
