// The prompt of a conversation, byte for byte as DeepSeek's own encoder (encoding_dsv4.py of a release) makes it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_message.h"
#include "text/text_span.h"

namespace dsv4 {

/// A prompt, and the parts of it that stand in the conversation: contents, reasoning, calls, tools. The rest is the format's own, and only there are the
/// characters of a marker the marker; what a user types stays text (TextEncoder::encode_written).
struct RenderedChat {
  std::string text;
  std::vector<TextSpan> written;  ///< in order, apart from each other
  struct Sampled {
    TextSpan span;
    std::shared_ptr<const SampledAnswer> answer;
  };
  std::vector<Sampled> sampled;  ///< what was sampled before and stands there again, in order: none of it is in `written`
};

RenderedChat render_chat(const Conversation& chat, ChatRelease release);

/// The text alone, from the beginning-of-sequence token to where the answer begins. Tool results and user messages in a row are one turn, results in the order of the calls.
/// Contents are taken as they are: markers in them become markers of the prompt, as in DeepSeek's.
std::string encode_chat(const Conversation& chat, ChatRelease release);

/// The paragraph that stands in front of everything in thinking mode; empty for kLow, in the original release for kHigh too.
std::string_view effort_text(ReasoningEffort effort, ChatRelease release);

}  // namespace dsv4
