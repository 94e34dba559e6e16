// The conversion as a whole: checks, plan, graph, .bin, the folder.
#include "convert/convert.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <new>
#include <optional>
#include <utility>

#include "checkpoint/cut.h"
#include "checkpoint/end_tokens.h"
#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "checkpoint/weight_form.h"
#include "convert/bin_writer.h"
#include "convert/file_list.h"
#include "convert/folder.h"
#include "convert/ir.h"
#include "convert/model_card.h"
#include "convert/nvfp4_as_mxfp4.h"
#include "convert/partial_folder.h"
#include "convert/piece_queue.h"
#include "convert/placed_weights.h"
#include "convert/placeholders.h"
#include "convert/published_bits.h"
#include "convert/resume.h"
#include "convert/rt_info.h"
#include "convert/sensitivity.h"
#include "convert/small_files.h"
#include "convert/source_errors.h"
#include "convert/text_file.h"
#include "dsv4/error.h"
#include "graph/cpu/client_model.h"
#include "graph/portable/portable.h"
#include "openvino/core/version.hpp"
#include "text/tokenizer_models.h"

namespace dsv4 {

namespace fs = std::filesystem;

namespace {

constexpr int kWriter =
    2;  // goes up when the same inputs become other files or other pieces, so that nothing goes on from what an older dsv4 left

struct Conversion {
  Checkpoint checkpoint;
  SmallFiles small_files;
  Config config;  // with the layers that are converted
  StoragePlan plan;
  uint64_t small_offset = 0;
  IrText ir;

