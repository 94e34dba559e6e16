// JSON to text and back.
#include "checkpoint/json_text.h"

#include <algorithm>
#include <cstdio>

#include "checkpoint/quote.h"
#include "checkpoint/utf8.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

/// JSON's own printer leaves DEL and what is beyond it; in JSON they can only stand in strings.
std::string with_controls_escaped(std::string text) {
  const auto harmless = [](char c) { return static_cast<unsigned char>(c) < 0x7F; };
  if (std::all_of(text.begin(), text.end(), harmless)) return text;
  std::string out;
  for (std::string_view left = text; !left.empty();) {
    const Character character = first_character(left);
    char escape[16];
    if (character.code && *character.code >= 0x7F && is_control(*character.code)) {
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(*character.code));
      out += escape;
    } else {
      out += left.substr(0, character.bytes);
    }
    left.remove_prefix(character.bytes);
  }
  return out;
}

}  // namespace

std::string json_text(const nlohmann::ordered_json& json, int indent) {
  return with_controls_escaped(json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
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
