// Counting what an open checkpoint holds.
#include "checkpoint/inspect.h"

#include <iterator>
#include <set>

#include "checkpoint/names.h"
#include "checkpoint/quote.h"
#include "checkpoint/weight_form.h"

namespace dsv4 {
namespace {

void count_layers(const Config& config, InspectReport& report) {
  for (const LayerConfig& layer : config.layers) {
    report.sliding_layers += layer.kind == LayerKind::kSliding;
    report.csa_layers += layer.kind == LayerKind::kCsa;
    report.hca_layers += layer.kind == LayerKind::kHca;
    report.hash_routed_layers += layer.hash_routed;
  }
}

void count_parameters(const Checkpoint& checkpoint, InspectReport& report) {
  int64_t routed = 0;
  std::set<Encoding> encodings;
  for (const TensorSpec& spec : checkpoint.table()) {
    if (spec.published == NumberFormat::kI64) continue;
    const int64_t count = element_count(spec.shape);
    report.parameters += count;
    if (parse_expert_name(spec.name)) {
      routed += count;
      encodings.insert(checkpoint.encoding(spec.name));
    }
  }
  const Config& config = checkpoint.config();
  report.active_parameters = report.parameters - routed + routed / config.n_routed_experts * config.num_experts_per_tok;
  for (const Encoding encoding : encodings) report.expert_encodings.emplace_back(encoding_name(encoding));
}

void count_draft(const Checkpoint& checkpoint, InspectedDraft& draft) {
  draft.kind = checkpoint.draft_kind();
  if (draft.kind == DraftKind::kNone) return;
  draft.blocks = std::ssize(checkpoint.config().mtp_layers);
  for (const TensorSpec& spec : checkpoint.draft_table()) {
    for (const TensorView* part : {&checkpoint.stored(spec.name), checkpoint.scale(spec.name), checkpoint.zero_point(spec.name),
                                   checkpoint.global_scale(spec.name)}) {
      if (part == nullptr) continue;
      ++draft.tensors;
      draft.bytes += part->bytes.size();
    }
  }
}

void count_files(const Checkpoint& checkpoint, InspectReport& report) {
  for (const auto& file : checkpoint.files()) {
    report.files.push_back({path_text(file->path().filename()), file->size(), file->header().tensors.size()});
    for (const auto& [name, entry] : file->header().tensors) {
      const std::string dtype = excerpt(file->header().dtype_text(name));
      ++report.tensors_by_dtype[dtype];
      report.bytes_by_dtype[dtype] += entry.end - entry.begin;
      ++report.tensors;
      report.bytes += entry.end - entry.begin;
    }
  }
}

}  // namespace

std::string model_name(const Config& c) {
  struct Release {
    const char* name;
    int64_t hidden, heads, q_rank, groups, experts, inner;
  };
  constexpr Release kReleases[] = {
      {"V4-Flash", 4096, 64, 1024, 8, 256, 2048},
      {"V4-Pro", 7168, 128, 1536, 16, 384, 3072},
  };
  for (const Release& r : kReleases) {
    if (c.hidden_size == r.hidden && c.num_attention_heads == r.heads && c.q_lora_rank == r.q_rank && c.o_groups == r.groups &&
        c.n_routed_experts == r.experts && c.moe_intermediate_size == r.inner && c.head_dim == 512) {
      return r.name;
    }
  }
  return "custom";
}

InspectReport inspect_checkpoint(const Checkpoint& checkpoint) {
  InspectReport report;
  report.directory = path_text(checkpoint.directory());
  report.model = model_name(checkpoint.config());
  report.config = checkpoint.config();
  report.naming = checkpoint.naming();
  report.notices = checkpoint.notices();
  count_layers(report.config, report);
  count_parameters(checkpoint, report);
  count_files(checkpoint, report);
  count_draft(checkpoint, report.draft);
  return report;
}

}  // namespace dsv4
