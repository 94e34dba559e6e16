// Record, lock and renaming of the folder under way.
#include "convert/partial_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

#include "checkpoint/json_text.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

constexpr const char* kLock = ".dsv4-lock";
constexpr const char* kRecord = ".dsv4-progress.json";
constexpr uintmax_t kMaxRecordBytes = 16 << 20;

// The first entry in which two identities differ, in words.
std::string difference(const Json& before, const Json& now) {
  for (const auto& [key, value] : now.items()) {
    if (!before.contains(key)) return key;
    if (before[key] == value) continue;
    if (!value.is_object() || !before[key].is_object()) return key;
    for (const auto& [inner, inner_value] : value.items()) {
      if (!before[key].contains(inner) || before[key][inner] != inner_value) return concat(key, " ", inner);
    }
    return key;
  }
  return "record";
}

// The record of an earlier run; nothing when there is none, or none that can be read.
std::optional<Json> read_record(const fs::path& path) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  if (error || size > kMaxRecordBytes) return std::nullopt;
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  Json record;
  try {
    record = parse_json(text);
  } catch (const Error&) {
    return std::nullopt;
  }
  const bool whole = record.is_object() && record.contains("identity") && record["identity"].is_object() && record.contains("pieces") &&
                     record["pieces"].is_number_unsigned();
  if (!whole) return std::nullopt;
  return record;
}

}  // namespace

std::string text_hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  std::ostringstream out;
  out << std::hex << hash;
  return out.str();
}

PartialFolder::PartialFolder(const fs::path& final_path, const Json& identity, const std::function<void(const std::string&)>& notice)
    : final_(final_path), partial_(final_path), identity_(json_text(identity)) {
  partial_ += ".partial";
  std::error_code error;
  const bool there = fs::exists(partial_, error);
  if (there && !fs::is_directory(partial_)) fail(partial_.string(), " is in the way; remove it");
  if (there && !fs::exists(partial_ / kLock) && !fs::is_empty(partial_)) {
    fail(partial_.string(), " is not a conversion that was interrupted; remove it or choose another output");
  }
  fs::create_directories(partial_, error);
  if (error) fail("cannot create ", partial_.string(), ": ", error.message());
  lock_ = ::open((partial_ / kLock).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (lock_ < 0) fail("cannot create ", (partial_ / kLock).string(), ": ", std::strerror(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    fail("another conversion writes ", partial_.string(), "; wait for it or choose another output");
  }
  open(notice);
}

void PartialFolder::open(const std::function<void(const std::string&)>& notice) {
  const std::optional<Json> record = read_record(partial_ / kRecord);
  if (record && (*record)["identity"] == parse_json(identity_)) {
    finished_ = (*record)["pieces"].get<uint64_t>();
    return;
  }
  size_t removed = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(partial_)) {
    if (entry.path().filename() == kLock) continue;
    fs::remove_all(entry.path());
    ++removed;
  }
  if (removed == 0 || !notice) return;
  const std::string why = record ? concat("it was made with another ", difference((*record)["identity"], parse_json(identity_)))
                                 : std::string("it has no record of what is finished");
  notice(concat("a conversion to ", final_.string(), " was interrupted, but cannot go on: ", why, "; it starts anew"));
}

PartialFolder::~PartialFolder() {
  if (lock_ < 0) return;
  std::error_code ignored;
  if (!keep_) fs::remove_all(partial_, ignored);
  ::close(lock_);
}

void PartialFolder::record(uint64_t pieces) {
  const fs::path path = partial_ / kRecord;
  fs::path fresh = path;
  fresh += ".new";
  {
    std::ofstream out(fresh, std::ios::binary);
    out << json_text({{"identity", parse_json(identity_)}, {"pieces", pieces}}) << '\n';
    out.close();
    if (!out) fail("cannot write ", fresh.string(), ": is the disk full?");
  }
  fs::rename(fresh, path);
  finished_ = pieces;
}

std::string PartialFolder::keep_finished() {
  keep_ = finished_ > 0;
  if (!keep_) return {};
  return concat("; what is finished stays in ", partial_.string(), ", the same command goes on there");
}

void PartialFolder::finish() {
  for (const char* name : {kRecord, kLock}) fs::remove(partial_ / name);
  fs::rename(partial_, final_);
  ::close(std::exchange(lock_, -1));
}

}  // namespace dsv4
