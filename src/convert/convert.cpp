// The conversion as a whole: checks, plan, graph, .bin, the folder.
#include "convert/convert.h"

#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>

#include "checkpoint/cut.h"
#include "convert/bin_writer.h"
#include "convert/ir.h"
#include "convert/placeholders.h"
#include "dsv4/error.h"
#include "graph/model.h"

namespace dsv4 {

namespace fs = std::filesystem;

namespace {

// Files of a checkpoint that the model folder carries on as they are.
constexpr const char* kCarriedFiles[] = {"generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"};

struct Conversion {
  Checkpoint checkpoint;
  Config config;  // with the layers that are converted
  StoragePlan plan;
  uint64_t small_offset = 0;
  IrText ir;

  uint64_t bin_bytes() const { return small_offset + ir.small_constants.size(); }
};

Conversion prepare(const ConvertOptions& options) {
  Checkpoint checkpoint = Checkpoint::open(options.checkpoint);
  if (options.notice) {
    for (const std::string& line : checkpoint.notices()) options.notice(line);
  }
  Config config = checkpoint.config();
  if (options.layers >= 0) config = first_layers(config, options.layers);
  StoragePlan plan = plan_storage(config, tensor_table(config), options.format);

  PlaceholderWeights weights(plan);
  const std::shared_ptr<ov::Model> model = build_portable_model(config, weights, {.stateful = options.stateful});
  if (const std::vector<std::string> unused = weights.unused(); !unused.empty()) {
    fail("the graph leaves ", unused.size(), " weights unused, first ", unused.front(), "; this is a mistake in dsv4");
  }
  const uint64_t small_offset = (plan.bytes + 63) / 64 * 64;
  IrText ir = serialize_ir(model, small_offset);
  return {std::move(checkpoint), std::move(config), std::move(plan), small_offset, std::move(ir)};
}

ConvertReport report_of(const Conversion& c) {
  ConvertReport report;
  report.constants = c.plan.constants.size();
  report.bin_bytes = c.bin_bytes();
  report.xml_bytes = c.ir.xml.size();
  for (const PlannedConstant& constant : c.plan.constants) {
    for (const std::string& tensor : constant.parts) {
      report.checkpoint_bytes += c.checkpoint.stored(tensor).bytes.size();
      if (const TensorView* scale = c.checkpoint.scale(tensor)) report.checkpoint_bytes += scale->bytes.size();
    }
  }
  return report;
}

void write_text(const fs::path& path, std::string_view text) {
  std::ofstream out(path, std::ios::binary);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out) fail("cannot write ", path.string(), ": is the disk full?");
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in.is_open()) fail("cannot read ", path.string());
  return text;
}

void check_disk(const fs::path& directory, uint64_t needed) {
  std::error_code error;
  const fs::space_info space = fs::space(directory, error);
  if (!error && space.available < needed) {
    fail("the conversion needs ", needed, " bytes on the disk of ", directory.string(), ", which has ", space.available,
         " free; free some or choose another output");
  }
}

// A directory that is removed unless it was renamed to its final name.
class PartialDirectory {
 public:
  explicit PartialDirectory(const fs::path& final_path) : final_(final_path) {
    partial_ = final_;
    partial_ += concat(".partial-", ::getpid());
    fs::create_directories(partial_);
  }
  ~PartialDirectory() {
    std::error_code ignored;
    if (!done_) fs::remove_all(partial_, ignored);
  }
  PartialDirectory(const PartialDirectory&) = delete;
  PartialDirectory& operator=(const PartialDirectory&) = delete;

  const fs::path& path() const { return partial_; }
  void finish() {
    fs::rename(partial_, final_);
    done_ = true;
  }

 private:
  fs::path final_, partial_;
  bool done_ = false;
};

}  // namespace

ConvertReport plan_conversion(const ConvertOptions& options) { return report_of(prepare(options)); }

ConvertReport convert(const ConvertOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  fs::path output = fs::absolute(options.output).lexically_normal();
  if (!output.has_filename()) output = output.parent_path();  // "model/": the partial directory is to lie beside it, not in it
  if (fs::exists(output) && !(fs::is_directory(output) && fs::is_empty(output))) {
    fail("the output ", output.string(), " exists; remove it or choose another name");
  }
  const Conversion conversion = prepare(options);
  ConvertReport report = report_of(conversion);

  PartialDirectory directory(output);
  check_disk(directory.path(), report.bin_bytes + report.xml_bytes);
  write_bin(conversion.checkpoint, conversion.plan, conversion.small_offset, conversion.ir.small_constants,
            directory.path() / "openvino_model.bin", options.progress);
  write_text(directory.path() / "openvino_model.xml", conversion.ir.xml);
  const std::string config_json = read_text(options.checkpoint / "config.json");
  write_text(directory.path() / "config.json", options.layers < 0 ? config_json : first_layers(config_json, options.layers));
  for (const char* name : kCarriedFiles) {
    if (fs::exists(options.checkpoint / name)) fs::copy_file(options.checkpoint / name, directory.path() / name);
  }
  directory.finish();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace dsv4
