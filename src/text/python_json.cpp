// Reads and prints JSON as Python does.
#include "text/python_json.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "checkpoint/utf8.h"

namespace dsv4 {

namespace {

/// An object with more members than this finds a key that comes twice by a table.
constexpr size_t kFewMembers = 16;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Reads a text into values, or prints it anew without making them.
class Parser {
 public:
  Parser(std::string_view text, size_t most_levels) : text_(text), most_levels_(most_levels) {}

  bool document(PyJson& out) {
    skip_space();
    if (!value(out)) return false;
    skip_space();
    return at_ == text_.size() || refuse("more behind the value");
  }

  /// Appends what dump() would print of the document. False where it is none, and for a key that comes twice, whose place only values know.
  bool print_document(std::string& out) {
    skip_space();
    if (!print_value(out)) return false;
    skip_space();
    return at_ == text_.size();
  }

  const PyJson::Problem& problem() const { return problem_; }

 private:
  bool refuse(const char* what) {
    problem_ = {what, at_, false};
    return false;
  }

  bool ends() const { return at_ == text_.size(); }
  bool next_is(char c) const { return !ends() && text_[at_] == c; }
  bool take(char c) {
    if (!next_is(c)) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  void skip_space() {
    while (!ends() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
  }

  bool value(PyJson& out) {
    if (ends()) return refuse("the text ends where a value should be");
    switch (text_[at_]) {
      case '"': {
        std::string text;
        if (!string(text)) return false;
        out = PyJson(std::move(text));
        return true;
      }
      case '[':
      case '{': {
        if (levels_ == most_levels_) {
          refuse("more levels of lists and objects than are read");
          problem_.too_deep = true;
          return false;
        }
        ++levels_;
        const bool good = text_[at_++] == '[' ? list(out) : object(out);
        --levels_;
        return good;
      }
      default:
        return word(out) || number(out);
    }
  }

  bool word(PyJson& out) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (take("null")) {
      out = PyJson();
    } else if (take("true")) {
      out = PyJson(true);
    } else if (take("false")) {
      out = PyJson(false);
    } else if (take("NaN")) {
      out = PyJson(std::numeric_limits<double>::quiet_NaN());
    } else if (take("Infinity")) {
      out = PyJson(kInfinity);
    } else if (take("-Infinity")) {
      out = PyJson(-kInfinity);
    } else {
      return false;
    }
    return true;
  }

  void skip_digits() {
    while (!ends() && is_digit(text_[at_])) ++at_;
  }

  bool digit_at(size_t place) const { return place < text_.size() && is_digit(text_[place]); }

  bool number(PyJson& out) {
    std::string_view digits;
    bool integer = true;
    if (!number_text(digits, integer)) return false;
    if (integer) {
      out = PyJson(PyJson::Integer{std::string(digits)});
    } else {
      out = PyJson(float_of(digits));
    }
    return true;
  }

  /// As far as it is one: what stands behind "0" or "1" in "01" and "1." is then too much.
  bool number_text(std::string_view& digits, bool& integer) {
    const size_t begin = at_;
    if (!digit_at(begin + (next_is('-') ? 1 : 0))) return refuse("no value");
    take('-');
    if (!take('0')) skip_digits();
    if (next_is('.') && digit_at(at_ + 1)) {
      ++at_;
      skip_digits();
      integer = false;
    }
    if (next_is('e') || next_is('E')) {
      const bool sign = at_ + 1 < text_.size() && (text_[at_ + 1] == '+' || text_[at_ + 1] == '-');
      if (digit_at(at_ + (sign ? 2 : 1))) {
        at_ += sign ? 2 : 1;
        skip_digits();
        integer = false;
      }
    }
    digits = text_.substr(begin, at_ - begin);
    if (integer && digits == "-0") digits = "0";
    return true;
  }

  static double float_of(std::string_view digits) {
    double value = 0.0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec == std::errc()) return value;
    return std::strtod(std::string(digits).c_str(), nullptr);  // out of range: infinity or zero
  }

  bool string(std::string& out) {
    ++at_;
    for (;;) {
      const size_t begin = at_;
      while (!ends() && text_[at_] != '"' && text_[at_] != '\\' && static_cast<unsigned char>(text_[at_]) >= 0x20) ++at_;
      out.append(text_.substr(begin, at_ - begin));
      if (ends()) return refuse("a string without an end");
      if (take('"')) return true;
      if (text_[at_] != '\\') return refuse("a control character in a string");
      ++at_;
      if (!escape(out)) return false;
    }
  }

