// A conversation in a file: a chat JSON (chat_json.h) with a version, of system, user and assistant messages alone.
#pragma once

#include <string>
#include <string_view>

#include "text/chat_message.h"

namespace dsv4 {

/// The text of such a file, ending with a line end.
std::string saved_chat_text(const Conversation& chat);

/// Reads it. `where` names the file in messages. Error for what is none, for another version, and for whatever read_chat_json() refuses; for fields, roles and
/// orders of messages that saved_chat_text() does not write.
Conversation read_saved_chat(std::string_view text, const std::string& where);

}  // namespace dsv4
