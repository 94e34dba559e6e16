// dsv4 inspect: what a checkpoint or a model folder is; every file checked on the way.
#include "checkpoint/inspect.h"

#include <iomanip>
#include <iostream>
#include <memory>

#include "checkpoint/amounts.h"
#include "checkpoint/finite_weights.h"
#include "checkpoint/form.h"
#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "cli/commands.h"
#include "cli/messages.h"
#include "cli/progress.h"
#include "convert/inspect_folder.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

struct InspectArguments {
  std::filesystem::path checkpoint;
  bool json = false;
  bool deep = false;
};

void print_text(const InspectReport& r, bool deep) {
  const Config& c = r.config;
  const auto line = [](const char* label, const std::string& text) { std::cout << std::left << std::setw(12) << label << text << '\n'; };
  line("checkpoint", r.directory);
  line("model", r.model);
  line("layers", concat(c.num_hidden_layers, ": ", r.sliding_layers, " sliding, ", r.csa_layers, " CSA, ", r.hca_layers, " HCA; ",
                        r.hash_routed_layers, " hash-routed"));
  line("dims", concat("hidden ", c.hidden_size, ", ", c.num_attention_heads, " heads of ", c.head_dim, " (", c.qk_rope_head_dim,
                      " rotated), q rank ", c.q_lora_rank, ", output ", c.o_groups, " groups of rank ", c.o_lora_rank));
  line("attention",
       concat("window ", c.sliding_window, ", indexer ", c.index_n_heads, " heads of ", c.index_head_dim, ", top ", c.index_topk));
  line("experts", concat(c.n_routed_experts, " routed, ", c.num_experts_per_tok, " a token, ", c.n_shared_experts, " shared, width ",
                         c.moe_intermediate_size, ", stored as ", joined(r.expert_encodings)));
  line("vocabulary", concat(c.vocab_size, " tokens, ", c.max_position_embeddings, " positions"));
  line("parameters", concat(count_text(r.parameters), ", ", count_text(r.active_parameters), " used by a token"));
  line("names", r.naming == "mixed" ? "DeepSeek's and transformers'" : concat(r.naming, "'s"));
  line("tensors", concat(r.tensors, ", ", byte_text(r.bytes)));
  for (const auto& [dtype, bytes] : r.bytes_by_dtype)
    line("", concat(dtype, ": ", r.tensors_by_dtype.at(dtype), " tensors, ", byte_text(bytes)));
  line("files", concat(r.files.size(), ", all checked", deep ? ", every weight read: all are finite numbers" : ""));
  for (const InspectedFile& file : r.files) line("", concat(path_text(file.name), ": ", file.tensors, " tensors, ", byte_text(file.bytes)));
}

void print_json(const InspectReport& r, bool deep) {
  const Config& c = r.config;
  nlohmann::ordered_json json;
  json["directory"] = r.directory;
  json["model"] = r.model;
  json["layers"] = {{"all", c.num_hidden_layers},
                    {"sliding", r.sliding_layers},
                    {"csa", r.csa_layers},
                    {"hca", r.hca_layers},
                    {"hash_routed", r.hash_routed_layers}};
  json["dims"] = {{"vocab_size", c.vocab_size},
                  {"hidden_size", c.hidden_size},
                  {"num_attention_heads", c.num_attention_heads},
                  {"head_dim", c.head_dim},
                  {"qk_rope_head_dim", c.qk_rope_head_dim},
                  {"q_lora_rank", c.q_lora_rank},
                  {"o_groups", c.o_groups},
                  {"o_lora_rank", c.o_lora_rank},
                  {"sliding_window", c.sliding_window},
                  {"index_n_heads", c.index_n_heads},
                  {"index_head_dim", c.index_head_dim},
                  {"index_topk", c.index_topk},
                  {"max_position_embeddings", c.max_position_embeddings}};
  json["experts"] = {{"routed", c.n_routed_experts},
                     {"per_token", c.num_experts_per_tok},
                     {"shared", c.n_shared_experts},
                     {"width", c.moe_intermediate_size},
                     {"stored_as", r.expert_encodings}};
  json["parameters"] = r.parameters;
  json["active_parameters"] = r.active_parameters;
  json["naming"] = r.naming;
  json["tensors"] = r.tensors;
  json["bytes"] = r.bytes;
  json["tensors_by_dtype"] = r.tensors_by_dtype;
  json["bytes_by_dtype"] = r.bytes_by_dtype;
  json["files"] = nlohmann::ordered_json::array();
  for (const InspectedFile& file : r.files)
    json["files"].push_back({{"name", file.name}, {"bytes", file.bytes}, {"tensors", file.tensors}});
  json["weights_read"] = deep;
  json["notices"] = r.notices;
  // File names need not be UTF-8.
  std::cout << json_file_text(json);
}

