// JSON as Python's json module reads and prints it, which DeepSeek's chat format is defined by: integers of any length, NaN, order and duplicates of keys.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace dsv4 {

/// A JSON value. Text is UTF-8; a \uD800 to \uDFFF that is half of no pair, which Python keeps, is the three bytes that UTF-8 would have for it, which
/// invalid_utf8 (checkpoint/utf8.h) finds.
class PyJson {
 public:
  struct Integer {
    std::string digits;  ///< decimal, "-" in front where it is negative; no zeros in front
  };
  struct Member;
  using List = std::vector<PyJson>;
  using Object = std::vector<Member>;  ///< keys once each: the last value at the place of the first
  using Value = std::variant<std::nullptr_t, bool, Integer, double, std::string, List, Object>;

  /// Levels of lists and objects that a text may have; Python gives up at its limit of recursion, some 1,000.
  static constexpr size_t kMostLevels = 900;

  /// Why a text is not read; and what of one that is read may be a mistake.
  struct Problem {
    std::string what = {};
    size_t byte = 0;         ///< where, from 0
    bool too_deep = false;   ///< JSON, but of more levels than allowed
    std::string twice = {};  ///< the first key that comes again in the outermost object; also where the text is read
  };

  PyJson();  ///< null
  explicit PyJson(Value value);

  /// What json.loads makes of the text; nothing where it raises an exception, or beyond `most_levels`.
  static std::optional<PyJson> parse(std::string_view text, Problem* problem = nullptr, size_t most_levels = kMostLevels);

  /// What dump() prints of that, and nothing where that is nothing; faster, since most texts need no values for it.
  static std::optional<std::string> printed(std::string_view text, size_t most_levels = kMostLevels);

  const Value& value() const { return value_; }
  /// nullptr where the value is of another type.
  template <class T>
  const T* as() const {
    return std::get_if<T>(&value_);
  }
  bool is_null() const;
  /// The value of a key of an object; nullptr where there is none.
  const PyJson* find(std::string_view key) const;

  /// What json.dumps(value, ensure_ascii=False) prints, but for halves of surrogate pairs: those are escapes, so that the text is UTF-8.
  std::string dump() const;

 private:
  Value value_;
};

struct PyJson::Member {
  std::string key;
  PyJson value;
};

// Behind Member, without which a Value cannot be made.
inline PyJson::PyJson() = default;
inline PyJson::PyJson(Value value) : value_(std::move(value)) {}
inline bool PyJson::is_null() const { return as<std::nullptr_t>() != nullptr; }

/// The text in double quotes as dump() prints it, appended.
void append_json_text(std::string& out, std::string_view text);

/// Python's repr of a number, with json's words for those that are not finite.
std::string python_float(double value);

}  // namespace dsv4