  bool escape(std::string& out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    if (ends()) return refuse("a string without an end");
    const size_t letter = kLetters.find(text_[at_]);
    if (letter != std::string_view::npos) {
      ++at_;
      out += kMeanings[letter];
      return true;
    }
    if (text_[at_] != 'u') return refuse("no such escape");
    ++at_;
    uint32_t code = 0;
    if (!four_digits(code)) return refuse("an escape \\u without four hexadecimal digits");
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_).starts_with("\\u")) {
      const size_t second = at_;
      at_ += 2;
      uint32_t low = 0;
      if (!four_digits(low)) {
        return refuse("an escape \\u without four hexadecimal digits");
      }
      if (low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      } else {
        at_ = second;  // a character of its own
      }
    }
    out += to_utf8(static_cast<char32_t>(code));
    return true;
  }

  bool four_digits(uint32_t& code) {
    const std::string_view digits = text_.substr(at_, 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() != 4 || error != std::errc() || end != digits.data() + 4) return false;
    at_ += 4;
    return true;
  }

  bool list(PyJson& out) {
    PyJson::List items;
    skip_space();
    if (!take(']')) {
      for (;;) {
        skip_space();
        PyJson item;
        if (!value(item)) return false;
        items.push_back(std::move(item));
        skip_space();
        if (take(']')) break;
        if (!take(',')) return refuse("neither , nor ] behind a value of a list");
      }
    }
    out = PyJson(std::move(items));
    return true;
  }

  bool object(PyJson& out) {
    PyJson::Object members;
    std::unordered_map<std::string, size_t> places;
    skip_space();
    if (!take('}')) {
      for (;;) {
        skip_space();
        if (!next_is('"')) return refuse("no key in double quotes where one should be");
        PyJson::Member member;
        if (!string(member.key)) return false;
        skip_space();
        if (!take(':')) return refuse("no : behind a key");
        skip_space();
        if (!value(member.value)) return false;
        const PyJson::Member* const known = put(std::move(member), members, places);
        if (known != nullptr && levels_ == 1 && problem_.twice.empty()) problem_.twice = known->key;
        skip_space();
        if (take('}')) break;
        if (!take(',')) return refuse("neither , nor } behind a value of an object");
      }
    }
    out = PyJson(std::move(members));
    return true;
  }

  /// The member that had the key already and got the value; else nullptr.
  static const PyJson::Member* put(PyJson::Member member, PyJson::Object& members, std::unordered_map<std::string, size_t>& places) {
    if (members.size() < kFewMembers) {
      for (PyJson::Member& known : members) {
        if (known.key != member.key) continue;
        known.value = std::move(member.value);
        return &known;
      }
    } else {
      if (places.empty()) {
        for (size_t i = 0; i < members.size(); ++i) places.emplace(members[i].key, i);
      }
      const auto [known, fresh] = places.emplace(member.key, members.size());
      if (!fresh) {
        members[known->second].value = std::move(member.value);
        return &members[known->second];
      }
    }
    members.push_back(std::move(member));
    return nullptr;
  }

  bool print_value(std::string& out) {
    if (ends()) return false;
    switch (text_[at_]) {
      case '"':
        return print_string(out);
      case '[':
      case '{': {
        if (levels_ == most_levels_) return false;
        ++levels_;
        const bool good = text_[at_++] == '[' ? print_list(out) : print_object(out);
        --levels_;
        return good;
      }
      default:
        return print_number(out);
    }
  }

  bool print_number(std::string& out) {
    if (!next_is('-') && !digit_at(at_)) return print_word(out);
    if (next_is('-') && !digit_at(at_ + 1)) return print_word(out);
    std::string_view digits;
    bool integer = true;
    if (!number_text(digits, integer)) return false;
    if (integer) {
      out += digits;
    } else {
      out += python_float(float_of(digits));
    }
    return true;
  }

  /// Python prints these as they are read.
  bool print_word(std::string& out) {
    for (const std::string_view known : {"null", "true", "false", "NaN", "Infinity", "-Infinity"}) {
      if (!take(known)) continue;
      out += known;
      return true;
    }
    return false;
  }

  /// Most strings need no escape, and none was read: they are copied.
  bool print_string(std::string& out) {
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != '"' && text_[end] != '\\' && text_[end] != '\xED' &&
           static_cast<unsigned char>(text_[end]) >= 0x20) {
      ++end;
    }
    if (end < text_.size() && text_[end] == '"') {
      out += text_.substr(at_, end + 1 - at_);
      at_ = end + 1;
      return true;
    }
    std::string text;
    if (!string(text)) return false;
    append_json_text(out, text);
    return true;
  }

  bool print_list(std::string& out) {
    out += '[';
    skip_space();
    if (!take(']')) {
      for (;;) {
        skip_space();
        if (!print_value(out)) return false;
        skip_space();
        if (take(']')) break;
        if (!take(',')) return false;
        out += ", ";
      }
    }
    out += ']';
    return true;
  }

  bool print_object(std::string& out) {
    std::unordered_set<std::string> keys;  // as printed
    out += '{';
    skip_space();
    if (!take('}')) {
      for (;;) {
        skip_space();
        if (!next_is('"')) return false;
        const size_t begin = out.size();
        if (!print_string(out)) return false;
        if (!keys.insert(out.substr(begin)).second) return false;
        skip_space();
        if (!take(':')) return false;
        out += ": ";
        skip_space();
        if (!print_value(out)) return false;
        skip_space();
        if (take('}')) break;
        if (!take(',')) return false;
        out += ", ";
      }
    }
    out += '}';
    return true;
  }

  std::string_view text_;
  size_t most_levels_;
  size_t at_ = 0;
  size_t levels_ = 0;
  PyJson::Problem problem_;
};

