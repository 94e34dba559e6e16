// Values, and a heap of residents whose entries are brought up to date when they come to its top.
#include "runtime/expert_policy.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace dsv4 {

namespace {

constexpr double kHalfLife = 32.0;  // tokens
constexpr double kNever = -std::numeric_limits<double>::infinity();

/// Requests of an expert at every one of `tokens` tokens, the older ones counting less: as if it was so many at once at their end.
double worth_of(int64_t tokens) {
  return (1.0 - std::exp2(-static_cast<double>(tokens) / kHalfLife)) / (1.0 - std::exp2(-1.0 / kHalfLife));
}

}  // namespace

ExpertPolicy::ExpertPolicy(size_t experts, int64_t token_requests)
    : per_request_(1.0 / (kHalfLife * static_cast<double>(std::max<int64_t>(token_requests, 1)))),
      value_(experts, kNever),
      resident_(experts, false) {}

void ExpertPolicy::request(size_t expert, int64_t tokens, int64_t all) {
  now_ += per_request_ * static_cast<double>(tokens);
  const double worth = all == 1 ? 1.0 : worth_of(all) * static_cast<double>(tokens) / static_cast<double>(all);
  value_[expert] = std::log2(std::exp2(value_[expert] - now_) + worth) + now_;
}

void ExpertPolicy::admit(size_t expert) {
  resident_[expert] = true;
  push({value_[expert], expert});
}

void ExpertPolicy::forget(size_t expert) { resident_[expert] = false; }

void ExpertPolicy::push(const Entry& entry) {
  heap_.push_back(entry);
  std::push_heap(heap_.begin(), heap_.end(), greater);
}

bool ExpertPolicy::pop_least() {
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), greater);
    popped_ = heap_.back();
    heap_.pop_back();
    if (!resident_[popped_.expert]) continue;
    if (value_[popped_.expert] <= popped_.value) return true;
    push({value_[popped_.expert], popped_.expert});
  }
  return false;
}

std::vector<float> ExpertPolicy::frequencies() const {
  std::vector<float> result;
  for (const double value : value_) result.push_back(static_cast<float>(std::exp2(value - now_)));
  return result;
}

void ExpertPolicy::set_frequencies(std::span<const float> frequencies) {
  for (size_t i = 0; i < value_.size(); ++i) value_[i] = std::log2(static_cast<double>(frequencies[i])) + now_;
}

}  // namespace dsv4
