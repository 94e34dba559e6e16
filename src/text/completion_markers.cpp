// Finding marks: fixed ones by comparison, DSML tags by a state machine.
#include "text/completion_markers.h"

#include <algorithm>

namespace dsv4 {

namespace {

struct FixedMark {
  std::string_view text;
  Mark::Kind kind;
};

constexpr FixedMark kFixedMarks[] = {
    {"<think>", Mark::Kind::kThink},
    {"</think>", Mark::Kind::kThinkEnd},
    {"<｜end▁of▁sentence｜>", Mark::Kind::kEnd},
    {"<|EOT|>", Mark::Kind::kEnd},
    // An answer has no turns of others and no second beginning.
    {"<｜User｜>", Mark::Kind::kEnd},
    {"<｜Assistant｜>", Mark::Kind::kEnd},
    {"<｜System｜>", Mark::Kind::kEnd},
    {"<｜latest_reminder｜>", Mark::Kind::kEnd},
    {"<｜begin▁of▁sentence｜>", Mark::Kind::kEnd},
};

constexpr size_t kMostName = 64;  // longer words are no tag's name: what is dropped for one stays short

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

DsmlTag::Name tag_name(std::string_view name) {
  if (name == "tool_calls" || name == "toolcalls" || name == "function_calls") return DsmlTag::Name::kBlock;
  if (name == "invoke") return DsmlTag::Name::kInvoke;
  return name == "parameter" ? DsmlTag::Name::kParameter : DsmlTag::Name::kOther;
}

}  // namespace

// `/`, `think>`, a bar or `DSML`, space in front of them.
bool MarkScanner::can_begin(char c) { return c == '/' || c == 't' || c == 'D' || c == '|' || c == '\xEF' || c == '\xE2' || is_space(c); }

void MarkScanner::reset() {
  fixed_open_ = true;
  tag_open_ = tags_;
  state_ = State::kMarker;
  fixed_read_ = read_ = 1;
  mark_ = letters_ = 0;
  bars_ = bar_bytes_ = 0;
  bar_lead_ = quote_ = '\0';
  name_.clear();
  attribute_.clear();
  value_.clear();
  tag_ = {};
}

Mark MarkScanner::scan(std::string_view text) {
  if (text.size() > 1 && !can_begin(text[1])) return {Mark::Kind::kText, 1};
  Mark mark;
  if (fixed_open_ && read_fixed(text, mark)) return mark;
  while (tag_open_ && read_ < text.size()) {
    const Step result = step(text[read_]);
    if (result == Step::kNoMark) {
      tag_open_ = false;
      break;
    }
    ++read_;
    if (result == Step::kMore) continue;
    tag_.name = tag_name(name_);
    tag_.whole = result == Step::kDone;
    return {Mark::Kind::kTag, tag_.whole ? read_ : mark_};
  }
  if (fixed_open_ || tag_open_) return mark;
  return {Mark::Kind::kText, std::max(fixed_read_, read_)};
}

/// True with the mark when there is one; else sets whether there may still be.
bool MarkScanner::read_fixed(std::string_view text, Mark& mark) {
  fixed_open_ = text.size() == 1;
  if (text.size() == 1 || is_space(text[1])) return false;
  for (const FixedMark& fixed : kFixedMarks) {
    const auto [at, other] = std::mismatch(text.begin(), text.end(), fixed.text.begin(), fixed.text.end());
    if (other == fixed.text.end()) {
      mark = {fixed.kind, fixed.text.size()};
      return true;
    }
    fixed_read_ = std::max(fixed_read_, static_cast<size_t>(at - text.begin()));
    fixed_open_ = fixed_open_ || at == text.end();
  }
  return false;
}

MarkScanner::Step MarkScanner::step(char c) {
  switch (state_) {
    case State::kMarker:
      return marker_step(c);
    case State::kName:
      return name_step(c);
    case State::kGap:
      return gap_step(c);
    case State::kAttribute:
      if (is_word(c) || c == '-') {
        attribute_ += c;
        return Step::kMore;
      }
      state_ = State::kEquals;
      [[fallthrough]];
    case State::kEquals:
      if (is_space(c)) return Step::kMore;
      if (c != '=') return Step::kBroken;
      state_ = State::kValue;
      return Step::kMore;
    case State::kValue:
      if (is_space(c)) return Step::kMore;
      if (c == '"' || c == '\'') {
        quote_ = c;
        state_ = State::kQuoted;
        return Step::kMore;
      }
      if (!is_word(c)) return Step::kBroken;
      value_ += c;
      state_ = State::kBare;
      return Step::kMore;
    case State::kAngle:
      // Names may hold a `<`, but a mark behind it is the next mark and no part of this one.
      if (can_begin(c)) return Step::kBroken;
      state_ = State::kQuoted;
      [[fallthrough]];
    case State::kQuoted:
      return quoted_step(c);
    case State::kBare:
      if (is_word(c) || c == '-' || c == '.') {
        value_ += c;
        return Step::kMore;
      }
      end_attribute();
      return gap_step(c);
    case State::kSlash:
      if (is_space(c)) return Step::kMore;
      tag_.self_closing = c == '>';
      return c == '>' ? Step::kDone : Step::kBroken;
    case State::kClosing:
      if (is_space(c)) return Step::kMore;
      return c == '>' ? Step::kDone : Step::kBroken;
  }
  return Step::kBroken;
}

/// `<`, `/` where it closes, bars or none, "DSML", bars.
MarkScanner::Step MarkScanner::marker_step(char c) {
  const bool begun = letters_ > 0 && letters_ < kLetters.size();
  const Step no_bar = mark_ > 0 ? Step::kBroken : Step::kNoMark;
  if (bar_bytes_ > 0) {  // ｜ is EF BD 9C, ‖ is E2 80 96
    const char expected = bar_lead_ == '\xEF' ? (bar_bytes_ == 1 ? '\xBD' : '\x9C') : (bar_bytes_ == 1 ? '\x80' : '\x96');
    if (c != expected) return no_bar;
    if (++bar_bytes_ < 3) return Step::kMore;
    bar_bytes_ = 0;
    return bar_end();
  }
  if (!begun && (c == '\xEF' || c == '\xE2')) {
    bar_lead_ = c;
    bar_bytes_ = 1;
    return Step::kMore;
  }
  if (!begun && c == '|') return bar_end();
  if (mark_ > 0) {
    state_ = State::kName;
    return name_step(c);
  }
  if (!begun && is_space(c)) return Step::kMore;
  if (c == '/' && letters_ == 0 && bars_ == 0 && !tag_.closing) {
    tag_.closing = true;
    return Step::kMore;
  }
  if (letters_ == kLetters.size() || c != kLetters[letters_]) return Step::kNoMark;
  if (++letters_ == kLetters.size()) bars_ = 0;
  return Step::kMore;
}

MarkScanner::Step MarkScanner::bar_end() {
  ++bars_;
  if (letters_ > 0) mark_ = read_ + 1;
  return Step::kMore;
}

MarkScanner::Step MarkScanner::name_step(char c) {
  if (is_word(c) && name_.size() < kMostName) {
    name_ += c;
    mark_ = read_ + 1;
    return Step::kMore;
  }
  if (name_.empty() && is_space(c)) return Step::kMore;
  if (name_.empty() && c == '/' && !tag_.closing) {  // `<｜DSML｜/invoke>`
    tag_.closing = true;
    return Step::kMore;
  }
  state_ = tag_.closing ? State::kClosing : State::kGap;
  return step(c);
}

MarkScanner::Step MarkScanner::gap_step(char c) {
  state_ = State::kGap;
  if (is_space(c)) return Step::kMore;
  if (c == '>') return Step::kDone;
  if (c == '/') {
    state_ = State::kSlash;
    return Step::kMore;
  }
  if (!is_word(c)) return Step::kBroken;
  attribute_ = c;
  value_.clear();
  state_ = State::kAttribute;
  return Step::kMore;
}

MarkScanner::Step MarkScanner::quoted_step(char c) {
  if (c == quote_) {
    end_attribute();
    state_ = State::kGap;
    return Step::kMore;
  }
  // No name has a line end: a quote that nothing closes costs one line at most.
  if (c == '\n') return Step::kBroken;
  value_ += c;
  if (c == '<') state_ = State::kAngle;
  return Step::kMore;
}

void MarkScanner::end_attribute() {
  if (attribute_ == "name" && tag_.of.empty()) tag_.of = value_;
  if (attribute_ == "string" && (value_ == "true" || value_ == "false")) tag_.text = value_ == "true";
}

}  // namespace dsv4
