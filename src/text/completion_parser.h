// A model's answer as a message, while it comes in: reasoning, content and calls of tools told apart, and no mark of the format let through.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/completion_arguments.h"
#include "text/completion_markers.h"
#include "text/completion_tools.h"
#include "text/stop_strings.h"
#include "text/whole_characters.h"

namespace dsv4 {

struct CompletionOptions {
  bool thinking = true;            ///< the prompt ended with <think>
  CompletionTools tools;           ///< none: DSML is text
  std::vector<std::string> stops;  ///< end the message where they stand in the content; no string may be empty
  std::string call_ids = "call_";  ///< what a call's id begins with; its number among the message's calls follows
};

/// A piece of the message, UTF-8.
struct CompletionDelta {
  enum class Kind { kContent, kReasoning, kCall, kArguments };

  Kind kind;
  std::string text;     ///< of kCall the name of the tool
  size_t call = 0;      ///< number of the call, from 0
  std::string call_id;  ///< of kCall
};

enum class FinishReason { kStop, kLength, kToolCalls };

/// Fed with the bytes of an answer in pieces of any size, such as those of one token; the deltas together are the same message for all sizes. Takes time in
/// proportion to the bytes, and holds back only what may still become a mark, a stop string or a value of another type.
class CompletionParser {
 public:
  explicit CompletionParser(CompletionOptions options);
  CompletionParser(CompletionParser&&) = default;
  CompletionParser(const CompletionParser&) = delete;  // an open call points to its tool in the options

  /// The deltas that the bytes make certain, neighbours of one kind as one.
  std::vector<CompletionDelta> push(std::string_view bytes);
  /// Nothing more comes: `length` says that the answer was cut by a limit. What was held back.
  std::vector<CompletionDelta> finish(bool length);

  /// Whether the message is over: an end token, a role token or a stop string was met, or finish() was called. Bytes that follow change nothing.
  bool ended() const { return place_ == Place::kEnded; }
  /// Why it is over.
  FinishReason finish_reason() const;

 private:
  enum class Place { kReasoning, kContent, kBlock, kInvoke, kValue, kAfter, kEnded };

  /// Bytes that are read, and what of them is not decided yet.
  struct Source {
    explicit Source(bool tags) : scanner(tags) {}

    MarkScanner scanner;
    std::string bytes;
    bool open = false;  // they begin with a `<` that the scanner has seen
    size_t shown = 0;   // as many of them were shown before (joint_)
  };

  void read(Source& source);
  void leave_out(Source& source, size_t& at);
  void text(std::string_view bytes);
  void mark(Mark::Kind kind, const DsmlTag& tag, std::string_view bytes);
  void think(bool end, std::string_view bytes);
  void tag(const DsmlTag& tag, std::string_view bytes);
  void tag_in_text(const DsmlTag& tag, std::string_view bytes);
  void tag_in_block(const DsmlTag& tag);
  void tag_in_invoke(const DsmlTag& tag, std::string_view bytes);
  void tag_in_value(const DsmlTag& tag, std::string_view bytes);

  void enter_block(const DsmlTag& tag);
  void begin_invoke(const DsmlTag& tag);
  void end_invoke();
  void finish_call();
  void try_bare_invoke(const DsmlTag& tag, std::string_view bytes);
  void end_bare_invoke();
  void give_up_bare_invoke(size_t bytes_of_mark);
  void end(bool cut);

  bool in_text() const { return place_ == Place::kReasoning || place_ == Place::kContent; }
  void show(std::string_view bytes);
  void emit(std::string_view bytes);
  void end_channel(bool with_space);
  void show_arguments();
  void add(CompletionDelta::Kind kind, std::string text);

  CompletionOptions options_;
  Source source_;
  std::vector<CompletionDelta> deltas_;
  Place place_;

  // The end of the shown text where it is the beginning of a mark: what stands behind a mark that is left out must not complete it.
  std::string joint_;
  std::string space_;  // white space at the end of the text: a block that follows takes it
  bool fresh_ = true;  // nothing but white space so far
  StopStrings stops_;
  WholeCharacters characters_;

  std::optional<CallArguments> call_;  // of the invoke that is open; none: it is left out
  std::string call_name_;
  bool call_shown_ = false;
  size_t calls_ = 0;

  // An invoke without a block: whether it is a call is known at its end. Its bytes are kept, to be read as text where it is none.
  bool bare_ = false, bare_declared_ = false, replaying_ = false;
  Place bare_origin_ = Place::kContent;
  std::string bare_bytes_, bare_joint_;

  bool stopped_ = false, cut_ = false;
};

}  // namespace dsv4
