// PCRE2, compiled to machine code where it can.
#include "text/splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdlib>
#include <new>

#include "dsv4/error.h"
#include "text/split_pattern.h"

namespace dsv4 {

namespace {

constexpr size_t kFirstStack = size_t{32} << 10, kMostStack = size_t{256} << 20;  // of compiled matches; it grows as they need it

/// What one thread matches with.
class Matcher {
 public:
  Matcher() : data_(pcre2_match_data_create(1, nullptr)), context_(pcre2_match_context_create(nullptr)) {
    if (!data_ || !context_) throw std::bad_alloc();
  }

  /// The next match from `begin` on; false when there is none.
  bool find(const pcre2_code* code, std::string_view text, size_t begin) {
    int found = match(code, text, begin);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT && !stack_) {
      stack_.reset(pcre2_jit_stack_create(kFirstStack, kMostStack, nullptr));
      if (!stack_) throw std::bad_alloc();
      pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
      found = match(code, text, begin);
    }
    if (found == PCRE2_ERROR_NOMATCH) return false;
    if (found < 0) fail("text: a part of it takes more memory to split than a match may have; give it in shorter pieces");
    return true;
  }

  size_t begin() const { return pcre2_get_ovector_pointer(data_.get())[0]; }
  size_t end() const { return pcre2_get_ovector_pointer(data_.get())[1]; }

 private:
  int match(const pcre2_code* code, std::string_view text, size_t begin) {
    return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), begin, PCRE2_NO_UTF_CHECK, data_.get(),
                       context_.get());
  }

  struct Free {
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
    void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
  };

  std::unique_ptr<pcre2_match_data, Free> data_;
  std::unique_ptr<pcre2_match_context, Free> context_;
  std::unique_ptr<pcre2_jit_stack, Free> stack_;
};

/// Which Unicode the machine's PCRE2 has.
Pcre2Unicode unicode_of_library() {
  char version[64] = {};
  pcre2_config(PCRE2_CONFIG_UNICODE_VERSION, version);
  const int major = std::atoi(version);
  if (major < 14) fail("the library PCRE2 has Unicode ", version, ", expected 14 or later; install PCRE2 10.38 or later");
  return major < 17 ? Pcre2Unicode::kUntil16 : Pcre2Unicode::kFrom17;
}

}  // namespace

void Splitter::FreeCode::operator()(pcre2_code* code) const { pcre2_code_free(code); }

Splitter::Splitter(const std::vector<std::string>& patterns) {
  const Pcre2Unicode unicode = unicode_of_library();
  for (const std::string& source : patterns) {
    const std::string pattern = pcre2_pattern(source, "a pattern of the tokenizer", unicode);
    int error = 0;
    size_t at = 0;
    codes_.emplace_back(
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr));
    if (!codes_.back()) fail("a pattern of the tokenizer: PCRE2 refuses it at byte ", at, " (error ", error, ")");
    pcre2_jit_compile(codes_.back().get(), PCRE2_JIT_COMPLETE);  // where it cannot, pcre2_match interprets
  }
}

std::vector<std::string_view> Splitter::split(std::string_view text) const {
  std::vector<std::string_view> pieces, next;
  if (!text.empty()) pieces.push_back(text);
  Matcher matcher;
  for (const auto& code : codes_) {
    next.clear();
    for (const std::string_view piece : pieces) {
      size_t at = 0;
      while (at < piece.size() && matcher.find(code.get(), piece, at)) {
        const size_t begin = matcher.begin(), end = matcher.end();
        if (begin > at) next.push_back(piece.substr(at, begin - at));
        next.push_back(piece.substr(begin, end - begin));
        at = end;
      }
      if (at < piece.size()) next.push_back(piece.substr(at));
    }
    pieces.swap(next);
  }
  return pieces;
}

}  // namespace dsv4
