// JSON to text and back. With json_fields.cpp the only place in which nlohmann's parsers and printer are compiled: they take seconds each.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace dsv4 {

/// On one line, or with `indent` spaces a level; bytes that are not UTF-8 become U+FFFD, and control characters
/// (checkpoint/quote.h) \uNNNN.
std::string json_text(const nlohmann::ordered_json& json, int indent = -1);

/// The text, indented by 2 and with a line end, as JSON files are written.
std::string json_file_text(const nlohmann::ordered_json& json);

/// Fields in the order of the text; for text that dsv4 wrote or that was checked before. Error for anything but JSON. What came from a file of others is read by
/// parse_json_object (json_fields.h).
nlohmann::ordered_json parse_json(std::string_view text);

/// Calls `handler` for every value; what it throws passes through.
void parse_json_events(std::string_view text, nlohmann::json_sax<nlohmann::json>& handler);

}  // namespace dsv4
