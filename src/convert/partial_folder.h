// The folder that a conversion grows in, beside its final name, with a record of what is finished: a conversion that was stopped goes on there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace dsv4 {

/// Hash of texts that identify a conversion (FNV-1a, 64 bits, in hexadecimal).
std::string text_hash(std::string_view text);

class PartialFolder {
 public:
  /// Opens FINAL.partial. `identity` is a JSON object of everything that the finished pieces depend on; where an earlier run left a record with the same
  /// one, its pieces count. Else the folder begins empty, and `notice` says why. Error when another process works in it, or when FINAL.partial
  /// is something else.
  PartialFolder(const std::filesystem::path& final_path, const nlohmann::ordered_json& identity,
                const std::function<void(const std::string&)>& notice);
  /// Removes the folder, unless finish() or keep_finished() says otherwise.
  ~PartialFolder();
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;

  const std::filesystem::path& path() const { return partial_; }
  uint64_t finished_pieces() const { return finished_; }

  /// Writes the record: this many pieces are on the disk to stay.
  void record(uint64_t pieces);
  /// The folder stays for the next run if anything in it is finished; returns what to tell the user then, to be put behind a message.
  std::string keep_finished();
  /// The folder takes its final name.
  void finish();

 private:
  void open(const std::function<void(const std::string&)>& notice);

  std::filesystem::path final_, partial_;
  std::string identity_;  // as JSON text
  uint64_t finished_ = 0;
  int lock_ = -1;
  bool keep_ = false;
};

}  // namespace dsv4
