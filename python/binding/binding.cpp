// Errors, stop requests and texts between Python and the rooms.
#include "binding.h"

#include "cli/messages.h"
#include "convert/errors.h"
#include "dsv4/session.h"

namespace dsv4::python {

namespace {

thread_local std::string line;
thread_local std::string text_out;
thread_local std::vector<int64_t> numbers_out;

void keep(const std::string& text) {
  const std::string whole = message_line(text);  // "dsv4: ...\n"
  const size_t begin = whole.find(' ') + 1;
  line = whole.substr(begin, whole.size() - begin - 1);
}

}  // namespace

Status kept(const std::exception& error) noexcept {
  try {
    keep(error_text(error));
  } catch (...) {
    return kept_unknown();
  }
  if (dynamic_cast<const UsageError*>(&error) != nullptr) return kUsage;
  if (dynamic_cast<const Cancelled*>(&error) != nullptr || dynamic_cast<const Interrupted*>(&error) != nullptr) return kCancelled;
  return kError;
}

Status kept_unknown() noexcept {
  line.clear();  // no memory for a text: Python has one
  return kError;
}

Arguments::Arguments(const char* command, const char* const* words, int64_t count) : texts_{"dsv4", command} {
  for (int64_t i = 0; i < count; ++i) texts_.emplace_back(words[i]);
  for (std::string& text : texts_) pointers_.push_back(text.data());
  pointers_.push_back(nullptr);
}

const char* handed_out(std::string text) {
  text_out = std::move(text);
  return text_out.c_str();
}

const std::vector<int64_t>& handed_out(std::vector<int64_t> numbers) {
  numbers_out = std::move(numbers);
  return numbers_out;
}

}  // namespace dsv4::python

using dsv4::python::Stop;

DSV4_PYTHON const char* dsv4_last_line() { return dsv4::python::line.c_str(); }
DSV4_PYTHON const char* dsv4_version() { return DSV4_VERSION; }
DSV4_PYTHON Stop* dsv4_stop_new() { return new Stop; }
DSV4_PYTHON void dsv4_stop_request(Stop* stop) {
  stop->flag = true;
  stop->source.request_stop();
}
DSV4_PYTHON void dsv4_stop_close(Stop* stop) { delete stop; }
