// The order of a call's matrices for ReadAhead: gate and up rows of all experts, then their down rows.
#include "ops/experts/mapped_experts.h"

#include <numeric>
#include <optional>
#include <vector>

#include "ops/experts/prefetch.h"

namespace dsv4::ops {

namespace {

class LeasesInPlace final : public ExpertLeases {
 public:
  LeasesInPlace(const PackedMatrix& gate_up, const PackedMatrix& down, bool prefetch, std::span<const ExpertDemand> experts)
      : order_(experts.begin(), experts.end()), places_(experts.size()) {
    std::iota(places_.begin(), places_.end(), 0);
    matrices_.reserve(2 * experts.size());
    for (const ExpertDemand& demand : experts) matrices_.push_back(gate_up.at(demand.expert));
    for (const ExpertDemand& demand : experts) matrices_.push_back(down.at(demand.expert));
    if (prefetch) ahead_.emplace(matrices_);
  }

  std::span<const ExpertDemand> order() const override { return order_; }

  Group next() override {
    const bool first = !begun_;
    begun_ = true;
    return first ? Group{0, order_.size()} : Group{};
  }

  PackedMatrix matrix(size_t i, ExpertPart part) const override { return matrices_[begin_of(part) + i]; }

  std::span<const int32_t> arrived(ExpertPart part, bool) override {
    const size_t begin = named_ - begin_of(part), left = order_.size() - begin;
    if (left == 0) return {};
    // The kernel works while the caller computes what was named before, the shared expert first of all.
    const size_t now = ahead_ ? ahead_->next(left) : left;
    named_ += now;
    return std::span(places_).subspan(begin, now);
  }

 private:
  size_t begin_of(ExpertPart part) const { return part == ExpertPart::kGateUp ? 0 : order_.size(); }

  std::vector<ExpertDemand> order_;
  std::vector<int32_t> places_;
  std::vector<PackedMatrix> matrices_;
  std::optional<ReadAhead> ahead_;
  bool begun_ = false;
  size_t named_ = 0;  // matrices
};

}  // namespace

std::unique_ptr<ExpertLeases> lease_in_place(const PackedMatrix& gate_up, const PackedMatrix& down, bool prefetch,
                                             std::span<const ExpertDemand> experts) {
  return std::make_unique<LeasesInPlace>(gate_up, down, prefetch, experts);
}

}  // namespace dsv4::ops
