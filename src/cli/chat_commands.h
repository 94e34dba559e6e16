// What a person tells the program in the middle of a chat: lines that begin with a slash.
#pragma once

#include <string>

#include "chat/talk.h"

namespace dsv4 {

/// Whether the line is a command and no message.
bool is_chat_command(const std::string& line);

/// Does what it says and prints what there is to say. False when the chat is to end. Error, one line, for what is unknown or cannot be done: nothing has changed
/// then.
bool run_chat_command(const std::string& line, Talk& talk);

}  // namespace dsv4