  uint64_t bin_bytes() const { return small_offset + ir.small_constants.size(); }
};

bool is_stopped(const ConvertOptions& options) { return options.stop && *options.stop; }

void check_stop(const ConvertOptions& options) {
  if (is_stopped(options)) throw Interrupted("interrupted");
}

/// Before the plan, which wants groups of 32.
void check_published_fp4(const Checkpoint& checkpoint, const std::vector<WeightUnit>& units, const std::vector<StoredFormat>& forms) {
  for (size_t i = 0; i < units.size(); ++i) {
    if (forms[i].type != NumberFormat::kF4E2M1) continue;
    for (const WeightPart& part : units[i].parts) {
      const Encoding encoding = checkpoint.encoding(part.tensor);
      if (encoding == Encoding::kNvfp4) check_power_of_two_scales(checkpoint, part.tensor);
      if (encoding == Encoding::kFp4 || encoding == Encoding::kNvfp4) continue;
      fail("--weight-format mxfp4 keeps the experts' published FP4, but ", part.tensor, " is published in ", encoding_name(encoding),
           "; choose int4 or int8");
    }
    check_some_scales(checkpoint, units[i].parts.front());
  }
}

void check_static_shape(const ConvertOptions& options, const Config& config) {
  if (!options.static_shape) return;
  const auto [batch, length] = *options.static_shape;
  if (batch < 1 || length < 1) throw UsageError(concat("--static-shape ", batch, ",", length, ": expected 1 or more of each"));
  if (config.max_position_embeddings > 0 && length > config.max_position_embeddings) {
    throw UsageError(concat("--static-shape ", batch, ",", length, ": the model was made for ", config.max_position_embeddings, " tokens"));
  }
  constexpr int64_t kMaxTokens = 1 << 20;  // far beyond what memory holds, and index arithmetic stays within i32
  if (batch > kMaxTokens / length) throw UsageError(concat("--static-shape ", batch, ",", length, ": more than ", kMaxTokens, " tokens"));
}

void check_unused(const std::vector<std::string>& unused) {
  if (!unused.empty()) fail("the graph leaves ", unused.size(), " weights unused, first ", unused.front(), "; this is a mistake in dsv4");
}

std::shared_ptr<ov::Model> portable_program(const ConvertOptions& options, const Config& config, const StoragePlan& plan) {
  PlaceholderWeights weights(plan);
  const PortableOptions form = {.stateful = options.stateful, .experts = options.experts, .static_shape = options.static_shape};
  const std::shared_ptr<ov::Model> model = build_portable_model(config, weights, form);
  check_unused(weights.unused());
  return model;
}

std::shared_ptr<ov::Model> client_program(const ClientProgram& program, const Config& config, const StoragePlan& plan) {
  PlacedWeights weights(placed_constants(plan));
  CpuOptions cpu;
  cpu.activations = program.activations;
  const std::shared_ptr<ov::Model> model = build_client_model(config, weights, cpu, program.cache);
  check_unused(weights.unused(plan));
  add_program_info(*model, program);
  return model;
}

Conversion prepare(const ConvertOptions& options) {
  Checkpoint checkpoint = Checkpoint::open(options.checkpoint);
  if (options.notice) {
    for (const std::string& line : checkpoint.notices()) options.notice(line);
  }
  SmallFiles small_files(checkpoint);
  Config config = checkpoint.config();
  if (options.layers >= 0) config = first_layers(config, options.layers);
  check_static_shape(options, config);
  if (const std::string* generation = small_files.find("generation_config.json")) {  // what is refused here would stop the folder at run
    parse_end_tokens(*generation, path_text(small_files.directory() / "generation_config.json"), config);
  }
  std::vector<WeightUnit> units = weight_units(config, tensor_table(config));
  if (options.compression.format == WeightFormat::kInt4 && options.compression.ratio < 1.0 && options.notice) {
    options.notice("--ratio: reading all weights once to find the least sensitive ones");
  }
  const auto error_of = [&](const WeightUnit& unit) {
    const float error = int8_error(checkpoint, unit, [&] { return is_stopped(options); });
    check_stop(options);
    return error;
  };
  const bool published = options.compression.format == WeightFormat::kPublished;
  const std::vector<StoredFormat> forms =
      published ? published_forms(checkpoint, units) : choose_forms(units, options.compression, error_of);
  check_published_fp4(checkpoint, units, forms);
  StoragePlan plan = plan_storage(std::move(units), forms);

  check_stop(options);
  const std::shared_ptr<ov::Model> model =
      options.cpu_program ? client_program(*options.cpu_program, config, plan) : portable_program(options, config, plan);
  add_rt_info(*model, config, options.compression, transformers_version(small_files.config()));
  const uint64_t small_offset = (plan.bytes + 63) / 64 * 64;
  IrText ir = serialize_ir(model, small_offset);
  check_stop(options);
  return {std::move(checkpoint), std::move(small_files), std::move(config), std::move(plan), small_offset, std::move(ir)};
}

// Checkpoint bytes of some rows of a tensor, their share of its scales and zero points included.
uint64_t bytes_of(const Checkpoint& checkpoint, const WeightPart& part) {
  const Shape shape = checkpoint.shape(part.tensor);
  const uint64_t rows = shape.size() < 2 ? 1 : static_cast<uint64_t>(shape[0]);
  uint64_t bytes = checkpoint.stored(part.tensor).bytes.size();
  for (const TensorView* more : {checkpoint.scale(part.tensor), checkpoint.zero_point(part.tensor), checkpoint.global_scale(part.tensor)}) {
    if (more) bytes += more->bytes.size();
  }
  return bytes * static_cast<uint64_t>(part.row_end) / rows - bytes * static_cast<uint64_t>(part.row_begin) / rows;
}

FormSummary& form_of(const Conversion& c, const PlannedWeight& weight, std::vector<FormSummary>& forms) {
  const std::string published(encoding_name(c.checkpoint.encoding(weight.unit.parts.front().tensor))), stored = describe(weight.form);
  const auto form =
      std::find_if(forms.begin(), forms.end(), [&](const FormSummary& f) { return f.published == published && f.stored == stored; });
  return form != forms.end() ? *form : forms.emplace_back(FormSummary{published, stored});
}

ConvertReport report_of(const Conversion& c) {
  ConvertReport report;
  report.weights = c.plan.weights.size();
  report.bin_bytes = c.bin_bytes();
  report.xml_bytes = c.ir.xml.size();
  for (const PlannedWeight& weight : c.plan.weights) {
    FormSummary& form = form_of(c, weight, report.forms);
    for (const WeightPart& part : weight.unit.parts) form.bytes_read += bytes_of(c.checkpoint, part);
    form.tensors += weight.unit.parts.size();
    form.bytes_written += weight.bytes();
  }
  for (const FormSummary& form : report.forms) report.checkpoint_bytes += form.bytes_read;
  return report;
}

// Converts what it is given and drops it.
class NoSink final : public PieceSink {
 public:
  void write_at(uint64_t, const void*, size_t) override {}
  void write_nibbles(uint64_t, uint64_t, const uint8_t*, size_t) override {}
};

// Checkpoint bytes a second of reading and converting this weight, or as much of it as a moment allows.
double measure(const Checkpoint& checkpoint, const PlannedWeight& weight) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kMoment{300};
  PieceQueue queue(std::span(&weight, 1));
  NoSink sink;
  std::atomic<uint64_t> read = 0;
  const Clock::time_point start = Clock::now();
  for_each_piece(
      queue, [&] { return Clock::now() - start > kMoment; },
      [&](const PieceQueue::Numbered& numbered, PieceBuffers& buffers) {
        of_source(checkpoint, numbered.piece, [&] { convert_piece(checkpoint, numbered.piece, buffers, sink); });
        read += source_bytes(checkpoint, numbered.piece);
      });
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  for (const WeightPart& part : weight.unit.parts) checkpoint.release(part.tensor);
  return static_cast<double>(read) / seconds;
}

// Everything that the folder depends on but the weights themselves, whose bytes the record of the finished pieces knows.
nlohmann::ordered_json identity(const Conversion& c, const ConvertOptions& options) {
  std::string layout;
  for (const PlannedWeight& weight : c.plan.weights) {
    layout += concat(weight.unit.name, ' ', describe(weight.form), ' ', weight.values.offset, ' ', weight.scales.offset, ' ',
                     weight.zero_points.offset, '\n');
  }
  std::string graph =
      concat(options.stateful ? "stateful" : "prefill-only", options.experts == ExpertForm::kGather ? ", experts gathered" : "");
  if (options.static_shape) graph += concat(", ", options.static_shape->batch, " x ", options.static_shape->length);
  if (options.cpu_program) {
    graph = concat("the CPU program", options.cpu_program->activations == ActivationRounding::kF32 ? ", f32 activations" : "",
                   options.cpu_program->cache == CachePrecision::kF32 ? ", f32 cache" : "");
  }
  if (options.layers >= 0) graph += concat(", first ", options.layers, " layers");
  nlohmann::ordered_json json;
  json["version"] = concat(DSV4_VERSION, ", writer ", kWriter, ", OpenVINO ", ov::get_openvino_version().buildNumber);
  json["choice of options"] = describe(options.compression);
  json["set of graph options"] = graph;
  json["choice of tokenizer models"] = options.tokenizer;
  for (const auto& [name, bytes] : c.small_files.all()) json["checkpoint file"][name] = content_hash(bytes).hex();
  json["layout"] = content_hash(layout).hex();
  json["set of graph constants"] = concat(c.small_offset, ' ', content_hash(c.ir.small_constants).hex());
  return json;
}

std::optional<TokenizerModels> tokenizer_models(const ConvertOptions& options, const SmallFiles& files, const Config& config) {
  if (!options.tokenizer) return std::nullopt;
  const TokenizerTexts texts = {.tokenizer = files.find("tokenizer.json"),
                                .tokenizer_config = files.find("tokenizer_config.json"),
                                .chat_template = files.find("chat_template.jinja")};
  return make_tokenizer_models(texts, files.directory(), config.vocab_size);
}

/// All files of the folder but the .bin and the list. In memory before the weights, so that what is wrong with the checkpoint is known at once; takes the .xml's text.
std::vector<FolderFile> small_folder_files(const ConvertOptions& options, Conversion& c, const ConvertReport& report) {
  std::vector<FolderFile> files = folder_files(options, c.small_files, c.config);
  if (const std::optional<TokenizerModels> tokenizer = tokenizer_models(options, c.small_files, c.config)) {
    for (auto& [name, bytes] : tokenizer->files()) files.push_back({name, bytes});
    for (const std::string& line : tokenizer->notices) {
      if (options.notice) options.notice(line);
    }
  }
  files.push_back({kModelXml, std::move(c.ir.xml)});
  std::vector<FolderFileSize> sizes = {{kModelBin, c.bin_bytes()}};
  for (const FolderFile& file : files) sizes.push_back({file.name, file.bytes.size()});
  files.insert(files.begin(), {"README.md", model_card(options, c.checkpoint, c.config, report, c.small_files, std::move(sizes))});
  return files;
}

// Blocks that an earlier run reserved count as free.
void check_disk(const fs::path& directory, uint64_t needed) {
  std::error_code error;
  const fs::space_info space = fs::space(directory, error);
  if (error) return;
  struct stat bin {};
  const uint64_t reserved = ::stat((directory / kModelBin).c_str(), &bin) == 0 ? static_cast<uint64_t>(bin.st_blocks) * 512 : 0;
  if (space.available + reserved < needed) {
    fail_write("the conversion needs ", needed, " bytes on the disk of ", path_text(directory), ", which has ", space.available,
               " free; free some or choose another output");
  }
}

/// The pieces that need not be made again, and the hash of what they became.
std::pair<FinishedWork, std::shared_ptr<ContentHasher>> earlier_work(const ConvertOptions& options, const Conversion& c, FinishedWork work,
                                                                     PartialFolder& folder) {
  if (work.pieces == 0) return {};
  EarlierWork earlier = check_finished(c.checkpoint, c.plan, work, folder.path() / kModelBin,
                                       {.progress = options.check_progress, .stopped = [&] { return is_stopped(options); }});
  if (earlier.refusal.empty()) {
    if (options.notice) options.notice("going on where an earlier conversion was interrupted");
    return {std::move(work), std::move(earlier.bin)};
  }
  folder.start_anew(earlier.refusal);
  return {};
}

/// Files that were touched without a new time of modification: they are read again.
void check_touched(const ConvertOptions& options, const Conversion& c, const FinishedWork& work) {
  const auto changed = changed_shard(c.checkpoint, c.plan, work, [](const SafetensorsFile& file) { return file.touched(); },
                                     {.progress = options.check_progress, .stopped = [&] { return is_stopped(options); }});
  if (changed) throw BadInput(concat(*changed, ": the file was changed while it was read; start again when nothing writes to it"));
}

/// Fills the partial folder. Returns the names of its files, in the order in which they may appear: the .xml, which makes a folder a model, is the last.
std::vector<std::string> fill(const ConvertOptions& options, const Conversion& c, std::vector<FolderFile> files, PartialFolder& folder,
                              const FinishedWork& found) {
  uint64_t bytes = c.bin_bytes();
  for (const FolderFile& file : files) bytes += file.bytes.size();
  check_disk(folder.path(), bytes);
  auto [earlier, earlier_bin] = earlier_work(options, c, found, folder);

  std::vector<ListedFile> list;
  std::vector<std::string> names = {kModelBin};
  for (const FolderFile& file : files) {
    write_text(folder.path() / file.name, file.bytes);
    list.push_back({file.name, file.bytes.size(), content_hash(file.bytes)});
    names.push_back(file.name);
  }
  files = {};  // their memory
  const FinishedWork work = write_bin(c.checkpoint, c.plan, c.small_offset, c.ir.small_constants, folder.path() / kModelBin,
                                      {.earlier = std::move(earlier),
                                       .earlier_bin = std::move(earlier_bin),
                                       .record = [&](const FinishedWork& now) { folder.record(now); },
                                       .record_bytes = options.record_bytes,
                                       .direct_bytes = options.direct_bytes,
                                       .progress = options.progress,
                                       .stop = options.stop});
  folder.record(work);
  check_touched(options, c, work);
  const std::string& constants = c.ir.small_constants;
  list.push_back({kModelBin, work.bin_bytes, work.bin_hash, ListedPart{c.small_offset, constants.size(), content_hash(constants)}});
  write_text(folder.path() / kFileListName, file_list_text(std::move(list)));
  names.insert(names.end() - 1, kFileListName);
  check_stop(options);
  return names;
}

}  // namespace

