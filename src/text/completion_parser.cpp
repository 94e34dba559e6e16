// Reading a model's answer: where it is (reasoning, content, a block of calls, ...) and what a mark means there.
#include "text/completion_parser.h"

#include <algorithm>
#include <utility>

#include "checkpoint/utf8.h"

namespace dsv4 {

namespace {

constexpr size_t kMostJoint = 256;  // a mark is shorter, but for white space without end

using Name = DsmlTag::Name;

}  // namespace

CompletionParser::CompletionParser(CompletionOptions options)
    : options_(std::move(options)),
      source_(!options_.tools.empty()),
      place_(options_.thinking ? Place::kReasoning : Place::kContent),
      stops_(options_.stops) {}

std::vector<CompletionDelta> CompletionParser::push(std::string_view bytes) {
  if (!ended()) {
    source_.bytes += bytes;
    read(source_);
  }
  return std::exchange(deltas_, {});
}

std::vector<CompletionDelta> CompletionParser::finish(bool length) {
  if (ended()) return {};
  if (source_.open) {
    const std::string_view rest = source_.bytes;
    // Of a cut answer the beginning of a mark is left out, so that what is shown of a call is the beginning of its arguments; but "2 <" is text.
    const bool cut_mark = length && (place_ == Place::kValue || rest.find_first_not_of(kCompletionSpace, 1) != std::string_view::npos);
    if (source_.scanner.is_tag()) {
      if (place_ == Place::kValue && source_.scanner.tag().closing) tag_in_value(source_.scanner.tag(), {});
    } else if (!cut_mark) {
      text(rest.substr(source_.shown));
    }
  }
  end(length);
  return std::exchange(deltas_, {});
}

FinishReason CompletionParser::finish_reason() const {
  if (cut_) return FinishReason::kLength;
  return calls_ > 0 && !stopped_ ? FinishReason::kToolCalls : FinishReason::kStop;
}

void CompletionParser::read(Source& source) {
  size_t at = 0, plain = 0;  // what lies between is text that is not yet handed on
  std::string_view joint = joint_;
  while (!ended()) {
    const std::string_view all = source.bytes;
    if (!source.open) {
      const size_t next = std::min(all.find('<', at), all.size());
      if (next > at) joint = {};
      at = next;
      if (at == all.size()) break;
      if (at + 1 < all.size() && !MarkScanner::can_begin(all[at + 1])) {
        joint = all[at + 1] == '<' ? all.substr(at, 1) : std::string_view();
        ++at;
        continue;
      }
      source.open = true;
      source.scanner.reset();
    }
    const std::string_view rest = all.substr(at);
    const Mark found = source.scanner.scan(rest);
    if (found.kind == Mark::Kind::kUndecided) break;
    source.open = false;
    const size_t shown = std::exchange(source.shown, 0);
    if (shown > 0) plain = at + shown;
    if (found.kind == Mark::Kind::kText) {
      const bool begun = found.bytes < rest.size() && rest[found.bytes] == '<' && found.bytes <= kMostJoint;
      joint = begun ? rest.substr(0, found.bytes) : std::string_view();
      at += found.bytes;
      continue;
    }
    joint_ = shown == 0 ? joint : rest.substr(0, shown);
    if (shown == 0) {
      if (at > plain) text(all.substr(plain, at - plain));
      mark(found.kind, DsmlTag(source.scanner.tag()), rest.substr(0, found.bytes));
    }  // else the mark's other half, which is shown, came from before one that was left out: this half is left out too
    at += found.bytes;
    leave_out(source, at);
    plain = at;
    joint = {};
  }
  const std::string_view all = source.bytes;
  joint_ = ended() ? std::string_view() : joint;
  if (at > plain && !ended()) text(all.substr(plain, at - plain));
  source.bytes.erase(0, at);
}

/// Behind a mark that was left out of a text: if the text before it ends with the beginning of a mark, reading goes on from there.
void CompletionParser::leave_out(Source& source, size_t& at) {
  if (!joint_.empty() && in_text() && !bare_) {
    const size_t begin = at - std::min(at, joint_.size());
    source.bytes.replace(begin, at - begin, joint_);
    at = begin;
    source.open = true;
    source.shown = joint_.size();
    source.scanner.reset();
  }
  joint_.clear();
}

void CompletionParser::text(std::string_view bytes) {
  if (bare_) bare_bytes_ += bytes;
  if (in_text()) {
    show(bytes);
  } else if (place_ == Place::kInvoke && call_) {
    call_->body(bytes);
  } else if (place_ == Place::kValue && call_) {
    call_->value(bytes);
    show_arguments();
  }
}

void CompletionParser::mark(Mark::Kind kind, const DsmlTag& read_tag, std::string_view bytes) {
  if (bare_) bare_bytes_ += bytes;
  if (kind == Mark::Kind::kTag) {
    tag(read_tag, bytes);
  } else if (kind != Mark::Kind::kEnd) {
    think(kind == Mark::Kind::kThinkEnd, bytes);
  } else {
    if (bare_) give_up_bare_invoke(bytes.size());
    if (!ended()) end(false);
  }
}

void CompletionParser::think(bool end, std::string_view bytes) {
  if (place_ == Place::kValue && call_) {
    call_->value(bytes);
    show_arguments();
  }
  if (place_ == Place::kInvoke) {
    const bool in_object = call_ && call_->body_is_object();
    if (in_object) call_->body(bytes);
    if (in_object || !bare_) return;
    give_up_bare_invoke(bytes.size());
  }
  if (!in_text()) return;
  const bool reasoning = place_ == Place::kReasoning;
  const bool opens = !reasoning && !end && fresh_ && !options_.thinking;
  fresh_ = false;
  if (!opens && !(reasoning && end)) return;
  end_channel(true);
  if (!ended()) place_ = reasoning ? Place::kContent : Place::kReasoning;
}

void CompletionParser::tag(const DsmlTag& tag, std::string_view bytes) {
  switch (place_) {
    case Place::kReasoning:
    case Place::kContent:
    case Place::kAfter:
      return tag_in_text(tag, bytes);
    case Place::kBlock:
      return tag_in_block(tag);
    case Place::kInvoke:
      return tag_in_invoke(tag, bytes);
    case Place::kValue:
      return tag_in_value(tag, bytes);
    case Place::kEnded:
      return;
  }
}

void CompletionParser::tag_in_text(const DsmlTag& tag, std::string_view bytes) {
  fresh_ = false;
  if (tag.closing || !tag.whole) return;
  if (tag.name == Name::kBlock) enter_block(tag);
  if (tag.name == Name::kInvoke && !replaying_) try_bare_invoke(tag, bytes);
}

void CompletionParser::enter_block(const DsmlTag& tag) {
  end_channel(false);
  place_ = tag.self_closing ? Place::kAfter : Place::kBlock;
}

void CompletionParser::tag_in_block(const DsmlTag& tag) {
  if (tag.name == Name::kInvoke && !tag.closing) begin_invoke(tag);
  if (tag.name == Name::kBlock && tag.closing) place_ = Place::kAfter;
}

void CompletionParser::tag_in_invoke(const DsmlTag& tag, std::string_view bytes) {
  if (tag.name == Name::kInvoke && tag.closing) return end_invoke();
  if (tag.name == Name::kParameter && !tag.closing) {
    const bool readable = tag.whole && !tag.of.empty();
    if (call_ && readable) call_->open(tag.of, tag.text);
    if (call_ && !readable) call_->skip();
    if (readable) place_ = Place::kValue;
    if (readable && tag.self_closing) tag_in_value({Name::kParameter, true, false, true, {}, {}}, {});
    show_arguments();
    return;
  }
  if (tag.name != Name::kInvoke && tag.name != Name::kBlock) return;
  // Another invoke, another block or the end of the block implies the end of this one.
  if (bare_) {
    give_up_bare_invoke(bytes.size());
    return this->tag(tag, bytes);
  }
  end_invoke();
  if (tag.name == Name::kInvoke) return begin_invoke(tag);
  if (tag.closing || tag.self_closing) place_ = Place::kAfter;
}

void CompletionParser::tag_in_value(const DsmlTag& tag, std::string_view bytes) {
  const bool next = !tag.closing && tag.whole && tag.name == Name::kParameter && !tag.of.empty();
  if (!tag.closing && !next) {
    if (call_) call_->value(bytes);
    return show_arguments();
  }
  if (call_) call_->close();
  show_arguments();
  place_ = Place::kInvoke;
  tag_in_invoke(tag, bytes);
}

void CompletionParser::begin_invoke(const DsmlTag& tag) {
  place_ = Place::kInvoke;
  call_shown_ = false;
  call_.reset();
  call_name_ = replace_invalid_utf8(tag.of);
  if (tag.whole && !tag.of.empty()) call_.emplace(options_.tools.find(call_name_));
  if (tag.whole && tag.self_closing) end_invoke();
}

void CompletionParser::end_invoke() {
  if (bare_) return end_bare_invoke();
  finish_call();
  place_ = Place::kBlock;
}

void CompletionParser::finish_call() {
  if (!call_) return;
  call_->finish();
  show_arguments();
  call_.reset();
  ++calls_;
}

void CompletionParser::try_bare_invoke(const DsmlTag& tag, std::string_view bytes) {
  bare_ = true;
  bare_origin_ = place_;
  bare_bytes_ = bytes;
  bare_joint_ = joint_;
  bare_declared_ = options_.tools.find(replace_invalid_utf8(tag.of)) != nullptr;
  begin_invoke(tag);
}

/// It is closed: a call where its tool is declared; else the text goes on behind it.
void CompletionParser::end_bare_invoke() {
  bare_ = false;
  bare_bytes_.clear();
  place_ = bare_origin_;
  if (bare_declared_) {
    end_channel(false);
    finish_call();
    place_ = Place::kAfter;
  } else {
    call_.reset();
    joint_ = bare_joint_;
  }
}

/// It is not closed. With parameters of a declared tool it was meant as a call and is left out; else it is prose about markup: text, without the tags.
void CompletionParser::give_up_bare_invoke(size_t bytes_of_mark) {
  const bool meant = bare_declared_ && call_ && call_->has_parameters();
  bare_ = false;
  call_.reset();
  place_ = bare_origin_;
  joint_ = bare_joint_;
  Source again(true);
  again.bytes = std::exchange(bare_bytes_, {});
  again.bytes.resize(again.bytes.size() - bytes_of_mark);
  if (meant) return;
  replaying_ = true;
  read(again);
  if (again.open && !ended()) {
    std::string_view rest = again.bytes;
    if (again.scanner.is_tag()) {
      rest = rest.substr(0, again.shown);
    } else {
      text(rest.substr(again.shown));
    }
    if (!rest.empty()) joint_ = rest.substr(0, rest.size() <= kMostJoint ? rest.size() : 0);
  }
  replaying_ = false;
}

void CompletionParser::end(bool cut) {
  if (bare_ && cut && bare_declared_) {  // a call that is cut and shown nothing of
    bare_ = false;
    call_.reset();
    place_ = bare_origin_;
  }
  if (bare_) give_up_bare_invoke(0);
  if (ended()) return;
  if (in_text()) end_channel(true);
  if (place_ == Place::kInvoke || place_ == Place::kValue) {
    if (!cut) {
      finish_call();
    } else if (call_ && call_shown_) {
      ++calls_;
    }
  }
  place_ = Place::kEnded;
  cut_ = cut;
}

/// Text of the channel that is open. White space at its end waits for what follows.
void CompletionParser::show(std::string_view bytes) {
  const size_t last = bytes.find_last_not_of(kCompletionSpace);
  if (last != std::string_view::npos) fresh_ = false;
  if (options_.tools.empty()) return emit(bytes);  // no block can follow
  if (last == std::string_view::npos) {
    space_ += bytes;
    return;
  }
  if (!space_.empty()) emit(std::exchange(space_, {}));
  if (ended()) return;
  emit(bytes.substr(0, last + 1));
  if (!ended()) space_ = bytes.substr(last + 1);
}

void CompletionParser::emit(std::string_view bytes) {
  std::string out;
  if (place_ == Place::kReasoning) {
    characters_.push(bytes, out);
    return add(CompletionDelta::Kind::kReasoning, std::move(out));
  }
  if (options_.stops.empty()) {  // most answers: no byte is looked at for them
    characters_.push(bytes, out);
  } else {
    characters_.push(stops_.push(bytes), out);
  }
  stopped_ = stops_.stopped();
  if (stopped_) characters_.finish(out);
  add(CompletionDelta::Kind::kContent, std::move(out));
  if (stopped_) place_ = Place::kEnded;
}

/// The text of the open channel is at its end; `with_space`: the white space there is part of it.
void CompletionParser::end_channel(bool with_space) {
  if (!in_text()) return;
  const std::string space = std::exchange(space_, {});
  if (with_space) emit(space);
  if (ended()) return;
  std::string out;
  if (place_ == Place::kContent) {
    characters_.push(stops_.finish(), out);
    stops_ = StopStrings(options_.stops);  // content goes on after reasoning in chat mode
  }
  characters_.finish(out);
  add(place_ == Place::kContent ? CompletionDelta::Kind::kContent : CompletionDelta::Kind::kReasoning, std::move(out));
  joint_.clear();
}

/// What of the open call's arguments is certain; its head in front of the first of them, so that a call of which nothing else is there leaves no trace.
void CompletionParser::show_arguments() {
  if (bare_ || !call_) return;
  std::string text = call_->take();
  if (text.empty()) return;
  if (!std::exchange(call_shown_, true)) {
    deltas_.push_back({CompletionDelta::Kind::kCall, call_name_, calls_, options_.call_ids + std::to_string(calls_)});
  }
  add(CompletionDelta::Kind::kArguments, std::move(text));
}

void CompletionParser::add(CompletionDelta::Kind kind, std::string text) {
  if (text.empty()) return;
  if (!deltas_.empty() && deltas_.back().kind == kind && deltas_.back().call == calls_) {
    deltas_.back().text += text;
  } else {
    deltas_.push_back({kind, std::move(text), calls_, {}});
  }
}

}  // namespace dsv4
