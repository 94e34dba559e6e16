// Lines of a file or of standard input, one after another, however long the input is and however slowly it comes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace dsv4 {

struct Line {
  std::string text;       ///< without its end, "\n" or "\r\n", and without a byte order mark at the beginning of the input
  bool too_long = false;  ///< then there is no text
  bool ended = true;      ///< false: the input ends in it
};

class LineReader {
 public:
  /// "-": standard input. Lines of more than `most_bytes` are passed over. Error when it cannot be opened.
  LineReader(const std::filesystem::path& file, size_t most_bytes);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  enum class Found { kLine, kNotYet, kEnd };
  /// The next line. With `wait` false it does not wait for whoever writes the input: kNotYet. Error when reading fails.
  Found next(Line& line, bool wait = true);

  int64_t bytes_read() const { return taken_; }                   ///< of the lines that next() has returned
  const std::optional<int64_t>& bytes() const { return bytes_; }  ///< in all, of a file

 private:
  bool fill(bool wait);

  std::string name_;
  size_t most_bytes_;
  int file_ = -1;
  std::optional<int64_t> bytes_;
  std::string buffer_;
  size_t begin_ = 0, searched_ = 0;  // in buffer_: of the next line; where there is no line end before
  bool passing_ = false;             // over a line that is too long
  bool end_ = false;
  int64_t taken_ = 0;
  bool first_ = true;
};

}  // namespace dsv4
