// Record, recovery and last step of the folder under way.
#include "convert/partial_folder.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "convert/errors.h"
#include "convert/replacement.h"
#include "convert/text_file.h"

namespace dsv4 {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

// {"identity": {...}, "finished": {...}, "moving": [file, ...]}; moving: from when on files are moved into the output.
constexpr const char* kRecord = kProgressRecord;
constexpr const char* kNewRecord = ".dsv4-progress.json.new";
constexpr const char* kOldLock = ".dsv4-lock";  // dsv4 0.1 left it in the folder
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
    for (const auto& [inner, inner_value] : before[key].items()) {
      if (!value.contains(inner)) return concat(key, " ", inner);
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
  try {
    Json record = parse_json(text);
    if (record.is_object() && record.contains("identity") && record["identity"].is_object() && record.contains("finished") &&
        finished_work(record["finished"])) {
      return record;
    }
  } catch (const Error&) {  // cut short, or not ours
  }
  return std::nullopt;
}

// Files that the record says are being moved.
std::vector<std::string> moving_files(const std::optional<Json>& record) {
  std::vector<std::string> files;
  if (!record || !record->contains("moving") || !(*record)["moving"].is_array()) return files;
  for (const Json& name : (*record)["moving"]) {
    if (name.is_string() && name.get<std::string>().find('/') == std::string::npos) files.push_back(name);
  }
  return files;
}

void rename_or_fail(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) fail_write("cannot move ", path_text(from), " to ", path_text(to), ": ", error.message());
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::symlink_status(path, error).type() != fs::file_type::not_found;
}

// Where the record lies between the flush and the rename that completes a new output: the model appears without it, and is never without one before.
fs::path record_beside(const fs::path& partial) {
  fs::path path = partial;
  path += ".json";
  return path;
}

}  // namespace

PartialFolder::PartialFolder(const fs::path& output, Notice notice, bool overwrite)
    : place_(output, overwrite), notice_(std::move(notice)) {
  recover();
  place_.check_empty();
  if (is_there(path()) && !fs::is_directory(path())) fail(path_text(path()), " is in the way; remove it");
  if (is_there(path()) && !fs::is_empty(path())) {
    bool ours = false;
    for (const char* name : {kRecord, kNewRecord, kOldLock}) ours = ours || is_there(path() / name);
    if (!ours) fail(path_text(path()), " is not a conversion that was interrupted; remove it or choose another output");
  }
  place_.rehearse();
}

// A run that died in its last step left the folder complete: it is brought back to where it was before that step.
void PartialFolder::recover() {
  const fs::path beside = record_beside(path());
  if (read_record(beside)) {
    if (is_there(path()) && !is_there(path() / kRecord)) {
      rename_or_fail(beside, path() / kRecord);
    } else {
      fs::remove(beside);
    }
  }
  move_back(moving_files(read_record(path() / kRecord)));
  std::error_code ignored;
  if (place_.into_folder()) fs::remove(path(), ignored);  // empty: all had been moved
}

void PartialFolder::move_back(const std::vector<std::string>& files) const {
  for (const std::string& name : files) {
    const fs::path moved = place_.final_path() / name;
    if (is_there(moved) && !is_there(path() / name)) rename_or_fail(moved, path() / name);
  }
}

FinishedWork PartialFolder::begin(const Json& identity) {
  identity_ = json_text(identity);
  const bool there = is_there(path());
  std::error_code error;
  if (!there) fs::create_directory(path(), error);
  if (error) fail_write("cannot create ", path_text(path()), ": ", error.message());
  begun_ = true;
  const std::optional<Json> record = read_record(path() / kRecord);
  const bool same = record && (*record)["identity"] == parse_json(identity_);
  if (same) work_ = finished_work((*record)["finished"]).value();
  if (!there || (same && work_.pieces == 0)) {
    clear();
  } else if (!same) {
    start_anew(record ? concat("it was made with another ", difference((*record)["identity"], parse_json(identity_)))
                      : std::string("it has no record of what is finished"));
  }
  return work_;
}

void PartialFolder::start_anew(const std::string& why) {
  const bool empty = fs::is_empty(path());
  clear();
  if (empty || !notice_) return;
  notice_(concat("a conversion to ", path_text(place_.final_path()), " was interrupted, but cannot go on: ", why, "; it starts anew"));
}

void PartialFolder::clear() {
  record({});  // first: what a kill leaves on the way says what it is
  for (const fs::directory_entry& entry : fs::directory_iterator(path())) {
    if (entry.path().filename() != kRecord) fs::remove_all(entry.path());
  }
}

PartialFolder::~PartialFolder() {
  std::error_code ignored;
  if (begun_ && !keep_) fs::remove_all(path(), ignored);
}

void PartialFolder::write_record(const Json& last_step) const {
  Json record = {{"identity", parse_json(identity_)}, {"finished", to_json(work_)}};
  if (!last_step.is_null()) record["moving"] = last_step;
  write_text(path() / kNewRecord, json_text(record) + "\n");
  sync_to_disk(path() / kNewRecord);
  rename_or_fail(path() / kNewRecord, path() / kRecord);
}

void PartialFolder::record(const FinishedWork& work) {
  work_ = work;
  write_record(nullptr);
}

std::string PartialFolder::keep_finished() {
  if (!begun_) return {};
  keep_ = work_.pieces > 0;
  if (!keep_) return {};
  return concat("; what is finished stays in ", path_text(path()), ", the same command goes on there");
}

void PartialFolder::finish(const std::vector<std::string>& files) {
  keep_ = true;  // complete, whatever happens now
  for (const std::string& name : files) sync_to_disk(path() / name);
  sync_to_disk(path());
  if (place_.replaces()) {
    const std::string left = replace_folder(path(), place_.final_path());
    if (!left.empty() && notice_) notice_(left);
    return;
  }
  place_.into_folder() ? move_in(files) : give_name();
}

void PartialFolder::give_name() {
  const fs::path parent = path().parent_path(), beside = record_beside(path());
  rename_or_fail(path() / kRecord, beside);
  sync_to_disk(path());
  sync_to_disk(parent);
  std::error_code error;
  fs::rename(path(), place_.final_path(), error);
  if (error) {
    rename_or_fail(beside, path() / kRecord);
    fail_write(path_text(path()), " cannot get the name ", path_text(place_.final_path()), ": ", error.message());
  }
  // From here on the model is there, whatever this says.
  flush_if_possible(parent);
  fs::remove(beside, error);
}

void PartialFolder::move_in(const std::vector<std::string>& files) {
  const fs::path& target = place_.final_path();
  write_record(files);
  sync_to_disk(path());
  sync_to_disk(path().parent_path());
  try {
    for (const std::string& name : files) {
      if (is_there(target / name)) fail_write("the output ", path_text(target), " has got a file ", name, " meanwhile; remove it");
      rename_or_fail(path() / name, target / name);
    }
    sync_to_disk(target);
  } catch (const WriteError&) {
    move_back(files);
    write_record(nullptr);
    throw;
  }
  std::error_code ignored;
  fs::remove(path() / kRecord, ignored);
  fs::remove(path(), ignored);
  flush_if_possible(path().parent_path());
}

}  // namespace dsv4
