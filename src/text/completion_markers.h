// The marks in a model's answer that are no text: think tags, tokens that end it, DSML tags; found as the bytes come, none read twice.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace dsv4 {

/// White space between and in tags.
constexpr std::string_view kCompletionSpace = " \t\n\r\f\v";

/// A DSML tag, `<｜DSML｜invoke name="f">`, in the spellings that models produce.
struct DsmlTag {
  enum class Name { kBlock, kInvoke, kParameter, kOther };

  Name name = Name::kOther;
  bool closing = false;       ///< `</`
  bool self_closing = false;  ///< `/>`
  bool whole = false;         ///< up to its `>`; of a broken one only the marker `<｜DSML｜` and the name behind it are the tag
  std::string of;             ///< attribute `name`; empty: none
  std::optional<bool> text;   ///< attribute `string`, where it is true or false
};

/// What stands at a `<`.
struct Mark {
  enum class Kind { kUndecided, kText, kThink, kThinkEnd, kEnd, kTag };

  Kind kind = Kind::kUndecided;
  size_t bytes = 0;  ///< of it; of kText as many as could have been a mark, so that the first is its only `<`
};

class MarkScanner {
 public:
  /// Without `tags`, DSML is text.
  explicit MarkScanner(bool tags) : tags_(tags) { reset(); }

  /// Whether a mark can begin with `<` and this.
  static bool can_begin(char c);
  /// Begins anew, at another `<`.
  void reset();
  /// `text` begins with the `<`. After kUndecided the same text is given again with more behind it, and only that is read.
  Mark scan(std::string_view text);
  /// Whether what was undecided was becoming a DSML tag: it has the word.
  bool is_tag() const { return tag_open_ && letters_ == kLetters.size(); }
  /// The tag that was found, or what is known of it.
  const DsmlTag& tag() const { return tag_; }

 private:
  enum class State { kMarker, kName, kGap, kAttribute, kEquals, kValue, kQuoted, kAngle, kBare, kSlash, kClosing };
  enum class Step { kMore, kNoMark, kDone, kBroken };

  static constexpr std::string_view kLetters = "DSML";

  bool read_fixed(std::string_view text, Mark& mark);
  Step step(char c);
  Step marker_step(char c);
  Step bar_end();
  Step name_step(char c);
  Step gap_step(char c);
  Step quoted_step(char c);
  void end_attribute();

  bool tags_;
  bool fixed_open_, tag_open_;  // what it may still be
  State state_;
  size_t fixed_read_, read_;  // bytes that fit
  size_t mark_;               // bytes up to the bars behind "DSML" and the name behind these; 0: not that far
  size_t letters_;            // of kLetters
  int bars_;                  // in front of the letters, then behind them
  int bar_bytes_;             // of an unfinished bar of three bytes
  char bar_lead_, quote_;
  std::string name_, attribute_, value_;
  DsmlTag tag_;
};

}  // namespace dsv4
