// Where a model folder is made and how it gets its name: beside a new output, which a rename completes, or inside of a folder that is there, into which files are moved.
#pragma once

#include <filesystem>
#include <vector>

namespace dsv4 {

/// Holds the lock of an output from its construction to its end: the lock is a file beside the partial folder, so that nothing renames or removes it with the
/// model.
class OutputPlace {
 public:
  /// Error when another process makes the same output, or when the name is taken by a file, or by a link to nothing. WriteError when nothing can be written there.
  explicit OutputPlace(const std::filesystem::path& output);
  /// Also removes the folders above the output that it made, if nothing is in them.
  ~OutputPlace();
  OutputPlace(const OutputPlace&) = delete;
  OutputPlace& operator=(const OutputPlace&) = delete;

  /// Absolute; of a link, where it leads to.
  const std::filesystem::path& final_path() const { return place_.target; }
  /// The folder that the model grows in.
  const std::filesystem::path& partial_path() const { return place_.partial; }
  /// The output is a folder that stays: empty, a mount point, the end of a link.
  bool into_folder() const { return place_.into_folder; }

  /// Error when anything but what belongs to this run is in the output.
  void check_empty() const;
  /// Does the last step with a trial of its own. WriteError when it cannot be done.
  void rehearse() const;

 private:
  struct Place {
    std::filesystem::path target, partial;
    bool into_folder = false;

    bool operator==(const Place&) const = default;
  };
  static Place place_of(const std::filesystem::path& output);
  void make_parents();
  bool lock();
  void unlock();

  Place place_;
  std::filesystem::path lock_path_;
  int lock_ = -1;
  std::vector<std::filesystem::path> made_;  // parents, outermost first
};

}  // namespace dsv4