ConvertReport plan_conversion(const ConvertOptions& options) {
  Conversion conversion = prepare(options);
  ConvertReport report = report_of(conversion);
  small_folder_files(options, conversion, report);  // refuses what convert would refuse
  // The largest weight of each form says how fast that form is made.
  std::map<const FormSummary*, const PlannedWeight*> largest;
  for (const PlannedWeight& weight : conversion.plan.weights) {
    const PlannedWeight*& sample = largest[&form_of(conversion, weight, report.forms)];
    if (!sample || weight.bytes() > sample->bytes()) sample = &weight;
  }
  for (FormSummary& form : report.forms) {
    form.read_per_second = measure(conversion.checkpoint, *largest.at(&form));
    report.seconds += static_cast<double>(form.bytes_read) / form.read_per_second;
  }
  return report;
}

ConvertReport convert(const ConvertOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  PartialFolder folder(options.output, options.notice, options.overwrite);
  Conversion conversion = prepare(options);
  ConvertReport report = report_of(conversion);
  std::vector<FolderFile> files = small_folder_files(options, conversion, report);
  check_stop(options);
  const FinishedWork found = folder.begin(identity(conversion, options));
  try {
    folder.finish(fill(options, conversion, std::move(files), folder, found));
  } catch (const BadInput&) {
    throw;
  } catch (const WriteError& error) {
    throw WriteError(concat(error.what(), folder.keep_finished()));
  } catch (const Interrupted&) {
    throw Interrupted(concat("interrupted", folder.keep_finished()));
  } catch (const std::bad_alloc&) {
    throw Error(concat("out of memory", folder.keep_finished()));
  } catch (const std::exception& error) {
    throw Error(concat(error.what(), folder.keep_finished()));
  }
  if (options.tokenizer && !conversion.small_files.find("tokenizer.json") && options.notice) {
    options.notice("no tokenizer.json in the checkpoint: no tokenizer models are written");
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace dsv4
