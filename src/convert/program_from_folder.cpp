// Reading a folder, building the program, and filling the new folder.
#include "convert/program_from_folder.h"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "checkpoint/json_text.h"
#include "checkpoint/listed_files.h"
#include "checkpoint/model_fields.h"
#include "checkpoint/quote.h"
#include "convert/file_list.h"
#include "convert/ir.h"
#include "convert/model_card.h"
#include "convert/partial_folder.h"
#include "convert/placed_weights.h"
#include "convert/rt_info.h"
#include "convert/text_file.h"
#include "dsv4/error.h"
#include "graph/cpu/client_model.h"
#include "openvino/runtime/core.hpp"
#include "ops/extension.h"

namespace dsv4 {

namespace fs = std::filesystem;

namespace {

constexpr const char* kCard = "README.md";

std::string read_whole(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) fail(path_text(path), ": cannot be read");
  return std::move(text).str();
}

struct Source {
  std::vector<ListedFile> list;
  Config config;
  std::string xml;
  ov::AnyMap rt_info;
};

/// The small files whole, of the .bin its size and its graph constants.
Source read_source(const fs::path& folder) {
  std::optional<std::vector<ListedFile>> list = read_file_list(folder);
  if (!list)
    fail(path_text(folder), ": no ", kFileListName, ", so it is not known whether its files are whole; convert the checkpoint again");
  for (const char* name : {kModelXml, kModelBin}) {
    if (!find_listed(*list, name)) fail(path_text(folder / kFileListName), " does not list ", name, "; convert the checkpoint again");
  }
  for (const ListedFile& file : *list) {
    const Extent extent = file.name == kModelBin ? Extent::kQuick : Extent::kWhole;
    if (const auto fault = fault_of_file(folder / file.name, &file, extent, [](uint64_t) {})) {
      fail(path_text(folder / file.name), ": ", *fault, " (", kFileListName, "); copy the folder again or convert the checkpoint again");
    }
  }
  Source source{std::move(*list), read_config(folder), read_whole(folder / kModelXml), {}};
  ov::Core core;
  core.add_extension(ops::ops_extensions());
  std::shared_ptr<ov::Model> ir;
  try {
    ir = core.read_model(folder / kModelXml, folder / kModelBin);
    for (const ModelField& field : model_fields(source.config)) {
      const auto stated = ir->has_rt_info("dsv4", "config", field.name) ? ir->get_rt_info<std::string>("dsv4", "config", field.name) : "";
      if (stated != field.value) {
        fail(path_text(folder / "config.json"), ": ", field.name, " is ", excerpt(field.value), ", but openvino_model.xml was made with ",
             stated.empty() ? "no such field" : excerpt(stated),
             "; put back what the model was made with, or convert the checkpoint again");
      }
    }
    source.rt_info = ir->get_rt_info();
  } catch (const ov::Exception& e) {
    fail(path_text(folder / kModelXml), ": OpenVINO cannot read it: ", excerpt(e.what()), "; convert the checkpoint again");
  }
  return source;
}

std::string program_xml(const Source& source, const ProgramFromFolderOptions& options) {
  try {
    PlacedWeights weights(placed_constants(source.xml));
    CpuOptions cpu;
    cpu.activations = options.program.activations;
    const std::shared_ptr<ov::Model> model = build_client_model(source.config, weights, cpu, options.program.cache);
    for (const auto& [name, value] : source.rt_info) model->get_rt_info()[name] = value;
    add_program_info(*model, options.program);
    IrText ir = serialize_ir(model, 0);
    if (!ir.small_constants.empty()) fail("the CPU program has constants of its own; this is a mistake in dsv4");
    return std::move(ir.xml);
  } catch (const Error& e) {
    fail(path_text(options.folder / kModelXml), ": ", e.what());
  } catch (const ov::Exception& e) {
    fail(path_text(options.folder / kModelXml), ": the CPU program cannot be built from it: ", excerpt(e.what()));
  }
}

/// True for a second name of the file, false for a symbolic link to it: on another disk, or where the system allows no names of others' files.
bool link_weights(const fs::path& from, const fs::path& to) {
  const fs::path file = fs::canonical(from);
  std::error_code error;
  fs::create_hard_link(file, to, error);
  if (!error) return true;
  fs::create_symlink(file, to, error);
  if (error) fail_write("cannot link ", path_text(to), " to ", path_text(file), ": ", error.message());
  return false;
}

}  // namespace

ProgramFromFolderReport program_from_folder(const ProgramFromFolderOptions& options) {
  std::error_code error;
  if (fs::equivalent(options.folder, options.output, error)) {
    fail(path_text(options.output), ": the output is the folder that it is to be made from; choose another name");
  }
  PartialFolder folder(options.output, options.notice, options.overwrite);
  const Source source = read_source(options.folder);
  const std::string xml = program_xml(source, options);
  nlohmann::ordered_json identity;
  identity["version"] = concat(DSV4_VERSION, ", a program over a folder's weights");
  identity["folder"] = path_text(fs::canonical(options.folder));
  folder.begin(identity);

  ProgramFromFolderReport report;
  report.linked = link_weights(options.folder / kModelBin, folder.path() / kModelBin);
  report.xml_bytes = xml.size();
  std::vector<std::string> names = {kModelBin};
  std::vector<ListedFile> list;
  const auto add = [&](const std::string& name, const std::string& text) {
    write_text(folder.path() / name, text);
    list.push_back({name, text.size(), content_hash(text)});
    names.push_back(name);
  };
  for (const ListedFile& file : source.list) {
    if (file.name == kModelBin) {
      list.push_back(file);
      report.bin_bytes = file.bytes;
    } else if (file.name == kCard) {
      add(file.name, card_of_program(read_whole(options.folder / file.name), options.program));
    } else if (file.name != kModelXml) {
      add(file.name, read_whole(options.folder / file.name));
    }
  }
  add(kModelXml, xml);
  write_text(folder.path() / kFileListName, file_list_text(std::move(list)));
  names.insert(names.end() - 1, kFileListName);
  folder.finish(names);
  return report;
}

}  // namespace dsv4
