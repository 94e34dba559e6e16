// Lines of a call, once its last layer is known.
#include "runtime/route_log.h"

#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {

RouteLog::RouteLog(const std::filesystem::path& file, size_t layers, size_t experts_per_token)
    : file_(file), out_(file), per_token_(experts_per_token), experts_(layers) {
  if (!out_) fail("cannot write ", path_text(file_), ": does its directory exist, is the disk full?");
}

void RouteLog::routed(int64_t layer, std::span<const int32_t> experts) {
  const auto index = static_cast<size_t>(layer);
  if (index == 0 && experts_.size() > 1 && !experts_[1].empty()) {  // what a failed call left
    for (std::vector<int32_t>& left : experts_) left.clear();
  }
  experts_[index].insert(experts_[index].end(), experts.begin(), experts.end());
  if (index + 1 == experts_.size() && experts_[index].size() == experts_[0].size()) write();
}

void RouteLog::write() {
  for (size_t begin = 0; begin < experts_[0].size(); begin += per_token_) {
    for (size_t layer = 0; layer < experts_.size(); ++layer) {
      out_ << layer;
      for (size_t i = begin; i < begin + per_token_; ++i) out_ << ' ' << experts_[layer][i];
      out_ << '\n';
    }
  }
  for (std::vector<int32_t>& done : experts_) done.clear();
  if (!out_.flush()) fail("cannot write ", path_text(file_), ": is the disk full?");
}

}  // namespace dsv4
