// The conversion as a whole: checks, plan, graph, .bin, the folder.
#include "convert/convert.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>

#include "checkpoint/cut.h"
#include "checkpoint/end_tokens.h"
#include "checkpoint/json_text.h"
#include "checkpoint/tensor_match.h"
#include "convert/folder.h"
#include "convert/ir.h"
#include "convert/model_card.h"
#include "convert/partial_folder.h"
#include "convert/piece_queue.h"
#include "convert/placeholders.h"
#include "convert/rt_info.h"
#include "convert/sensitivity.h"
#include "convert/text_file.h"
#include "dsv4/error.h"
#include "graph/model.h"
#include "text/tokenizer_models.h"

namespace dsv4 {

namespace fs = std::filesystem;

namespace {

struct Conversion {
  Checkpoint checkpoint;
  Config config;  // with the layers that are converted
  StoragePlan plan;
  uint64_t small_offset = 0;
  IrText ir;

  uint64_t bin_bytes() const { return small_offset + ir.small_constants.size(); }
};

void check_published_fp4(const Checkpoint& checkpoint, const StoragePlan& plan) {
  for (const PlannedWeight& weight : plan.weights) {
    if (weight.form.kind != StoredForm::Kind::kMxfp4) continue;
    for (const WeightPart& part : weight.unit.parts) {
      if (checkpoint.encoding(part.tensor) == Encoding::kFp4) continue;
      fail("--weight-format mxfp4 keeps the experts' published FP4, but ", part.tensor, " is published in ",
           encoding_name(checkpoint.encoding(part.tensor)), "; choose int4 or int8");
    }
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

Conversion prepare(const ConvertOptions& options) {
  Checkpoint checkpoint = Checkpoint::open(options.checkpoint);
  if (options.notice) {
    for (const std::string& line : checkpoint.notices()) options.notice(line);
  }
  Config config = checkpoint.config();
  if (options.layers >= 0) config = first_layers(config, options.layers);
  check_static_shape(options, config);
  read_end_tokens(options.checkpoint, config);  // what it refuses would stop the folder at run
  std::vector<WeightUnit> units = weight_units(config, tensor_table(config));
  if (options.compression.format == WeightFormat::kInt4 && options.compression.ratio < 1.0 && options.notice) {
    options.notice("--ratio: reading all weights once to find the least sensitive ones");
  }
  const std::vector<StoredForm> forms =
      choose_forms(units, options.compression, [&](const WeightUnit& unit) { return int8_error(checkpoint, unit); });
  StoragePlan plan = plan_storage(std::move(units), forms);
  check_published_fp4(checkpoint, plan);

  PlaceholderWeights weights(plan);
  const PortableOptions form = {.stateful = options.stateful, .experts = options.experts, .static_shape = options.static_shape};
  const std::shared_ptr<ov::Model> model = build_portable_model(config, weights, form);
  if (const std::vector<std::string> unused = weights.unused(); !unused.empty()) {
    fail("the graph leaves ", unused.size(), " weights unused, first ", unused.front(), "; this is a mistake in dsv4");
  }
  add_rt_info(*model, config, options.compression, transformers_version(options.checkpoint));
  const uint64_t small_offset = (plan.bytes + 63) / 64 * 64;
  IrText ir = serialize_ir(model, small_offset);
  return {std::move(checkpoint), std::move(config), std::move(plan), small_offset, std::move(ir)};
}

// Checkpoint bytes of some rows of a tensor, their share of its scale's included.
uint64_t bytes_of(const Checkpoint& checkpoint, const WeightPart& part) {
  const Shape shape = checkpoint.shape(part.tensor);
  const uint64_t rows = shape.size() < 2 ? 1 : static_cast<uint64_t>(shape[0]);
  uint64_t bytes = checkpoint.stored(part.tensor).bytes.size();
  if (const TensorView* scale = checkpoint.scale(part.tensor)) bytes += scale->bytes.size();
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
        convert_piece(checkpoint, numbered.piece, buffers, sink);
        read += source_bytes(checkpoint, numbered.piece);
      });
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  for (const WeightPart& part : weight.unit.parts) checkpoint.release(part.tensor);
  return static_cast<double>(read) / seconds;
}

// Everything that the pieces of a .bin depend on.
nlohmann::ordered_json identity(const Conversion& c, const CompressionOptions& compression) {
  std::string layout;
  for (const PlannedWeight& weight : c.plan.weights) {
    layout += concat(weight.unit.name, ' ', describe(weight.form), ' ', weight.values.offset, ' ', weight.scales.offset, ' ',
                     weight.zero_points.offset, '\n');
  }
  nlohmann::ordered_json json;
  json["version"] = DSV4_VERSION;
  json["choice of options"] = describe(compression);
  json["layout"] = text_hash(layout);
  for (const auto& file : c.checkpoint.files()) {
    json["checkpoint file"][file->path().filename().string()] = concat(file->size(), " bytes, changed at ", file->modified_nanoseconds());
  }
  return json;
}

/// Before the weights, so that a tokenizer that cannot be converted is known at once.
std::optional<TokenizerModels> tokenizer_models(const ConvertOptions& options, const Config& config) {
  return options.tokenizer ? make_tokenizer_models(options.checkpoint, config.vocab_size) : std::nullopt;
}

// Blocks that an earlier run reserved count as free.
void check_disk(const fs::path& directory, uint64_t needed) {
  std::error_code error;
  const fs::space_info space = fs::space(directory, error);
  if (error) return;
  const uintmax_t reserved = fs::file_size(directory / "openvino_model.bin", error);
  if (space.available + (error ? 0 : reserved) < needed) {
    fail("the conversion needs ", needed, " bytes on the disk of ", directory.string(), ", which has ", space.available,
         " free; free some or choose another output");
  }
}

}  // namespace

ConvertReport plan_conversion(const ConvertOptions& options) {
  const Conversion conversion = prepare(options);
  tokenizer_models(options, conversion.config);  // refuses what convert would refuse
  ConvertReport report = report_of(conversion);
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
  fs::path output = fs::absolute(options.output).lexically_normal();
  if (!output.has_filename()) output = output.parent_path();  // "model/": the partial directory is to lie beside it, not in it
  if (fs::exists(output) && !(fs::is_directory(output) && fs::is_empty(output))) {
    fail("the output ", output.string(), " exists; remove it or choose another name");
  }
  const Conversion conversion = prepare(options);
  const std::optional<TokenizerModels> tokenizer = tokenizer_models(options, conversion.config);
  ConvertReport report = report_of(conversion);

  PartialFolder folder(output, identity(conversion, options.compression), options.notice);
  check_disk(folder.path(), report.bin_bytes + report.xml_bytes);
  if (folder.finished_pieces() > 0 && options.notice) options.notice("going on where an earlier conversion was interrupted");
  try {
    folder.record(folder.finished_pieces());  // a run that is killed early leaves a folder that says what it is
    write_bin(conversion.checkpoint, conversion.plan, conversion.small_offset, conversion.ir.small_constants,
              folder.path() / "openvino_model.bin",
              {.finished_pieces = folder.finished_pieces(),
               .record = [&](uint64_t pieces) { folder.record(pieces); },
               .record_bytes = options.record_bytes,
               .progress = options.progress,
               .stop = options.stop});
  } catch (const WriteError& error) {
    throw WriteError(concat(error.what(), folder.keep_finished()));
  } catch (const Interrupted&) {
    throw Interrupted(concat("interrupted", folder.keep_finished()));
  }
  for (const auto& file : conversion.checkpoint.files()) file->check_unchanged();
  write_text(folder.path() / "openvino_model.xml", conversion.ir.xml);
  write_folder_files(options, conversion.checkpoint, conversion.config, folder.path());
  if (tokenizer) {
    tokenizer->write(folder.path());
  } else if (options.tokenizer && options.notice) {
    options.notice("no tokenizer.json in the checkpoint: no tokenizer models are written");
  }
  write_model_card(options, conversion.checkpoint, conversion.config, report, folder.path());
  folder.finish();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace dsv4
