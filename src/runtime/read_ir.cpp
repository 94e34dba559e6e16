// Reading the IR of a model folder: OpenVINO gets no other .xml than the one that was written.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "checkpoint/blamed_file.h"
#include "checkpoint/content_hash.h"
#include "checkpoint/descriptor.h"
#include "checkpoint/listed_files.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "openvino/runtime/core.hpp"
#include "runtime/errors.h"
#include "runtime/loaded_model.h"

namespace dsv4 {

namespace fs = std::filesystem;

namespace {

constexpr const char* kRemedy = "copy the folder again or convert the checkpoint again";

/// What is wrong with a file, or nothing. Not its contents where `whole` is false: reading all weights takes minutes.
std::optional<std::string> fault_of(const fs::path& path, const ListedFile* listed, bool whole) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd < 0) return errno == ENOENT ? std::string("not found") : concat("cannot be opened: ", std::strerror(errno));
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) return concat("cannot be read: ", std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return std::string("is not a regular file");
  const auto bytes = static_cast<uint64_t>(status.st_size);
  if (listed == nullptr) return std::nullopt;
  if (std::optional<std::string> fault = fault_of_size(*listed, bytes)) return concat(*fault, " (", kFileListName, ")");
  if (!whole) return std::nullopt;
  ContentHasher hasher;
  if (!hash_file_range(file.fd, path, 0, bytes, hasher, [](uint64_t) {})) return std::string("became shorter while it was read");
  const std::optional<std::string> fault = fault_of_hash(*listed, hasher.hash());
  return fault ? std::optional(concat(*fault, " (", kFileListName, ")")) : std::nullopt;
}

}  // namespace

std::shared_ptr<ov::Model> read_ir(const fs::path& folder) {
  const fs::path xml = folder / kModelXml, bin = folder / kModelBin;
  const std::optional<std::vector<ListedFile>> list = read_file_list(folder);
  for (const fs::path& file : {xml, bin}) {
    const ListedFile* listed = list ? find_listed(*list, file.filename().string()) : nullptr;
    if (const auto fault = fault_of(file, listed, file == xml)) {
      fail(path_text(file), ": ", *fault, "; expected a folder that `dsv4 convert` wrote: ", kRemedy,
           listed ? concat(", or take the file out of ", kFileListName, " if you changed it yourself") : "");
    }
  }
  const BlamedFile blamed(xml);
  try {
    return ov::Core().read_model(xml, bin);
  } catch (const std::exception& e) {
    fail(path_text(xml), ": OpenVINO cannot read it: ", reason_of(e), "; ", kRemedy);
  }
}

}  // namespace dsv4
