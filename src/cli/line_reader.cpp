// A buffer that moves along.
#include "cli/line_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "checkpoint/quote.h"
#include "cli/text_arguments.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr size_t kReadAtOnce = 1 << 16;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

LineReader::LineReader(const std::filesystem::path& file, size_t most_bytes)
    : name_(file == kStandardInput ? "standard input" : path_text(file)), most_bytes_(most_bytes) {
  file_ = file == kStandardInput ? STDIN_FILENO : ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (file_ < 0) fail(name_, ": cannot be opened: ", std::strerror(errno));
  struct stat status {};
  if (::fstat(file_, &status) != 0) return;
  if (S_ISREG(status.st_mode)) bytes_ = status.st_size;
}

LineReader::~LineReader() {
  if (file_ != STDIN_FILENO && file_ >= 0) ::close(file_);
}

bool LineReader::fill(bool wait) {
  pollfd waiting = {file_, POLLIN, 0};
  if (!wait && !bytes_ && ::poll(&waiting, 1, 0) == 0) return false;
  buffer_.erase(0, begin_);
  searched_ -= begin_;
  begin_ = 0;
  const size_t before = buffer_.size();
  buffer_.resize(before + kReadAtOnce);
  ssize_t count = 0;
  do {
    count = ::read(file_, buffer_.data() + before, kReadAtOnce);
  } while (count < 0 && errno == EINTR);
  if (count < 0) fail(name_, ": cannot be read: ", std::strerror(errno));
  buffer_.resize(before + static_cast<size_t>(count));
  end_ = count == 0;
  return true;
}

LineReader::Found LineReader::next(Line& line, bool wait) {
  size_t end = buffer_.find('\n', searched_);
  while (end == std::string::npos && !end_) {
    searched_ = buffer_.size();
    if (buffer_.size() - begin_ > most_bytes_) {
      passing_ = true;
      taken_ += static_cast<int64_t>(buffer_.size() - begin_);
      begin_ = buffer_.size();
    }
    if (!fill(wait)) return Found::kNotYet;
    end = buffer_.find('\n', searched_);
  }
  line.ended = end != std::string::npos;
  if (!line.ended) end = buffer_.size();
  if (!line.ended && end == begin_ && !passing_) return Found::kEnd;
  std::string_view text = std::string_view(buffer_).substr(begin_, end - begin_);
  line.too_long = passing_ || text.size() > most_bytes_;
  if (first_ && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (text.ends_with('\r')) text.remove_suffix(1);
  line.text = line.too_long ? std::string_view() : text;
  first_ = passing_ = false;
  taken_ += static_cast<int64_t>(end - begin_) + (line.ended ? 1 : 0);
  begin_ = searched_ = end + (line.ended ? 1 : 0);
  return Found::kLine;
}

}  // namespace dsv4
