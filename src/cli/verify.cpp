// dsv4 verify: a model folder against the plain reference forward of its checkpoint, with the published weights and with those that the folder stores.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include "checkpoint/form.h"
#include "checkpoint/listed_files.h"
#include "checkpoint/quote.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/messages.h"
#include "cli/token_arguments.h"
#include "cli/verify_report.h"
#include "cli/verify_tokens.h"
#include "convert/inspect_folder.h"
#include "convert/model_card.h"
#include "dsv4/error.h"
#include "dsv4/session.h"
#include "reference/near_ties.h"
#include "reference/reference.h"
#include "runtime/check_tokens.h"
#include "runtime/engine_options.h"
#include "runtime/errors.h"
#include "runtime/inner.h"
#include "runtime/read_ir.h"
#include "runtime/stored_formats.h"

namespace dsv4 {

namespace {

enum class Programs { kCpu, kPortable, kBoth };

constexpr int64_t kDefaultLength = 64;

struct VerifyArguments {
  std::filesystem::path checkpoint, model;
  std::string tokens;
  std::filesystem::path tokens_file, text_file;
  int64_t length = 0;  // 0: not given
  Programs programs = Programs::kBoth;
  EngineOptions engine;
  double tolerance = 1e-4;
  bool json = false;
  bool card = false;
};

void set_programs(const std::string& text, Programs& programs) {
  if (text == "cpu") {
    programs = Programs::kCpu;
  } else if (text == "portable") {
    programs = Programs::kPortable;
  } else if (text == "both") {
    programs = Programs::kBoth;
  } else {
    throw UsageError(concat("--program ", text, ": expected one of cpu, portable, both"));
  }
}

bool keeps_every_value(const StoredFormats& formats) {
  return std::all_of(formats.begin(), formats.end(), [](const auto& tensor) {
    const NumberFormat type = tensor.second.type;  // the last three as published: StoredWeights refuses them for anything else
    return type == NumberFormat::kF32 || type == NumberFormat::kF4E2M1 || type == NumberFormat::kF8E4M3 || type == NumberFormat::kBF16;
  });
}

/// How many tensors each format has.
std::map<std::string, int64_t> count_formats(const StoredFormats& formats) {
  std::map<std::string, int64_t> counts;
  for (const auto& [name, format] : formats) ++counts[stored_format_name(format)];
  return counts;
}

/// The reference with the weights as published and as stored: both are the same pass where the folder keeps every value.
class BothReferences {
 public:
  BothReferences(const Checkpoint& checkpoint, const StoredFormats& formats, int64_t layers, std::span<const int64_t> tokens)
      : published_(checkpoint, {.layers = layers}), published_rows_(published_.rows(tokens)) {
    if (keeps_every_value(formats)) return;
    stored_.emplace(checkpoint, ReferenceOptions{.layers = layers, .formats = formats});
    stored_rows_ = stored_->rows(tokens);
  }

  /// Logits of rows [begin, end), which stay until the next call.
  void compute(int64_t begin, int64_t end) {
    published_logits_ = published_.logits_of(published_rows_, begin, end);
    if (stored_) stored_logits_ = stored_->logits_of(stored_rows_, begin, end);
  }

  std::span<const float> published() const { return published_logits_; }
  std::span<const float> stored() const { return stored_ ? stored_logits_ : published_logits_; }

  /// Of the weights as stored, from whose logits ir_ is made.
  const Reference& stored_reference() const { return stored_ ? *stored_ : published_; }
  const ReferenceRows& stored_rows() const { return stored_ ? stored_rows_ : published_rows_; }

 private:
  Reference published_;
  ReferenceRows published_rows_;
  std::optional<Reference> stored_;
  ReferenceRows stored_rows_;
  std::vector<float> published_logits_, stored_logits_;
};

/// A program of the folder that is compared with both references as its logits come.
class ComparedProgram {
 public:
  explicit ComparedProgram(const Engine& engine) : session_(engine), format_(engine.vocab_size()), ir_(engine.vocab_size()) {}

  std::vector<float> feed(std::span<const int64_t> tokens, const BothReferences& references) {
    std::vector<float> logits = session_.feed(tokens);
    format_.add(references.published(), logits);
    ir_.add(references.stored(), logits);
    return logits;
  }

  /// Feeds everything once more where rows may be near ties.
  ProgramReport report(std::span<const int64_t> tokens, const BothReferences& references, double tolerance, int64_t step) {
    const auto logits_again = [&](int64_t begin, int64_t end) {
      if (begin == 0) session_.reset();
      return session_.feed(tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
    };
    return {format_.all(),
            judge_logits(references.stored_reference(), tokens, references.stored_rows(), ir_, tolerance, step, logits_again),
            std::nullopt};
  }

 private:
  Session session_;
  LogitComparison format_, ir_;
};

/// The CPU program without its roundings, which is held to the tolerance, and with them.
class ComparedCpuProgram {
 public:
  ComparedCpuProgram(const Engine& exact, const Engine& rounded) : exact_(exact), rounded_(rounded), rounding_(exact.vocab_size()) {}

