// SAX handler for safetensors headers.
#include "checkpoint/header_parser.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

constexpr const char* kMetadataName = "__metadata__";

/// Where in the header's only possible nesting an event arrives: { name: { dtype, shape: [], data_offsets: [] }, __metadata__: { key: text } }, or inside of
/// metadata that is not like that (kSkipped).
enum class Level { kOutside, kTop, kMetadata, kSkipped, kEntry, kShape, kOffsets };

class HeaderHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderHandler(const std::string& file) : file_(file) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool null() override { return wrong_type("null"); }
  bool boolean(bool) override { return wrong_type("true or false"); }
  bool binary(nlohmann::json::binary_t&) override { return wrong_type("binary data"); }

  bool number_integer(int64_t value) override {
    if (in_metadata()) return skip_value();
    if (value >= 0) return number_unsigned(static_cast<uint64_t>(value));
    if (level_ == Level::kShape) fail(where(), "\"shape\" has the negative dim ", value, "; the file is damaged");
    if (level_ == Level::kOffsets) fail(where(), "\"data_offsets\" has the negative number ", value, "; the file is damaged");
    return wrong_type("a number");
  }

  bool number_unsigned(uint64_t value) override {
    if (level_ == Level::kShape) {
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        fail(where(), "\"shape\" has the dim ", value, ", more than 2^63 - 1; the file is damaged");
      }
      entry_.shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (level_ == Level::kOffsets) {
      if (offsets_seen_ == 0) entry_.begin = value;
      if (offsets_seen_ == 1) entry_.end = value;
      if (++offsets_seen_ > 2) fail(where(), "\"data_offsets\" must be two numbers, found more; the file is damaged");
      return true;
    }
    return wrong_type("a number");
  }

  bool number_float(double, const std::string& text) override {
    if (level_ == Level::kShape || level_ == Level::kOffsets) {
      fail(where(), level_ == Level::kShape ? "\"shape\"" : "\"data_offsets\"", " has ", quote(text),
           ", expected a whole number below 2^63; the file is damaged");
    }
    return wrong_type("a number");
  }

  bool string(std::string& value) override {
    if (level_ == Level::kMetadata) {
      header_.odd_metadata |= !header_.metadata.emplace(metadata_key_, value).second;
      return true;
    }
    if (level_ == Level::kEntry && field_ == "dtype") {
      entry_.dtype = parse_dtype(value).value_or(DType::kUnknown);  // whether it will do depends on what the tensor is for
      if (entry_.dtype == DType::kUnknown) header_.unknown_dtypes[name_] = value;
      return true;
    }
    return wrong_type("a string");
  }

  bool start_object(size_t) override {
    if (level_ == Level::kMetadata || level_ == Level::kSkipped) return skip_inside();
    switch (level_) {
      case Level::kOutside:
        level_ = Level::kTop;
        return true;
      case Level::kTop:
        level_ = name_ == kMetadataName ? Level::kMetadata : Level::kEntry;
        entry_ = TensorEntry{};
        has_dtype_ = has_shape_ = has_offsets_ = false;
        return true;
      default:
        return wrong_type("an object");
    }
  }

  bool key(std::string& key) override {
    if (level_ == Level::kTop) {
      name_ = key;
      if (name_ == kMetadataName ? std::exchange(metadata_seen_, true) : header_.tensors.contains(name_)) {
        fail(where(), "the header lists this name twice; the file is damaged");
      }
    } else if (level_ == Level::kMetadata) {
      metadata_key_ = key;
    } else if (level_ != Level::kSkipped) {
      field_ = key;
      bool* seen = key == "dtype" ? &has_dtype_ : key == "shape" ? &has_shape_ : key == "data_offsets" ? &has_offsets_ : nullptr;
      if (!seen) fail(where(), "unknown field ", quote(key), ", expected dtype, shape and data_offsets");
      if (std::exchange(*seen, true)) fail(where(), "the field ", quote(key), " is there twice; the file is damaged");
    }
    return true;
  }

  bool end_object() override {
    if (level_ == Level::kSkipped) return skip_end();
    if (level_ == Level::kEntry) {
      finish_entry();
      level_ = Level::kTop;
    } else if (level_ == Level::kMetadata) {
      level_ = Level::kTop;
    } else {
      level_ = Level::kOutside;
    }
    return true;
  }

  bool start_array(size_t) override {
    if (in_metadata()) return skip_inside();
    if (level_ != Level::kEntry || field_ == "dtype") return wrong_type("an array");
    offsets_seen_ = 0;
    level_ = field_ == "shape" ? Level::kShape : Level::kOffsets;
    return true;
  }

  bool end_array() override {
    if (level_ == Level::kSkipped) return skip_end();
    if (level_ == Level::kOffsets && offsets_seen_ != 2) {
      fail(where(), "\"data_offsets\" must be two numbers, found ", offsets_seen_, "; the file is damaged");
    }
    level_ = Level::kEntry;
    return true;
  }

  // The parser's own message may quote a megabyte of the file: only the place is kept.
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    fail(file_, ": the safetensors header is not JSON at byte ", position, " of the header; the file is damaged or not safetensors");
  }

 private:
  std::string where() const { return name_ == kMetadataName ? file_ + ": __metadata__: " : file_ + ": tensor " + quote(name_) + ": "; }

  /// Whether a value that comes now is metadata or a part of it: nothing in it is needed, so nothing in it is an error.
  bool in_metadata() const {
    return level_ == Level::kMetadata || level_ == Level::kSkipped || (level_ == Level::kTop && name_ == kMetadataName);
  }

  bool skip_value() {
    header_.odd_metadata = true;
    return true;
  }

  bool skip_inside() {
    if (skipped_depth_++ == 0) around_skipped_ = level_;
    level_ = Level::kSkipped;
    return skip_value();
  }

  bool skip_end() {
    if (--skipped_depth_ == 0) level_ = around_skipped_;
    return true;
  }

  bool wrong_type(const char* found) {
    if (in_metadata()) return skip_value();
    switch (level_) {
      case Level::kOutside:
        fail(file_, ": the safetensors header must be a JSON object, found ", found);
      case Level::kTop:
        fail(where(), "must be a JSON object, found ", found, "; the file is damaged");
      case Level::kMetadata:
      case Level::kSkipped:
        return skip_value();
      case Level::kEntry:
        fail(where(), quote(field_), " must be ", field_ == "dtype" ? "a string" : "an array of whole numbers", ", found ", found);
      case Level::kShape:
        fail(where(), "\"shape\" must hold whole numbers only, found ", found);
      case Level::kOffsets:
        fail(where(), "\"data_offsets\" must hold whole numbers only, found ", found);
    }
    return false;
  }

  void finish_entry() {
    if (!has_dtype_) fail(where(), "the field \"dtype\" is missing; the file is damaged");
    if (!has_shape_) fail(where(), "the field \"shape\" is missing; the file is damaged");
    if (!has_offsets_) fail(where(), "the field \"data_offsets\" is missing; the file is damaged");
    int64_t bits = std::max<int64_t>(static_cast<int64_t>(dtype_bits(entry_.dtype)), 1);
    for (const int64_t dim : entry_.shape) {
      if (__builtin_mul_overflow(bits, dim, &bits)) {
        fail(where(), "the size of shape ", excerpt(shape_string(entry_.shape)), " does not fit 63 bits; the file is damaged");
      }
    }
    if (entry_.begin > entry_.end) {
      fail(where(), "data_offsets [", entry_.begin, ",", entry_.end, "] are reversed; the file is damaged");
    }
    const uint64_t bytes = static_cast<uint64_t>(bits) / 8;
    if (entry_.dtype != DType::kUnknown && (entry_.end - entry_.begin != bytes || bits % 8 != 0)) {
      fail(where(), "data_offsets [", entry_.begin, ",", entry_.end, "] hold ", entry_.end - entry_.begin, " bytes, but ",
           dtype_name(entry_.dtype), " ", excerpt(shape_string(entry_.shape)), " needs ",
           bits % 8 == 0 ? std::to_string(bytes) : concat(bits, " bits"), "; the file is damaged");
    }
    header_.tensors.emplace(name_, std::move(entry_));
  }

  const std::string& file_;
  SafetensorsHeader header_;
  Level level_ = Level::kOutside;
  std::string name_;
  std::string metadata_key_;
  std::string field_;
  TensorEntry entry_{};
  int offsets_seen_ = 0;
  size_t skipped_depth_ = 0;
  Level around_skipped_ = Level::kTop;
  bool metadata_seen_ = false;
  bool has_dtype_ = false;
  bool has_shape_ = false;
  bool has_offsets_ = false;
};

}  // namespace

SafetensorsHeader parse_header_json(std::span<const std::byte> json, const std::string& file) {
  HeaderHandler handler(file);
  parse_json_events({reinterpret_cast<const char*>(json.data()), json.size()}, handler);
  return handler.take();
}

}  // namespace dsv4
