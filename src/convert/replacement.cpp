// Exchanging two folders, and what a crash on the way leaves.
#include "convert/replacement.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>

#include "checkpoint/quote.h"
#include "convert/errors.h"
#include "convert/file_list.h"
#include "convert/inspect_folder.h"
#include "convert/partial_folder.h"
#include "convert/text_file.h"

namespace dsv4 {

namespace fs = std::filesystem;

namespace {

// What dsv4 wrote into model folders before it listed the files.
constexpr std::array<std::string_view, 18> kUnlisted = {"openvino_model.xml",
                                                        "openvino_model.bin",
                                                        "openvino_tokenizer.xml",
                                                        "openvino_tokenizer.bin",
                                                        "openvino_detokenizer.xml",
                                                        "openvino_detokenizer.bin",
                                                        "openvino_config.json",
                                                        "config.json",
                                                        "configuration_deepseek_v4.py",
                                                        "generation_config.json",
                                                        "tokenizer.json",
                                                        "tokenizer_config.json",
                                                        "special_tokens_map.json",
                                                        "chat_template.jinja",
                                                        "README.md",
                                                        "LICENSE",
                                                        "LICENSE.md",
                                                        "LICENSE.txt"};

bool is_there(const fs::path& path) {
  std::error_code error;
  const fs::file_type type = fs::symlink_status(path, error).type();
  return type != fs::file_type::not_found && type != fs::file_type::none;
}

[[noreturn]] void refuse(const fs::path& folder, const std::string& why) {
  fail("the output ", path_text(folder), " ", why,
       "; --overwrite replaces a model folder that dsv4 made and nothing else: remove it or choose another name");
}

bool is_ours(const std::string& name, const std::optional<std::vector<ListedFile>>& list) {
  if (name == kFileListName || name == kProgressRecord || name == kReplacingMark) return true;
  if (list) return find_listed(*list, name) != nullptr;
  return std::find(kUnlisted.begin(), kUnlisted.end(), name) != kUnlisted.end();
}

/// Removes the old folder, wherever it lies now, then the marks of the new one. What says that the old folder is ours goes last: a run may die here too.
/// What is wrong, or nothing.
std::string finish(const fs::path& old, const fs::path& target) {
  std::error_code error;
  const fs::path last = old / (is_there(old / kFileListName) ? kFileListName : kModelXml);
  for (fs::directory_iterator it(old, error), end; !error && it != end; it.increment(error)) {
    if (it->path() != last) fs::remove(it->path(), error);
  }
  if (!error) fs::remove(last, error);
  if (!error) fs::remove(old, error);
  const std::string why =
      error ? concat("the old model cannot be removed from ", path_text(old), ": ", error.message(), "; remove it") : "";
  fs::remove(target / kProgressRecord, error);
  fs::remove(target / kReplacingMark, error);
  return why;
}

}  // namespace

void check_replaceable(const fs::path& folder) {
  const std::optional<std::vector<ListedFile>> list = read_file_list(folder);
  const bool made = list ? find_listed(*list, kModelXml) != nullptr : made_by_dsv4(folder);
  if (!made) refuse(folder, "is no model folder that dsv4 made");
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (is_ours(name, list) && !fs::is_directory(entry.symlink_status())) continue;
    refuse(folder, concat("has ", path_text(entry.path().filename()), ", which is not of the model"));
  }
}

fs::path aside_path(const fs::path& target) {
  fs::path path = target;
  path += ".replaced";
  return path;
}

std::string replace_folder(const fs::path& partial, const fs::path& target) {
  const fs::path aside = aside_path(target);
  if (is_there(aside)) fail_write(path_text(aside), " is in the way; remove it");
  write_text(partial / kReplacingMark, "");
  sync_to_disk(partial);
  if (::renameat2(AT_FDCWD, partial.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
    flush_if_possible(target.parent_path());
    return finish(partial, target);
  }
  std::error_code error;
  fs::rename(target, aside, error);  // this file system cannot exchange
  if (error) fail_write("cannot move ", path_text(target), " aside: ", error.message());
  fs::rename(partial, target, error);
  if (error) {
    std::error_code ignored;
    fs::rename(aside, target, ignored);
    fail_write(path_text(partial), " cannot get the name ", path_text(target), ": ", error.message());
  }
  flush_if_possible(target.parent_path());
  return finish(aside, target);
}

void recover_replacement(const fs::path& partial, const fs::path& target) {
  const fs::path aside = aside_path(target);
  if (is_there(target / kReplacingMark)) {
    const fs::path old = is_there(partial) ? partial : aside;
    if (is_there(old) && !fs::is_empty(old)) check_replaceable(old);  // nobody else's
    const std::string why = finish(old, target);
    if (!why.empty() && is_there(old)) fail_write(why);
    return;
  }
  if (!is_there(partial / kReplacingMark)) return;
  std::error_code error;
  if (!is_there(target) && is_there(aside)) fs::rename(aside, target, error);
  if (error) fail_write("cannot move ", path_text(aside), " back to ", path_text(target), ": ", error.message());
  fs::remove(partial / kReplacingMark, error);
}

}  // namespace dsv4
