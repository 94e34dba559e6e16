// Errors in OpenAI's form.
#include "server/api_error.h"

#include "checkpoint/json_text.h"

namespace dsv4 {

namespace {

const char* type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

std::string error_json(int status, const std::string& line, const std::string& param, const std::string& code) {
  const auto text_or_null = [](const std::string& text) { return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text); };
  return json_text(
      {{"error", {{"message", line}, {"type", type_of(status)}, {"param", text_or_null(param)}, {"code", text_or_null(code)}}}});
}

}  // namespace

std::string openai_error_json(const std::exception& error) {
  if (const auto* known = dynamic_cast<const ApiError*>(&error))
    return error_json(known->status(), known->what(), known->param(), known->code());
  return error_json(500, error.what(), {}, {});
}

HttpResponse openai_error(const std::exception& error) {
  const auto* known = dynamic_cast<const ApiError*>(&error);
  HttpResponse response;
  response.status = known != nullptr ? known->status() : 500;
  response.body = openai_error_json(error);
  if (response.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (response.status == 429) response.headers.emplace_back("Retry-After", "1");
  return response;
}

HttpResponse openai_refusal(int status, const std::string& what) { return openai_error(ApiError(status, what)); }

}  // namespace dsv4