/// The three bytes that UTF-8 would have for half of a surrogate pair.
bool begins_with_surrogate(std::string_view text) {
  return text.size() >= 3 && text[0] == '\xED' && static_cast<unsigned char>(text[1]) >= 0xA0 && static_cast<unsigned char>(text[1]) < 0xC0;
}

void append_escape(std::string& out, unsigned code) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kDigits[(code >> shift) & 15];
}

void append(std::string& out, const PyJson& json);

struct Printer {
  std::string& out;

  void operator()(std::nullptr_t) const { out += "null"; }
  void operator()(bool value) const { out += value ? "true" : "false"; }
  void operator()(const PyJson::Integer& value) const { out += value.digits; }
  void operator()(double value) const { out += python_float(value); }
  void operator()(const std::string& value) const { append_json_text(out, value); }
  void operator()(const PyJson::List& items) const {
    const char* separator = "[";
    for (const PyJson& item : items) {
      out += separator;
      append(out, item);
      separator = ", ";
    }
    out += items.empty() ? "[]" : "]";
  }
  void operator()(const PyJson::Object& members) const {
    const char* separator = "{";
    for (const PyJson::Member& member : members) {
      out += separator;
      append_json_text(out, member.key);
      out += ": ";
      append(out, member.value);
      separator = ", ";
    }
    out += members.empty() ? "{}" : "}";
  }
};

void append(std::string& out, const PyJson& json) { std::visit(Printer{out}, json.value()); }

}  // namespace

std::optional<PyJson> PyJson::parse(std::string_view text, Problem* problem, size_t most_levels) {
  Parser parser(text, most_levels);
  PyJson out;
  const bool read = parser.document(out);
  if (problem != nullptr) *problem = parser.problem();
  return read ? std::optional(std::move(out)) : std::nullopt;
}

std::optional<std::string> PyJson::printed(std::string_view text, size_t most_levels) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  if (Parser(text, most_levels).print_document(out)) return out;
  const std::optional<PyJson> json = parse(text, nullptr, most_levels);
  return json ? std::optional(json->dump()) : std::nullopt;
}

const PyJson* PyJson::find(std::string_view key) const {
  const Object* members = as<Object>();
  if (members == nullptr) return nullptr;
  for (const Member& member : *members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

std::string PyJson::dump() const {
  std::string out;
  append(out, *this);
  return out;
}

void append_json_text(std::string& out, std::string_view text) {
  constexpr std::string_view kMeanings = "\"\\\b\f\n\r\t", kLetters = "\"\\bfnrt";
  out += '"';
  size_t plain = 0;  // where what is not yet written begins
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool surrogate = byte == 0xED && begins_with_surrogate(text.substr(i));
    if (byte >= 0x20 && byte != '"' && byte != '\\' && !surrogate) continue;
    out.append(text.substr(plain, i - plain));
    if (surrogate) {
      append_escape(out, 0xD000u | (static_cast<unsigned>(text[i + 1]) & 0x3Fu) << 6 | (static_cast<unsigned>(text[i + 2]) & 0x3Fu));
      i += 2;
    } else if (const size_t letter = kMeanings.find(text[i]); letter != std::string_view::npos) {
      out += '\\';
      out += kLetters[letter];
    } else {
      append_escape(out, byte);
    }
    plain = i + 1;
  }
  out.append(text.substr(plain));
  out += '"';
}

std::string python_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0.0 ? "-Infinity" : "Infinity";
  char buffer[32];
  const char* const end = std::to_chars(buffer, buffer + sizeof buffer, std::fabs(value), std::chars_format::scientific).ptr;
  const std::string_view shortest(buffer, static_cast<size_t>(end - buffer));  // d.ddde+xx
  const size_t e = shortest.find('e');
  std::string digits(shortest.substr(0, 1));
  if (e > 2) digits += shortest.substr(2, e - 2);
  const int exponent = std::atoi(std::string(shortest.substr(e + 1)).c_str());
  std::string out = std::signbit(value) ? "-" : "";
  if (exponent < -4 || exponent >= 16) {  // as Python's repr: d.ddde+xx, two digits of exponent at least
    out += digits.substr(0, 1);
    if (digits.size() > 1) out.append(1, '.').append(digits, 1);
    return out + std::string(shortest.substr(e));
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent) - 1, '0') + digits;
  const size_t point = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= point) return out + digits + std::string(point - digits.size(), '0') + ".0";
  return out + digits.substr(0, point) + "." + digits.substr(point);
}

}  // namespace dsv4