void print_folder(const FolderReport& r, bool json) {
  if (json) {
    nlohmann::ordered_json out;
    out["directory"] = r.directory;
    out["model"] = r.model;
    out["layers"] = r.layers;
    out["weight_format"] = r.weight_format;
    out["program"] = r.program;
    out["made_by"] = r.made_by;
    out["bytes"] = r.bytes;
    out["listed"] = r.listed;
    out["files"] = nlohmann::ordered_json::array();
    for (const ListedFile& file : r.files)
      out["files"].push_back({{"name", file.name}, {"bytes", file.bytes}, {"xxh3_128", file.hash.hex()}});
    std::cout << json_file_text(out);
    return;
  }
  const auto line = [](const char* label, const std::string& text) { std::cout << std::left << std::setw(12) << label << text << '\n'; };
  line("folder", r.directory);
  line("model", concat(r.model, ", ", r.layers, " layers"));
  line("weights", r.weight_format);
  line("program", r.program);
  line("made by", r.made_by);
  line("files", concat(r.files.size(), ", ", byte_text(r.bytes), r.listed ? concat(", all as ", kFileListName, " says") : ", not checked"));
  for (const ListedFile& file : r.files) {
    line("", concat(path_text(file.name), ": ", byte_text(file.bytes), r.listed ? concat(", XXH3-128 ", file.hash.hex()) : ""));
  }
}

void run_inspect(const InspectArguments& arguments) {
  check_form(arguments.checkpoint, Expected::kEither);
  if (is_model_folder(arguments.checkpoint)) {
    Progress progress("inspect");
    const FolderReport report = inspect_folder(arguments.checkpoint, [&](uint64_t done, uint64_t total) { progress.update(done, total); });
    progress.finish();
    for (const std::string& notice : report.notices) print_notice(notice);
    print_folder(report, arguments.json);
    return;
  }
  const Checkpoint checkpoint = Checkpoint::open(arguments.checkpoint);
  const InspectReport report = inspect_checkpoint(checkpoint);
  for (const std::string& notice : report.notices) print_notice(notice);
  if (arguments.deep) {
    Progress progress("inspect");
    check_weights_finite(checkpoint, [&](uint64_t done, uint64_t total) { progress.update(done, total); });
    progress.finish();
  }
  if (arguments.json) {
    print_json(report, arguments.deep);
  } else {
    print_text(report, arguments.deep);
  }
}

}  // namespace

void add_inspect_command(CommandLine& line) {
  Command command =
      line.command("inspect", "Say what a checkpoint or a model folder is, and check every file of it", "docs/checkpoints.md");
  const auto arguments = std::make_shared<InspectArguments>();
  command.option("-m,--model,path", arguments->checkpoint, "Checkpoint directory, or a folder that convert made").required();
  command.flag("--deep", arguments->deep,
               "Read every weight of a checkpoint too and find what is NaN or infinite (a model folder is always read whole)");
  command.flag("--json", arguments->json, "Print a JSON object");
  command.runs([arguments] { run_inspect(*arguments); });
}

}  // namespace dsv4
