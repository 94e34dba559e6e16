// JSON to text and back.
#include "checkpoint/json_text.h"

#include "dsv4/error.h"

namespace dsv4 {

std::string json_text(const nlohmann::ordered_json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string json_file_text(const nlohmann::ordered_json& json) { return json_text(json, 2) + "\n"; }

nlohmann::ordered_json parse_json(std::string_view text) {
  try {
    return nlohmann::ordered_json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::parse_error& error) {
    fail("not valid JSON at byte ", error.byte);
  } catch (const nlohmann::json::exception&) {
    fail("JSON that holds a number that no double can hold");
  }
}

void parse_json_events(std::string_view text, nlohmann::json_sax<nlohmann::json>& handler) {
  nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
}

}  // namespace dsv4
