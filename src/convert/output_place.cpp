// The place of an output, its lock and the rehearsal of its last step.
#include "convert/output_place.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "checkpoint/quote.h"
#include "convert/errors.h"
#include "convert/replacement.h"

namespace dsv4 {

namespace fs = std::filesystem;

namespace {

constexpr const char* kInside = "model.partial";  // one name, whatever the mount point is called elsewhere
constexpr const char *kTrial = "model.partial.trial", *kNamedTrial = ".dsv4-trial";  // empty folders, for a moment
constexpr const char* kNewDisk = "lost+found";                                       // what a fresh ext4 has
constexpr int kTries = 100;                                                          // the output appears or goes while its lock is taken

fs::path with_suffix(fs::path path, const char* suffix) {
  path += suffix;
  return path;
}

/// Of a run that died right behind its last step: its lock and its record beside the model that it made.
void remove_remains(const fs::path& partial) {
  std::error_code error;
  const fs::path lock = with_suffix(partial, ".lock"), record = with_suffix(partial, ".json");
  if (fs::symlink_status(partial, error).type() != fs::file_type::not_found) return;
  const int fd = ::open(lock.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return;
  struct stat status {};
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0 && ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0) {
    fs::remove(record, error);
    fs::remove(lock, error);
  }
  ::close(fd);
}

/// The first name in a folder that is none of ours and not one of `others`; empty when there is none.
fs::path first_name(const fs::path& folder, const std::vector<fs::path>& others) {
  std::error_code error;
  fs::path found;
  for (fs::directory_iterator it(folder, error), end; !error && found.empty() && it != end; it.increment(error)) {
    const fs::path name = it->path().filename();
    if (name == kNewDisk || name == kTrial || name == kNamedTrial) continue;
    if (std::find(others.begin(), others.end(), name) == others.end()) found = name;
  }
  if (error) fail("the output ", path_text(folder), " cannot be read: ", error.message());
  return found;
}

[[noreturn]] void refuse_full(const fs::path& target, const fs::path& name) {
  fail("the output ", path_text(target), " exists and is not empty: it has ", path_text(name), "; remove it or choose another name");
}

bool on_one_disk(const fs::path& a, const fs::path& b) {
  struct stat first {
  }, second{};
  return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 && first.st_dev == second.st_dev;
}

}  // namespace

OutputPlace::Place OutputPlace::place_of(const fs::path& output, bool overwrite) {
  fs::path target = fs::absolute(output).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();  // "model/": the partial folder is to lie beside it, not in it
  std::error_code error;
  const fs::file_type type = fs::symlink_status(target, error).type();
  if (type == fs::file_type::not_found) return {target, with_suffix(target, ".partial"), false, false};
  if (type == fs::file_type::none) fail("the output ", path_text(target), " cannot be looked at: ", error.message());
  const fs::file_type end = fs::status(target, error).type();
  if (end == fs::file_type::not_found) {
    fail("the output ", path_text(target), " is a link to a folder that is missing; make that folder or remove the link");
  }
  if (end != fs::file_type::directory) fail("the output ", path_text(target), " exists; remove it or choose another name");
  target = fs::canonical(target, error);
  if (error) fail("the output ", path_text(fs::absolute(output)), " cannot be found: ", error.message());
  // A partial folder beside it is of a time before the folder was made.
  const fs::path beside = with_suffix(target, ".partial"), inside = target / kInside;
  if (overwrite && !fs::exists(inside, error) && !first_name(target, {with_suffix(inside, ".lock").filename()}).empty()) {
    check_replaceable(target);
    if (!on_one_disk(target, target.parent_path())) {
      fail("the output ", path_text(target), " is a mount point, whose name no other folder can get; empty it and leave out --overwrite");
    }
    return {target, beside, false, true};
  }
  const bool goes_on_beside = !fs::exists(inside, error) && fs::is_directory(beside, error) && on_one_disk(beside, target);
  if (!goes_on_beside && !fs::exists(inside, error)) {  // nothing to go on with: a folder that is in use is not even locked
    const fs::path name = first_name(target, {with_suffix(inside, ".lock").filename()});
    if (!name.empty()) {
      for (const fs::path& partial : {beside, inside}) remove_remains(partial);
      refuse_full(target, name);
    }
  }
  return {target, goes_on_beside ? beside : inside, true, false};
}

void OutputPlace::make_parents() {
  std::error_code error;
  std::vector<fs::path> missing;
  for (fs::path parent = place_.partial.parent_path(); !parent.empty() && !fs::exists(parent, error); parent = parent.parent_path()) {
    missing.push_back(parent);
  }
  for (auto parent = missing.rbegin(); parent != missing.rend(); ++parent) {
    if (fs::create_directory(*parent, error)) made_.push_back(*parent);
    if (error) fail_write("cannot create ", path_text(*parent), ": ", error.message());
  }
}

bool OutputPlace::lock() {
  lock_path_ = with_suffix(place_.partial, ".lock");
  const std::string name = path_text(lock_path_);
  const int fd = ::open(lock_path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
  if (fd < 0) fail_write("cannot create ", name, ": ", std::strerror(errno));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    ::close(fd);
    if (error == EWOULDBLOCK) fail("another conversion writes ", path_text(place_.partial), "; wait for it or choose another output");
    fail_write("cannot lock ", name, ": ", std::strerror(error));
  }
  struct stat held {
  }, named{};
  const bool known = ::fstat(fd, &held) == 0;
  if (!known || !S_ISREG(held.st_mode) || held.st_size != 0) {
    ::close(fd);
    fail(name, " is in the way; remove it");
  }
  // The one who held it before removed it, and perhaps the next one has made another.
  if (::stat(lock_path_.c_str(), &named) != 0 || named.st_ino != held.st_ino || named.st_dev != held.st_dev) {
    ::close(fd);
    return false;
  }
  lock_ = fd;
  return true;
}

void OutputPlace::unlock() {
  if (lock_ < 0) return;
  ::unlink(lock_path_.c_str());  // while it is held
  ::close(std::exchange(lock_, -1));
}

OutputPlace::OutputPlace(const fs::path& output, bool overwrite) {
  try {
    for (int i = 0; i < kTries; ++i) {
      place_ = place_of(output, overwrite);
      make_parents();
      if (!lock()) continue;
      if (const fs::path beside = with_suffix(place_.target, ".partial"); place_.partial == beside)
        recover_replacement(beside, place_.target);
      if (place_of(output, overwrite) == place_) return;  // nobody finished it between the look and the lock
      unlock();
    }
    fail("the output ", path_text(fs::absolute(output)), " comes and goes; does another program use it?");
  } catch (...) {
    unlock();
    std::error_code ignored;
    for (auto parent = made_.rbegin(); parent != made_.rend(); ++parent) fs::remove(*parent, ignored);
    throw;
  }
}

OutputPlace::~OutputPlace() {
  unlock();
  if (place_.into_folder) remove_remains(with_suffix(place_.target, ".partial"));
  std::error_code ignored;
  for (auto parent = made_.rbegin(); parent != made_.rend(); ++parent) fs::remove(*parent, ignored);
}

void OutputPlace::check_empty() const {
  if (!into_folder()) return;
  const fs::path name = first_name(place_.target, {place_.partial.filename(), lock_path_.filename()});
  if (!name.empty()) refuse_full(place_.target, name);
}

void OutputPlace::rehearse() const {
  const fs::path trial = with_suffix(place_.partial, ".trial");
  const auto refuse = [&](const std::string& what, const std::error_code& error) {
    ::rmdir(trial.c_str());
    fail_write(what, ": ", error.message(), "; choose another output");
  };
  std::error_code error;
  const fs::path there = into_folder() ? place_.target / kNamedTrial : replaces() ? aside_path(place_.target) : place_.target;
  ::rmdir(trial.c_str());  // of a run that was killed here
  if (into_folder()) ::rmdir(there.c_str());
  fs::create_directory(trial, error);
  if (error) refuse(concat("cannot create ", path_text(trial)), error);
  fs::rename(trial, there, error);
  if (error) refuse(concat(path_text(place_.partial), " could not get the name ", path_text(there), " in the end"), error);
  fs::remove(there, error);
  if (error) refuse(concat("cannot remove ", path_text(there)), error);
}

}  // namespace dsv4
