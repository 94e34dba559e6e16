// The folder that a conversion grows in, with a record of what is finished: a conversion that was stopped goes on there.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "convert/finished_work.h"
#include "convert/output_place.h"

namespace dsv4 {

/// In the folder: what is finished.
constexpr const char* kProgressRecord = ".dsv4-progress.json";

class PartialFolder {
 public:
  using Notice = std::function<void(const std::string&)>;

  /// Takes the lock of the output, brings back what a run that died in its last step had moved, and rehearses that step. Error when the output exists, another
  /// process makes it, or its partial folder is something else. With `overwrite` a model folder that dsv4 made may exist; the new one takes its place.
  PartialFolder(const std::filesystem::path& output, Notice notice, bool overwrite);
  /// Removes the folder, unless it is as it was found, or finish() or keep_finished() says otherwise.
  ~PartialFolder();
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;

  const std::filesystem::path& path() const { return place_.partial_path(); }

  /// Begins to work in it. `identity` is a JSON object of everything that the folder depends on but the weights; where an earlier run left a record with the
  /// same one, returns what it had finished. Else the folder begins empty, and the notice says why.
  FinishedWork begin(const nlohmann::ordered_json& identity);
  /// What an earlier run finished cannot be gone on with: the folder begins empty, and the notice says why.
  void start_anew(const std::string& why);

  /// Writes the record: this is on the disk to stay.
  void record(const FinishedWork& work);
  /// The folder stays for the next run if anything in it is finished; returns what to tell the user then, to be put behind a message.
  std::string keep_finished();
  /// All is written; `files` are the folder's, in the order in which they may appear. They appear under the final name, or WriteError and the folder stays, complete.
  void finish(const std::vector<std::string>& files);

 private:
  void recover();
  void move_back(const std::vector<std::string>& files) const;
  void give_name();
  void move_in(const std::vector<std::string>& files);
  void write_record(const nlohmann::ordered_json& last_step) const;
  void clear();

  OutputPlace place_;
  Notice notice_;
  std::string identity_;  // as JSON text
  FinishedWork work_;
  bool begun_ = false, keep_ = false;
};

}  // namespace dsv4
