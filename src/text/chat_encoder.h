// The prompt of a conversation, byte for byte as DeepSeek's own encoder (encoding_dsv4.py of a release) makes it.
#pragma once

#include <string>
#include <string_view>

#include "text/chat_message.h"
#include "text/prompt_text.h"

namespace dsv4 {

/// From the beginning-of-sequence token to where the answer begins. Tool results and user messages in a row are one turn, results in the order of the calls.
/// Contents are taken as they are: markers in them become markers of the prompt, as in DeepSeek's.
std::string encode_chat(const Conversation& chat, ChatRelease release);

/// The same with the format's markers told from contents: those in contents stay text.
PromptText chat_prompt(const Conversation& chat, ChatRelease release);

/// The paragraph that stands in front of everything in thinking mode; empty for kLow, in the original release for kHigh too.
std::string_view effort_text(ReasoningEffort effort, ChatRelease release);

}  // namespace dsv4
