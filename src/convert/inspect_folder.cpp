// Looking at a model folder.
#include "convert/inspect_folder.h"

#include <algorithm>
#include <fstream>

#include "checkpoint/config.h"
#include "checkpoint/inspect.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace fs = std::filesystem;

namespace {

constexpr const char* kUnknown = "unknown";
constexpr uint64_t kTail = 256 << 10;  // of the .xml: rt_info stands at its end

/// The text of <NAME value="..."/> in the model's dsv4 section; "unknown" when there is none.
std::string stated(const std::string& xml_end, const std::string& name) {
  const size_t section = xml_end.rfind("<dsv4>");
  const std::string begin = concat("<", name, " value=\"");
  const size_t at = section == std::string::npos ? section : xml_end.find(begin, section);
  if (at == std::string::npos) return kUnknown;
  const size_t first = at + begin.size(), last = xml_end.find('"', first);
  return excerpt(xml_end.substr(first, last == std::string::npos ? last : last - first));
}

std::string end_of_file(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return {};  // a FIFO would be waited for
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return {};
  const auto size = static_cast<uint64_t>(in.tellg());
  std::string text(std::min(size, kTail), '\0');
  in.seekg(static_cast<std::streamoff>(size - text.size()));
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  return text;
}

}  // namespace

bool made_by_dsv4(const fs::path& folder) { return stated(end_of_file(folder / kModelXml), "version") != kUnknown; }

bool has_cpu_program(const fs::path& folder) { return stated(end_of_file(folder / kModelXml), "program") == "cpu"; }

FolderReport inspect_folder(const fs::path& folder, const std::function<void(uint64_t done, uint64_t total)>& progress) {
  FolderReport report;
  report.directory = path_text(folder);
  if (std::optional<std::vector<ListedFile>> files = read_file_list(folder)) {
    const std::vector<FileFault> faults = check_files(folder, *files, progress);
    if (!faults.empty()) {
      const std::string others = faults.size() > 1 ? concat(", and ", faults.size() - 1, " more are not as listed") : std::string();
      fail(path_text(folder / faults.front().name), " ", faults.front().text, " (", kFileListName, ")", others,
           "; copy the folder again or convert again");
    }
    for (const std::string& name : unlisted_files(folder, *files)) report.notices.push_back(concat(name, ": not listed, not checked"));
    report.listed = true;
    report.files = std::move(*files);
  } else {
    for (const std::string& name : unlisted_files(folder, {})) {
      std::error_code error;
      const uintmax_t size = fs::file_size(folder / name, error);
      report.files.push_back({name, error ? 0 : size, {}});
    }
    report.notices.push_back(
        concat("no ", kFileListName, ": the folder was made by dsv4 0.1, and nothing says whether its files are whole"));
  }
  for (const ListedFile& file : report.files) report.bytes += file.bytes;

  const Config config = read_config(folder);
  report.model = model_name(config);
  report.layers = config.num_hidden_layers;
  const std::string xml_end = end_of_file(folder / kModelXml);
  report.weight_format = stated(xml_end, "weight_format");
  const std::string program = stated(xml_end, "program");
  report.program = program == kUnknown
                       ? "portable"
                       : concat(program, ", activations ", stated(xml_end, "activations"), ", cache ", stated(xml_end, "cache"));
  report.made_by = concat("dsv4 ", stated(xml_end, "version"));
  return report;
}

}  // namespace dsv4
