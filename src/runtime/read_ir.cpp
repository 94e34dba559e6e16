// Reading the IR of a model folder: OpenVINO gets no other .xml than the one that was written.
#include "runtime/read_ir.h"

#include "checkpoint/blamed_file.h"
#include "checkpoint/listed_files.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "openvino/runtime/core.hpp"
#include "ops/extension.h"
#include "runtime/errors.h"

namespace dsv4 {

namespace fs = std::filesystem;

namespace {

constexpr const char* kRemedy = "copy the folder again or convert the checkpoint again";

}  // namespace

std::shared_ptr<ov::Model> read_ir(const fs::path& folder) {
  const fs::path xml = folder / kModelXml, bin = folder / kModelBin;
  const std::optional<std::vector<ListedFile>> list = read_file_list(folder);
  for (const fs::path& file : {xml, bin}) {
    const ListedFile* listed = list ? find_listed(*list, file.filename().string()) : nullptr;
    const Extent extent = file == xml ? Extent::kWhole : Extent::kQuick;  // reading all weights takes minutes
    if (const auto fault = fault_of_file(file, listed, extent, [](uint64_t) {})) {
      fail(path_text(file), ": ", *fault, listed ? concat(" (", kFileListName, ")") : "",
           "; expected a folder that `dsv4 convert` wrote: ", kRemedy,
           listed ? concat(", or take the file out of ", kFileListName, " if you changed it yourself") : "");
    }
  }
  const BlamedFile blamed(xml);
  try {
    ov::Core core;
    core.add_extension(ops::ops_extensions());  // of folders with the CPU program
    return core.read_model(xml, bin);
  } catch (const std::exception& e) {
    fail(path_text(xml), ": OpenVINO cannot read it: ", reason_of(e), "; ", kRemedy);
  }
}

}  // namespace dsv4
