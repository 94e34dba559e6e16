// Finding the safetensors files and holding them against the index.
#include "checkpoint/file_set.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <system_error>

#include "checkpoint/quote.h"
#include "checkpoint/shard_index.h"
#include "checkpoint/small_file.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr SmallFileKind kIndexFile = {"index", "the checkpoint's index", 256u << 20};  // V4-Pro's has 12 MB

/// model*.safetensors in the directory, ascending.
std::set<std::string> model_files(const fs::path& directory) {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with("model") && name.ends_with(".safetensors")) names.insert(name);
  }
  return names;
}

void check_shards_exist(const fs::path& directory, const ShardIndex& index) {
  size_t missing = 0;
  const std::string* first = nullptr;
  for (const std::string& shard : index.shards) {
    std::error_code error;
    if (fs::exists(directory / shard, error)) continue;
    if (missing++ == 0) first = &shard;
  }
  if (missing > 0) {
    fail(path_text(directory / *first), ": the shard is missing (", missing, " of ", index.shards.size(), " that ", kIndexName,
         " lists are); download it");
  }
}

/// People take the draft out of a checkpoint by taking its lines out of the index.
bool may_be_left_out(std::string_view tensor) { return tensor.starts_with("mtp.") || tensor.starts_with("model.mtp."); }

/// Every tensor of every shard must be where the index says, and only there.
void check_index(FileSet& set, const ShardIndex& index, const std::string& index_path) {
  for (uint32_t shard = 0; shard < set.files.size(); ++shard) {
    const SafetensorsFile& file = *set.files[shard];
    for (const auto& [name, entry] : file.header().tensors) {
      const auto listed = index.tensors.find(name);
      if (listed == index.tensors.end() && may_be_left_out(name)) {
        set.left_out.insert(name);
        continue;
      }
      if (listed == index.tensors.end()) {
        fail(path_text(file.path()), ": tensor ", quote(name), " is in this shard but not in ", kIndexName,
             "; files of two checkpoints are mixed");
      }
      if (listed->second == shard) continue;
      const std::string& other = index.shards[listed->second];
      if (set.files[listed->second]->header().tensors.contains(name)) {
        fail(path_text(file.path()), ": tensor ", quote(name), " is in this shard and in ", excerpt(other),
             " too; files of two checkpoints are mixed");
      }
      fail(path_text(file.path()), ": tensor ", quote(name), " is in this shard but ", kIndexName, " points to ", excerpt(other),
           "; files of two checkpoints are mixed");
    }
  }
  for (const auto& [name, shard] : index.tensors) {
    if (!set.files[shard]->header().tensors.contains(name)) {
      fail(path_text(set.files[shard]->path()), ": tensor ", quote(name), " is missing from this shard, where ", index_path,
           " points to; download the shard again");
    }
  }
}

FileSet open_sharded(const fs::path& directory, const fs::path& index_path) {
  const std::string where = path_text(index_path);
  const ShardIndex index = parse_index(read_small_file(index_path, kIndexFile), where);
  check_shards_exist(directory, index);
  FileSet set;
  for (const std::string& shard : index.shards) set.files.push_back(std::make_unique<SafetensorsFile>(directory / shard));
  check_index(set, index, kIndexName);

  if (!set.left_out.empty()) {
    set.notices.push_back(concat(set.left_out.size(), " mtp.* tensors of the shards are not in ", kIndexName, " and are skipped, first ",
                                 quote(*set.left_out.begin())));
  }
  std::set<std::string> unlisted = model_files(directory);
  for (const std::string& shard : index.shards) unlisted.erase(shard);
  if (!unlisted.empty()) {
    set.notices.push_back(
        concat(unlisted.size(), " safetensors file(s) not listed in ", kIndexName, " ignored, first ", quote(*unlisted.begin())));
  }
  return set;
}

/// model.safetensors alone.
FileSet open_single(const fs::path& directory) {
  const fs::path single = directory / kSingleName;
  const std::set<std::string> present = model_files(directory);
  if (!present.contains(kSingleName)) {
    if (!present.empty()) {
      fail(path_text(directory / kIndexName), ": the index is missing, but there are shards (", quote(*present.begin()),
           "); download the index too");
    }
    fail(path_text(directory), ": there is neither ", kSingleName, " nor ", kIndexName, "; expected a checkpoint directory");
  }
  FileSet set;
  set.files.push_back(std::make_unique<SafetensorsFile>(single));
  if (present.size() > 1) {
    set.notices.push_back(concat(present.size() - 1, " safetensors file(s) ignored next to ", kSingleName, ": there is no ", kIndexName));
  }
  return set;
}

void note_odd_metadata(FileSet& set) {
  const auto odd = [](const auto& file) { return file->header().odd_metadata; };
  const auto first = std::find_if(set.files.begin(), set.files.end(), odd);
  if (first == set.files.end()) return;
  set.notices.push_back(concat(path_text((*first)->path()), ": __metadata__ holds more than texts, which is ignored (in ",
                               std::count_if(set.files.begin(), set.files.end(), odd), " of ", set.files.size(), " files)"));
}

}  // namespace

FileSet open_file_set(const fs::path& directory) {
  std::error_code error;
  const fs::path index_path = directory / kIndexName;
  FileSet set = fs::exists(fs::symlink_status(index_path, error)) ? open_sharded(directory, index_path) : open_single(directory);
  note_odd_metadata(set);
  return set;
}

}  // namespace dsv4
