// Encoding runs the tokenizer model. Decoding needs its vocabulary only, which is read out of the detokenizer model.
#include "text/tokenizer.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "checkpoint/quote.h"
#include "checkpoint/utf8.h"
#include "dsv4/error.h"
#include "openvino/core/model.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/runtime/core.hpp"
#include "text/tokenizers_library.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;
namespace op = ov::op;

constexpr size_t kMaxTextBytes = 256u << 20;  // offsets are i32, and every byte takes some 40 bytes on the way

fs::path model_file(const fs::path& folder, const char* name) {
  fs::path xml = folder / name;
  fs::path bin = xml;
  bin.replace_extension(".bin");
  for (const fs::path& file : {xml, bin}) {
    if (!fs::is_regular_file(file)) {
      fail(path_text(file),
           ": not found; text needs a tokenizer: convert a checkpoint that has a tokenizer.json, without --disable-convert-tokenizer, or "
           "give token ids with --tokens");
    }
  }
  return xml;
}

/// An integer in a model's rt_info; -1 when it is not there.
int64_t stated_id(const ov::Model& model, const std::string& name) {
  if (!model.has_rt_info(name)) return -1;
  const auto text = model.get_rt_info<std::string>(name);
  int64_t id = -1;
  std::from_chars(text.data(), text.data() + text.size(), id);
  return id;
}

const op::v0::Constant* constant_input(const ov::Node& node, size_t index) {
  return index < node.get_input_size() ? ov::as_type<const op::v0::Constant>(node.get_input_node_ptr(index)) : nullptr;
}

}  // namespace

Tokenizer::Tokenizer(const fs::path& folder) {
  const fs::path encoder = model_file(folder, "openvino_tokenizer.xml"), decoder = model_file(folder, "openvino_detokenizer.xml");
  const fs::path library = tokenizers_library();
  try {
    ov::Core core;
    core.add_extension(library.string());
    const std::shared_ptr<ov::Model> model = core.read_model(encoder);
    bos_ = stated_id(*model, "bos_token_id");
    request_ = core.compile_model(model, "CPU").create_infer_request();
    request_.get_tensor("input_ids");
  } catch (const ov::Exception& e) {
    fail(path_text(encoder), ": OpenVINO cannot load it: ", excerpt(e.what()));
  }
  read_vocabulary(decoder, library);
}

void Tokenizer::read_vocabulary(const fs::path& xml, const fs::path& library) {
  std::shared_ptr<ov::Model> model;
  try {
    ov::Core core;
    core.add_extension(library.string());
    model = core.read_model(xml);
  } catch (const ov::Exception& e) {
    fail(path_text(xml), ": OpenVINO cannot load it: ", excerpt(e.what()));
  }
  const auto ops = model->get_ops();
  const auto found =
      std::find_if(ops.begin(), ops.end(), [](const auto& node) { return node->get_type_info().name == std::string("VocabDecoder"); });
  const ov::Node* node = found == ops.end() ? nullptr : found->get();
  const op::v0::Constant *begins = nullptr, *ends = nullptr, *chars = nullptr, *skipped = nullptr;
  if (node != nullptr) {
    begins = constant_input(*node, 1);
    ends = constant_input(*node, 2);
    chars = constant_input(*node, 3);
    skipped = constant_input(*node, 4);
  }
  if (begins == nullptr || ends == nullptr || chars == nullptr || skipped == nullptr) {
    fail(path_text(xml), ": is not a detokenizer with a vocabulary and special tokens, expected one that `dsv4 convert` wrote");
  }
  begins_ = begins->cast_vector<int32_t>();
  ends_ = ends->cast_vector<int32_t>();
  const auto characters = chars->cast_vector<uint8_t>();
  chars_.assign(characters.begin(), characters.end());
  bool consistent = begins_.size() == ends_.size();
  for (size_t i = 0; consistent && i < begins_.size(); ++i) {
    consistent = begins_[i] >= 0 && begins_[i] <= ends_[i] && static_cast<size_t>(ends_[i]) <= chars_.size();
  }
  special_.assign(begins_.size(), false);
  for (const int32_t id : skipped->cast_vector<int32_t>()) {
    consistent = consistent && id >= 0 && static_cast<size_t>(id) < special_.size();
    if (consistent) special_[static_cast<size_t>(id)] = true;
  }
  if (!consistent) fail(path_text(xml), ": its vocabulary is damaged; convert the checkpoint again");
}

std::vector<int64_t> Tokenizer::encode(std::string_view text) const {
  if (text.size() > kMaxTextBytes) fail("text: ", text.size(), " bytes, expected at most ", kMaxTextBytes);
  if (const std::optional<size_t> at = invalid_utf8(text)) {
    fail("text: byte ", *at, " is not UTF-8; expected UTF-8, convert it (iconv -t UTF-8)");
  }
  const std::lock_guard lock(mutex_);
  ov::Tensor strings(ov::element::string, {1});
  strings.data<std::string>()[0] = text;
  request_.set_input_tensor(strings);
  request_.infer();
  const ov::Tensor ids = request_.get_tensor("input_ids");  // [1,S]
  return {ids.data<int64_t>(), ids.data<int64_t>() + ids.get_size()};
}

std::string_view Tokenizer::bytes(int64_t id, bool skip_special) const {
  if (id < 0 || id >= size() || (skip_special && special_[static_cast<size_t>(id)])) return {};
  const auto at = static_cast<size_t>(id);
  return std::string_view(chars_).substr(static_cast<size_t>(begins_[at]), static_cast<size_t>(ends_[at] - begins_[at]));
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool skip_special) const {
  std::string all;
  for (const int64_t id : ids) all += bytes(id, skip_special);
  return replace_invalid_utf8(all);
}

std::string TextStream::push(int64_t id) {
  held_ += tokenizer_.bytes(id, skip_special_);
  const size_t whole = held_.size() - unfinished_utf8(held_);
  std::string text = replace_invalid_utf8(std::string_view(held_).substr(0, whole));
  held_.erase(0, whole);
  return text;
}

std::string TextStream::finish() {
  std::string text = replace_invalid_utf8(held_);
  held_.clear();
  return text;
}

}  // namespace dsv4
