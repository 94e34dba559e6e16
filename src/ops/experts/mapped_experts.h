// Leases of experts that are read where they lie: always there, or a mapped file whose pages the kernel is asked for.
#pragma once

#include "ops/experts/expert_source.h"

namespace dsv4::ops {

/// One group. `prefetch`: the stacks are in a mapped file; a few experts at a time are asked for and named, ahead of their use (prefetch.h).
std::unique_ptr<ExpertLeases> lease_in_place(const PackedMatrix& gate_up, const PackedMatrix& down, bool prefetch,
                                             std::span<const ExpertDemand> experts);

}  // namespace dsv4::ops
