// Values, and a heap of residents whose entries are brought up to date when they come to its top.
#include "runtime/expert_policy.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace dsv4 {

namespace {

constexpr double kHalfLife = 32.0;  // tokens
constexpr double kNever = -std::numeric_limits<double>::infinity();
constexpr double kShield = 1e6;  // half-lives

/// Requests of an expert at every one of `tokens` tokens, the older ones counting less: as if it was so many at once at their end. At most 46.7.
double worth_of(int64_t tokens) {
  return (1.0 - std::exp2(-static_cast<double>(tokens) / kHalfLife)) / (1.0 - std::exp2(-1.0 / kHalfLife));
}

}  // namespace

ExpertPolicy::ExpertPolicy(size_t layers, size_t experts)
    : experts_(experts), value_(layers * experts, kNever), resident_(layers * experts, false), first_shielded_(layers) {}

void ExpertPolicy::begin(size_t layer, int64_t tokens) {
  const size_t layers = value_.size() / experts_;
  if (layer == 0) {
    // No longer than what its requests are worth: what was used before a prompt is of use after it.
    now_ += worth_of(tokens) / kHalfLife;
    shield(tokens > 1 ? 1 : layers);
  } else if (layer >= first_shielded_) {
    shield(layer + 1);
  }
}

void ExpertPolicy::shield(size_t first) {
  const size_t layers = value_.size() / experts_, before = first_shielded_;
  first_shielded_ = first;
  if (first < before) {  // a new call: entries as they are now, no old ones beside them
    heap_.clear();
    for (size_t expert = 0; expert < value_.size(); ++expert) {
      if (resident_[expert]) heap_.push_back({value_of(expert), expert});
    }
    std::make_heap(heap_.begin(), heap_.end(), greater);
    return;
  }
  for (size_t expert = before * experts_; expert < std::min(first, layers) * experts_; ++expert) {
    if (resident_[expert]) push({value_of(expert), expert});
  }
}

void ExpertPolicy::request(size_t expert, int64_t tokens, int64_t all) {
  const double worth = all == 1 ? 1.0 : worth_of(all) * static_cast<double>(tokens) / static_cast<double>(all);
  value_[expert] = std::log2(std::exp2(value_[expert] - now_) + worth) + now_;
}

void ExpertPolicy::admit(size_t expert) {
  push({value_of(expert), expert});
  resident_[expert] = true;
}

void ExpertPolicy::forget(size_t expert) { resident_[expert] = false; }

double ExpertPolicy::value_of(size_t expert) const { return value_[expert] + (expert >= first_shielded_ * experts_ ? kShield : 0.0); }

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
    const double value = value_of(popped_.expert);
    if (value == popped_.value) return true;
    if (value > popped_.value) push({value, popped_.expert});
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