  void feed(std::span<const int64_t> tokens, const BothReferences& references) {
    rounding_.add(exact_.feed(tokens, references), rounded_.feed(tokens));
  }

  ProgramReport report(std::span<const int64_t> tokens, const BothReferences& references, double tolerance, int64_t step) {
    ProgramReport report = exact_.report(tokens, references, tolerance, step);
    report.rounding = rounding_.all();
    return report;
  }

 private:
  ComparedProgram exact_;
  Session rounded_;
  LogitComparison rounding_;
};

/// The opened programs: the CPU program's memory is the mapped file, which costs nothing beside another program.
struct Engines {
  std::optional<Engine> portable, exact, rounded;
  StoredFormats formats;  ///< of the folder's weights

  const Engine& any() const { return portable ? *portable : *exact; }
};

Engines open_engines(VerifyArguments arguments) {
  if (arguments.programs == Programs::kBoth && has_cpu_program(arguments.model)) {
    print_notice(concat(path_text(arguments.model), ": a folder of the CPU program; it alone is verified"));
    arguments.programs = Programs::kCpu;
  }
  Engines engines;
  EngineOptions options = arguments.engine;
  options.program = Program::kPortable;
  const auto read_formats = [&] {
    engines.formats =
        in_file(arguments.model / kModelXml, [&] { return stored_formats(*read_ir(arguments.model), Inner::config(engines.any())); });
  };
  if (arguments.programs != Programs::kCpu) {
    engines.portable = open_engine(arguments.model, options);
    read_formats();
  }
  if (arguments.programs == Programs::kPortable) return engines;
  if (engines.portable && !engines.portable->stateful()) {
    print_notice(concat(path_text(arguments.model), ": a prefill-only model has no CPU program; the portable one alone is verified"));
    return engines;
  }
  options.device = "CPU";  // whatever device the portable program runs on
  options.program = Program::kCpu;
  engines.rounded = engines.portable ? Engine(arguments.model, options) : open_engine(arguments.model, options);  // notices once
  options.activations = ActivationRounding::kF32;
  options.cache = CachePrecision::kF32;
  engines.exact = Engine(arguments.model, options);
  if (!engines.portable) read_formats();
  return engines;
}

/// Before the reference's passes, which take long.
void check_tokens_fit(const VerifyArguments& arguments, const Engine& engine, std::span<const int64_t> tokens) {
  check_tokens(tokens, engine.vocab_size(), concat(path_text(arguments.model), ": tokens"));
  const auto count = static_cast<int64_t>(tokens.size());
  const int64_t limit = engine.context(), fixed = engine.static_length();
  if (count > limit) fail(path_text(arguments.model), ": ", count, " tokens, and it was made for sequences of at most ", limit);
  if (fixed > 0 && count != fixed) {
    fail(path_text(arguments.model), ": ", count, " tokens, and it was made for exactly ", fixed, " (--static-shape); give --length ",
         fixed);
  }
}

/// Rows that are compared at once: their logits are held of every program and reference.
int64_t rows_at_once(const Engine& engine, int64_t tokens) {
  if (!engine.stateful()) return tokens;  // one inference
  constexpr int64_t kLogits = 1 << 24;    // 64 MiB
  return std::clamp<int64_t>(kLogits / engine.vocab_size(), 32, 512) / 32 * 32;
}

void check_forms(const VerifyArguments& arguments) {
  if (is_model_folder(arguments.checkpoint) && is_checkpoint(arguments.model) && !is_model_folder(arguments.model)) {
    fail(path_text(arguments.checkpoint), ": is a model folder and ", path_text(arguments.model),
         " a checkpoint: the arguments are swapped, expected dsv4 verify CHECKPOINT MODEL");
  }
  check_form(arguments.checkpoint, Expected::kCheckpoint);
  check_form(arguments.model, Expected::kModelFolder);
}

VerifyInput given_tokens(const VerifyArguments& arguments) {
  return {arguments.tokens.empty() ? read_tokens_file(arguments.tokens_file) : tokens_of_option(arguments.tokens, "--tokens"), "as given"};
}

VerifyReport verify(const VerifyArguments& arguments) {
  VerifyInput input;
  if (!arguments.tokens.empty() || !arguments.tokens_file.empty()) input = given_tokens(arguments);
  check_forms(arguments);
  if (!arguments.text_file.empty()) input = tokens_of_text_file(arguments.text_file, arguments.model, arguments.length);
  const Checkpoint checkpoint = Checkpoint::open(arguments.checkpoint);
  const Engines engines = open_engines(arguments);
  const Engine& engine = engines.any();
  const int64_t vocab = Inner::config(engine).vocab_size, layers = Inner::config(engine).num_hidden_layers;
  if (checkpoint.config().vocab_size != vocab || checkpoint.config().num_hidden_layers < layers) {
    fail(path_text(arguments.model), ": vocabulary ", vocab, " and ", layers, " layers; the checkpoint ", path_text(arguments.checkpoint),
         " has ", checkpoint.config().vocab_size, " and ", checkpoint.config().num_hidden_layers, "; it was made from another checkpoint");
  }
  if (input.tokens.empty()) input = default_tokens(arguments.model, arguments.length > 0 ? arguments.length : kDefaultLength, vocab);
  const std::vector<int64_t>& tokens = input.tokens;
  check_tokens_fit(arguments, engine, tokens);

  BothReferences references(checkpoint, engines.formats, layers, tokens);
  std::optional<ComparedProgram> portable;
  std::optional<ComparedCpuProgram> cpu;
  if (engines.portable) portable.emplace(*engines.portable);
  if (engines.exact) cpu.emplace(*engines.exact, *engines.rounded);
  const auto count = static_cast<int64_t>(tokens.size()), step = rows_at_once(engine, count);
  for (int64_t begin = 0; begin < count; begin += step) {
    const int64_t end = std::min(count, begin + step);
    const std::span<const int64_t> part = std::span(tokens).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    references.compute(begin, end);
    if (portable) portable->feed(part, references);
    if (cpu) cpu->feed(part, references);
  }
  VerifyReport report{.tokens = count, .input = input.source, .formats = count_formats(engines.formats), .portable = {}, .cpu = {}};
  if (portable) report.portable = portable->report(tokens, references, arguments.tolerance, step);
  if (cpu) report.cpu = cpu->report(tokens, references, arguments.tolerance, step);
  return report;
}

void check_passed(const VerifyArguments& arguments, const char* program, const JudgedLogits& judged) {
  if (judged.passed) return;
  const std::string where = concat(path_text(arguments.model), ": logits of the ", program, " program ");
  if (judged.near_ties > judged.near_ties_allowed) {
    fail(where, "part from those of the reference with the weights that the folder stores at near ties in ", judged.near_ties,
         " rows; allowed ", judged.near_ties_allowed, ", 1 % of all");
  }
  fail(where, "differ by ", judged.difference.max, " from those of the reference with the weights that the folder stores; allowed ",
       judged.allowed, " (--tolerance ", arguments.tolerance, " of the largest)");
}

void run_verify(const VerifyArguments& arguments) {
  const int given = (arguments.tokens.empty() ? 0 : 1) + (arguments.tokens_file.empty() ? 0 : 1) + (arguments.text_file.empty() ? 0 : 1);
  if (given > 1) throw UsageError("give one of --text, --tokens and --tokens-file");
  check_options(arguments.engine);
  const VerifyReport report = verify(arguments);
  arguments.json ? print_json(report) : print_table(report);
  std::fflush(stdout);
  if (arguments.card) set_card_verification(arguments.model, card_text(report));
  if (report.portable) check_passed(arguments, "portable", report.portable->ir);
  if (report.cpu) check_passed(arguments, "CPU", report.cpu->ir);
}

}  // namespace

void add_verify_command(CommandLine& line) {
  Command command = line.command("verify", "Compare a model folder with a plain reference forward of its checkpoint", "docs/verify.md");
  const auto arguments = std::make_shared<VerifyArguments>();
  arguments->engine.all_logits = true;
  command.option("checkpoint", arguments->checkpoint, "Checkpoint directory").required();
  command.model(arguments->model, "Model folder made from it");
  command.group("What they are compared on: a short English text, or one of these");
  command.option("--text", arguments->text_file, "Text, UTF-8, in a file; -: from standard input").value("FILE");
  command.option("--tokens", arguments->tokens, "Token ids: 1,2,3").value("IDS");
  command
      .option("--tokens-file", arguments->tokens_file,
              "Token ids in a file: separated by commas or white space, a JSON array, or what `dsv4 run --json` prints")
      .value("FILE");
  command
      .option("--length", arguments->length,
              "Most tokens of --text; of the text that is built in, or of ids spread over the vocabulary where the folder has no "
              "tokenizer: how many, 64 by default")
      .at_least(1);
  command.group("Comparison and output");
  command
      .word(
          "--program", [arguments](const std::string& text) { set_programs(text, arguments->programs); }, "both",
          "portable: the folder's openvino_model.xml; cpu: dsv4's own ops, without their rounding, and beside it what the rounding adds; "
          "both")
      .choices({"cpu", "portable", "both"});
  command
      .option(
          "--tolerance", arguments->tolerance,
          "Largest difference allowed from the reference with the weights as stored, in units of its largest |logit|; more is exit code 1. "
          "Where a choice of experts or entries is a near tie, the reference makes it as the program did, in at most 1 % of the tokens")
      .shows_default()
      .number_from(0.0);
  command.option("-d,--device", arguments->engine.device, "OpenVINO device of the portable program; only CPU is tested")
      .shows_default()
      .value("NAME");
  command.option("-t,--threads", arguments->engine.threads, "Inference threads; 0: the device's default")
      .shows_default()
      .within(0, kMostThreads);
  command.flag("--json", arguments->json, "Print one JSON object");
  command.flag("--card", arguments->card, "Write the numbers into the folder's README.md too");
  command.runs([arguments] { run_verify(*arguments); });
}

}  // namespace dsv4
