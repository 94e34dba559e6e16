// The kinds of things that people give in place of a checkpoint or a model folder, each with its line.
#include "checkpoint/form.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <string_view>

#include "checkpoint/foreign_content.h"
#include "checkpoint/listed_files.h"
#include "checkpoint/quote.h"
#include "checkpoint/small_file.h"
#include "dsv4/error.h"
#include "files/descriptor.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeights = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kTakeSafetensors = "take the safetensors release";

bool there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

bool leads_to_directory(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

const char* expected_text(Expected expected) {
  switch (expected) {
    case Expected::kCheckpoint:
      return "expected a checkpoint directory";
    case Expected::kModelFolder:
      return "expected a folder that `dsv4 convert` made";
    case Expected::kEither:
      return "expected a checkpoint directory or a folder that `dsv4 convert` made";
  }
  return "";
}

/// What to do with a checkpoint that was found where `expected` is.
const char* then(Expected expected) {
  return expected == Expected::kModelFolder ? ", convert it and give the folder that was made" : " and give its directory";
}

bool matches(const std::string& text, const char* pattern) {
  return std::regex_match(text, std::regex(pattern, std::regex::ECMAScript | std::regex::icase));
}

// ---- nothing, or a file

[[noreturn]] void refuse_missing(const fs::path& path, Expected expected) {
  const std::string text = path.string(), shown = path_text(path);
  if (there(path)) fail(shown, ": is a link to a place that is missing, ", expected_text(expected));
  if (matches(text.substr(0, 300), R"((https?|hf|s3|gs):/+.*)"))
    fail(shown, ": is an address; download the checkpoint first", then(expected));
  const bool two_names = text.size() <= 200 && matches(text, R"([\w-][\w.-]*/[\w-][\w.-]*)");
  if (two_names && !there(path.parent_path())) {
    fail(shown, ": no such directory; if it is the name of a Hugging Face repository, download it first (hf download ", shown,
         " --local-dir ", path_text(path.filename()), ")", then(expected));
  }
  fail(shown, ": no such directory, ", expected_text(expected));
}

std::string head_of(const fs::path& path) {
  std::string head(512, '\0');
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return {};
  const Descriptor open(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  const ssize_t got = open.fd < 0 ? 0 : ::read(open.fd, head.data(), head.size());
  head.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  return head;
}

[[noreturn]] void refuse_file(const fs::path& path, Expected expected) {
  std::error_code error;
  const std::string shown = path_text(path), name = path.filename().string();
  const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (!fs::is_regular_file(path, error)) fail(shown, ": is no directory, ", expected_text(expected));
  if (matches(name, R"(openvino_.*\.(xml|bin))")) fail(shown, ": is a file of a model folder; give the folder, ", path_text(parent));
  if (matches(name, R"(.*\.gguf)")) fail(shown, ": is a GGUF file, which is not read; ", kTakeSafetensors, then(expected));
  const std::string other = foreign_content(head_of(path));
  if (!other.empty()) fail(shown, ": ", other);
  if (matches(name, R"(.*\.(safetensors|json))")) {
    fail(shown, ": is a file, ", expected_text(expected), "; give the directory that it lies in, ", path_text(parent));
  }
  fail(shown, ": is a file, ", expected_text(expected));
}

// ---- directories

/// The names in a directory by what they say of it; more than this many are not looked at.
constexpr size_t kMostNames = 100'000;

std::set<std::string> names_in(const fs::path& directory) {
  std::set<std::string> names;
  std::error_code error;
  fs::directory_iterator it(directory, error);
  if (error) fail(path_text(directory), ": cannot be read: ", error.message());
  for (const fs::directory_iterator end; !error && it != end && names.size() < kMostNames; it.increment(error)) {
    names.insert(it->path().filename().string());
  }
  return names;
}

/// The first name that matches, and how many do.
struct Found {
  std::string first;
  size_t count = 0;

  explicit operator bool() const { return count > 0; }
};

Found find(const std::set<std::string>& names, const char* pattern) {
  const std::regex expression(pattern, std::regex::ECMAScript | std::regex::icase);
  Found found;
  for (const std::string& name : names) {
    if (name.size() > 255 || !std::regex_match(name, expression)) continue;
    if (found.count++ == 0) found.first = name;
  }
  return found;
}

/// CACHE/models--O--N/snapshots/REVISION of a repository in a hub's cache: what refs/main names, else the first one.
fs::path snapshot_of(const fs::path& repository) {
  std::error_code error;
  const fs::path snapshots = repository / "snapshots", main = repository / "refs/main";
  if (fs::is_regular_file(main, error)) {
    std::string revision = read_named_file(main, {"reference", "the revision of a cached repository", 4096});
    revision.resize(std::min(revision.find_first_of(" \r\n"), revision.size()));
    if (matches(revision, "[0-9a-f]{1,64}") && leads_to_directory(snapshots / revision)) return snapshots / revision;
  }
  const std::set<std::string> revisions = names_in(snapshots);
  return revisions.empty() ? fs::path() : snapshots / *revisions.begin();
}

void refuse_hub_cache(const fs::path& directory, const std::set<std::string>& names, Expected expected) {
  const std::string shown = path_text(directory);
  if (names.contains("snapshots") && (names.contains("blobs") || names.contains("refs")) && leads_to_directory(directory / "snapshots")) {
    const fs::path snapshot = snapshot_of(directory);
    if (snapshot.empty()) fail(shown, ": is a repository of a Hugging Face cache without a snapshot; download it again");
    fail(shown, ": is a repository of a Hugging Face cache, ", expected_text(expected), "; give its snapshot, ", path_text(snapshot));
  }
  const Found repository = find(names, "models--.*");
  if (repository) {
    fail(shown, ": is a Hugging Face cache, ", expected_text(expected), "; give a snapshot in it, such as ",
         path_text(directory / repository.first / "snapshots"), "/...");
  }
}

/// Directories inside that are what was looked for: one level up, or the unpacked archive's own folder.
void refuse_parent(const fs::path& directory, const std::set<std::string>& names, Expected expected) {
  constexpr size_t kMostLooks = 64;
  size_t looks = 0;
  for (const std::string& name : names) {
    const fs::path inside = directory / name;
    if (!leads_to_directory(inside)) continue;
    if (++looks > kMostLooks) return;
    const bool fits =
        (expected != Expected::kModelFolder && is_checkpoint(inside)) || (expected != Expected::kCheckpoint && is_model_folder(inside));
    if (fits) fail(path_text(directory), ": there is no model in it, but in ", path_text(inside), "; give that directory");
  }
}

/// Forms that are known by the names of their files, in a directory that has neither a checkpoint's weights nor an IR.
void refuse_other_files(const fs::path& directory, const std::set<std::string>& names, Expected expected) {
  const std::string shown = path_text(directory);
  if (const Found adapter = find(names, R"(adapter_config\.json|adapter_model\..*)")) {
    fail(shown, ": is an adapter (", quote(adapter.first),
         "), not a model; merge it into the model that it was trained on (merge_and_unload) and save that");
  }
  if (const Found shard = find(names, R"(model\d+-mp\d+\.safetensors)")) {
    fail(shown, ": is a release cut for GPUs by DeepSeek's convert.py (", quote(shard.first), "); take the release itself");
  }
  if (const Found gguf = find(names, R"(.*\.gguf)")) {
    fail(shown, ": holds GGUF (", quote(gguf.first), "), which is not read; ", kTakeSafetensors, then(expected));
  }
  if (const Found pickle = find(names, R"(pytorch_model.*\.bin|.*\.(pt|pth|ckpt|pkl))")) {
    fail(shown, ": holds Python pickles (", quote(pickle.first), "), which run code when they are read; ", kTakeSafetensors);
  }
  if (const Found mlx = find(names, R"(weights.*\.npz)"))
    fail(shown, ": holds weights of MLX (", quote(mlx.first), "); ", kTakeSafetensors);
  if (const Found other = find(names, R"(.*\.(onnx|h5|msgpack|tflite|mlmodel|engine))")) {
    fail(shown, ": holds a model in another format (", quote(other.first), "); ", kTakeSafetensors);
  }
  if (const Found packed = find(names, R"(.*\.(tar|tgz|tar\.\w+|zip|7z|zst|gz|xz))")) {
    fail(shown, ": holds an archive (", quote(packed.first), "); unpack it first");
  }
  if (const Found loading = find(names, R"(.*\.(incomplete|part|aria2|crdownload|download))")) {
    fail(shown, ": holds an unfinished download (", quote(loading.first), "); finish it first");
  }
}

/// Safetensors of names that are neither a release's nor transformers'.
void refuse_free_names(const fs::path& directory, const std::set<std::string>& names) {
  const Found files = find(names, R"((?!model).*\.safetensors)");
  if (!files || find(names, R"(model.*\.safetensors)")) return;
  const std::string shown = path_text(directory);
  if (files.count == 1) {
    fail(shown, ": there is ", quote(files.first), ", but neither ", kWeights, " nor ", kIndex, "; if it is the whole model, rename it to ",
         kWeights);
  }
  fail(shown, ": there are ", files.count, " safetensors files (", quote(files.first), " first), but no ", kIndex,
       "; download the index too");
}

void check_directory(const fs::path& directory, Expected expected) {
  const bool folder = is_model_folder(directory), checkpoint = is_checkpoint(directory);
  const std::string shown = path_text(directory);
  if (folder && expected == Expected::kCheckpoint) {
    fail(shown, ": is a model folder that was converted already, ", expected_text(expected), "; give the directory that it was made from");
  }
  if (checkpoint && expected == Expected::kModelFolder && !there(directory / kModelXml)) {
    fail(shown, ": is a checkpoint, there is no ", kModelXml, "; convert it first (dsv4 convert -m ", shown, " OUT) and give OUT");
  }
  if (folder || checkpoint) return;
  const std::set<std::string> names = names_in(directory);
  if (names.empty()) fail(shown, ": is an empty directory, ", expected_text(expected));
  if (names.contains(".dsv4-progress.json")) {
    fail(shown, ": is a conversion that has not finished; run its `dsv4 convert` again, which goes on where it was");
  }
  refuse_hub_cache(directory, names, expected);
  refuse_other_files(directory, names, expected);
  if (expected != Expected::kModelFolder) refuse_free_names(directory, names);
  if (!names.contains("config.json")) refuse_parent(directory, names, expected);
}

}  // namespace

bool is_checkpoint(const fs::path& path) { return there(path / kWeights) || there(path / kIndex); }

bool is_model_folder(const fs::path& path) { return (there(path / kFileListName) || there(path / kModelXml)) && !is_checkpoint(path); }

void check_form(const fs::path& path, Expected expected) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) refuse_missing(path, expected);
  if (status.type() == fs::file_type::none) fail(path_text(path), ": cannot be looked at: ", error.message());
  if (status.type() != fs::file_type::directory) refuse_file(path, expected);
  check_directory(path, expected);
}

}  // namespace dsv4
