// Where a model folder is made and how it gets its name: beside a new output, or one that is replaced, which a rename completes, or inside of a folder that is there, into which files are moved.
#pragma once

#include <filesystem>
#include <vector>

namespace dsv4 {

/// Holds the lock of an output from its construction to its end: the lock is a file beside the partial folder, so that nothing renames or removes it with the
/// model.
class OutputPlace {
 public:
  /// Error when another process makes the same output, or when the name is taken by a file, or by a link to nothing. WriteError when nothing can be written there.
  /// With `overwrite` the name may be that of a model folder that dsv4 made and holds nothing else.
  OutputPlace(const std::filesystem::path& output, bool overwrite);
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

  /// The output is a model folder, which a rename replaces in the end.
  bool replaces() const { return place_.replaces; }

  /// Error when anything but what belongs to this run is in the output.
  void check_empty() const;
  /// Does the last step with a trial of its own. WriteError when it cannot be done.
  void rehearse() const;

 private:
  struct Place {
    std::filesystem::path target, partial;
    bool into_folder = false, replaces = false;

    bool operator==(const Place&) const = default;
  };
  static Place place_of(const std::filesystem::path& output, bool overwrite);
  void make_parents();
  bool lock();
  void unlock();

  Place place_;
  std::filesystem::path lock_path_;
  int lock_ = -1;
  std::vector<std::filesystem::path> made_;  // parents, outermost first
};

}  // namespace dsv4
