// SAX handler for the index: V4-Pro's has 145,000 entries, so no tree is built.
#include "checkpoint/shard_index.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "checkpoint/foreign_content.h"
#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

constexpr int kMaxDepth = 32;  // of values that are skipped, such as metadata
constexpr std::string_view kWeightMap = "weight_map";
constexpr std::string_view kSuffix = ".safetensors";

class IndexHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit IndexHandler(const std::string& where) : where_(where) {}

  ShardIndex take() {
    if (!weight_map_seen_)
      fail(where_, ": there is no \"weight_map\", expected an object of tensor name and shard file; the index is damaged");
    if (index_.tensors.empty()) fail(where_, ": \"weight_map\" is empty, expected the model's tensors; the index is damaged");
    sort_shards();
    return std::move(index_);
  }

  bool null() override { return scalar("null"); }
  bool boolean(bool) override { return scalar("true or false"); }
  bool number_integer(int64_t) override { return scalar("a number"); }
  bool number_unsigned(uint64_t) override { return scalar("a number"); }
  bool number_float(double, const std::string&) override { return scalar("a number"); }
  bool binary(nlohmann::json::binary_t&) override { return scalar("binary data"); }

  bool string(std::string& shard) override {
    if (!in_weight_map()) return scalar("a string");
    check_shard_name(shard);
    const auto [known, added] = shard_numbers_.emplace(shard, static_cast<uint32_t>(index_.shards.size()));
    if (added) index_.shards.push_back(shard);
    index_.tensors.emplace(tensor_, known->second);
    return true;
  }

  bool start_object(size_t) override {
    if (in_weight_map()) return scalar("an object");
    return descend();
  }
  bool start_array(size_t) override { return scalar("an array") && descend(); }
  bool end_object() override { return ascend(); }
  bool end_array() override { return ascend(); }

  bool key(std::string& key) override {
    if (depth_ == 1) {
      field_ = key;
      if (key == kWeightMap && std::exchange(weight_map_seen_, true)) fail(where_, ": \"weight_map\" is there twice; the index is damaged");
    } else if (in_weight_map()) {
      tensor_ = key;
      if (index_.tensors.contains(key)) fail(where_, ": tensor ", quote(key), " is listed twice; the index is damaged");
    }
    return true;
  }

  // The parser's own message may quote a megabyte of the file: only the place is kept.
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    fail(where_, ": not JSON at byte ", position, "; the index is damaged");
  }

 private:
  bool in_weight_map() const { return depth_ == 2 && field_ == kWeightMap; }

  bool descend() {
    if (++depth_ > kMaxDepth) fail(where_, ": nested more than ", kMaxDepth, " levels deep; the index is damaged");
    return true;
  }

  bool ascend() {
    --depth_;
    return true;
  }

  /// A value of another type than expected: an error at the places that this parser reads, skipped elsewhere.
  bool scalar(const char* found) {
    if (depth_ == 0) fail(where_, ": the index must be a JSON object, found ", found);
    if (depth_ == 1 && (field_ == kWeightMap || field_ == "metadata"))
      fail(where_, ": ", quote(field_), " must be an object, found ", found);
    if (in_weight_map()) fail(where_, ": tensor ", quote(tensor_), ": its shard must be a file name, found ", found);
    return true;
  }

  void check_shard_name(const std::string& shard) const {
    // Only files next to the index: an index from elsewhere must not make us read other places.
    const bool plain = shard.size() > kSuffix.size() && shard.ends_with(kSuffix) && shard.find('/') == std::string::npos &&
                       shard.find('\\') == std::string::npos &&
                       std::none_of(shard.begin(), shard.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
    if (!plain) {
      fail(where_, ": tensor ", quote(tensor_), ": ", quote(shard),
           " is not the plain name of a .safetensors file next to the index; refused");
    }
  }

  void sort_shards() {
    std::vector<std::string> sorted = index_.shards;
    std::sort(sorted.begin(), sorted.end());
    std::vector<uint32_t> position(sorted.size());
    for (size_t i = 0; i < sorted.size(); ++i) position[shard_numbers_.at(sorted[i])] = static_cast<uint32_t>(i);
    for (auto& [name, shard] : index_.tensors) shard = position[shard];
    index_.shards = std::move(sorted);
  }

  const std::string& where_;
  ShardIndex index_;
  std::unordered_map<std::string, uint32_t> shard_numbers_;
  std::string field_;
  std::string tensor_;
  int depth_ = 0;
  bool weight_map_seen_ = false;
};

}  // namespace

ShardIndex parse_index(std::string_view text, const std::string& where) {
  if (const std::string other = foreign_content(text.substr(0, 512)); !other.empty()) fail(where, ": ", other);
  IndexHandler handler(where);
  parse_json_events(text, handler);
  return handler.take();
}

}  // namespace dsv4
