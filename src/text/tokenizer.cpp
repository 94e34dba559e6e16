// Encoding runs the tokenizer model. Decoding needs its vocabulary only, which is read out of the detokenizer model.
#include "text/tokenizer.h"

#include <algorithm>
#include <charconv>
#include <new>
#include <optional>

#include "checkpoint/content_hash.h"
#include "checkpoint/listed_files.h"
#include "checkpoint/quote.h"
#include "checkpoint/small_file.h"
#include "checkpoint/utf8.h"
#include "dsv4/error.h"
#include "openvino/core/model.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/runtime/core.hpp"
#include "text/checked_text.h"
#include "text/tokenizers_library.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;
namespace op = ov::op;

constexpr SmallFileKind kModelFile = {"tokenizer model", "a tokenizer model that `dsv4 convert` wrote", 512u << 20};
constexpr const char* kRemedy = "copy the folder again or convert the checkpoint again";

/// The library reads and writes past its buffers where a model's constants are not right, so that nothing but what was written is given to it.
std::string checked_file(const fs::path& path, const std::vector<ListedFile>& list) {
  std::optional<std::string> bytes = read_small_file_if_there(path, kModelFile);
  if (!bytes) {
    fail(path_text(path),
         ": not found; text needs a tokenizer: convert a checkpoint that has a tokenizer.json, without --disable-convert-tokenizer, or "
         "give token ids with --tokens");
  }
  if (const ListedFile* listed = find_listed(list, path.filename().string())) {
    std::optional<std::string> fault = fault_of_size(*listed, bytes->size());
    if (!fault) fault = fault_of_hash(*listed, content_hash(*bytes));
    if (fault) {
      fail(path_text(path), ": ", *fault, " (", kFileListName, "); ", kRemedy,
           ", or take its entry out of the list if you replaced it yourself");
    }
  }
  return *std::move(bytes);
}

const op::v0::Constant* constant_input(const ov::Node& node, size_t index) {
  return index < node.get_input_size() ? ov::as_type<const op::v0::Constant>(node.get_input_node_ptr(index)) : nullptr;
}

/// Constants of strings, begins and ends i32 and characters u8, in all places: also models that no list knows must stay within their own bounds.
void check_strings(const ov::Model& model, const std::string& where) {
  for (const auto& node : model.get_ops()) {
    for (size_t i = 0; i + 2 < node->get_input_size(); ++i) {
      const op::v0::Constant *begins = constant_input(*node, i), *ends = constant_input(*node, i + 1),
                             *chars = constant_input(*node, i + 2);
      if (begins == nullptr || ends == nullptr || chars == nullptr) continue;
      if (begins->get_element_type() != ov::element::i32 || ends->get_element_type() != ov::element::i32 ||
          chars->get_element_type() != ov::element::u8)
        continue;
      const auto first = begins->cast_vector<int32_t>(), last = ends->cast_vector<int32_t>();
      bool inside = first.size() == last.size();
      for (size_t k = 0; inside && k < first.size(); ++k) {
        inside = first[k] >= 0 && first[k] <= last[k] && static_cast<size_t>(last[k]) <= chars->get_byte_size();
      }
      if (!inside) fail(where, ": its strings are damaged; ", kRemedy);
    }
  }
}

void add_tokenizers_library(ov::Core& core) {
  const fs::path library = tokenizers_library();
  try {
    core.add_extension(library.string());
  } catch (const ov::Exception&) {
    fail(path_text(library), ": cannot be loaded; expected openvino-tokenizers of OpenVINO's own version");
  }
}

/// The two files of a model, in memory: what happens to them after they were checked changes nothing.
struct ModelBytes {
  ModelBytes(const fs::path& xml, const std::vector<ListedFile>& list) : where(path_text(xml)), text(checked_file(xml, list)) {
    fs::path bin = xml;
    constants = checked_file(bin.replace_extension(".bin"), list);
    if (!text.starts_with("<?xml") && !text.starts_with("<net")) fail(where, ": is no model of OpenVINO's; ", kRemedy);
  }

  std::string where, text, constants;
};

/// What OpenVINO and the library throw of a model names places in their sources, not the file.
template <class Action>
auto by_openvino(const std::string& where, const char* what, const Action& action) {
  try {
    return action();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception&) {
    fail(where, ": OpenVINO cannot ", what, "; ", kRemedy);
  }
}

std::shared_ptr<ov::Model> read_model(ov::Core& core, const ModelBytes& bytes) {
  ov::Tensor weights(ov::element::u8, {bytes.constants.size()});
  std::copy(bytes.constants.begin(), bytes.constants.end(), static_cast<char*>(weights.data()));
  std::shared_ptr<ov::Model> model = by_openvino(bytes.where, "load it", [&] { return core.read_model(bytes.text, weights); });
  check_strings(*model, bytes.where);
  return model;
}

/// An integer in a model's rt_info; -1 when it is not there.
int64_t stated_id(const ov::Model& model, const std::string& name) {
  if (!model.has_rt_info(name)) return -1;
  const auto text = model.get_rt_info<std::string>(name);
  int64_t id = -1;
  std::from_chars(text.data(), text.data() + text.size(), id);
  return id;
}

}  // namespace

Tokenizer::Tokenizer(const fs::path& folder) {
  const std::vector<ListedFile> list = read_file_list(folder).value_or(std::vector<ListedFile>());
  const ModelBytes encoder(folder / "openvino_tokenizer.xml", list), decoder(folder / "openvino_detokenizer.xml", list);
  where_ = encoder.where;
  ov::Core core;
  add_tokenizers_library(core);
  const std::shared_ptr<ov::Model> model = read_model(core, encoder);
  bos_ = stated_id(*model, "bos_token_id");
  request_ = by_openvino(where_, "load it", [&] { return core.compile_model(model, "CPU").create_infer_request(); });
  const ov::element::Type ids =
      by_openvino(where_, "find its output input_ids", [&] { return request_.get_tensor("input_ids").get_element_type(); });
  if (ids != ov::element::i64) fail(where_, ": its ids are not i64; ", kRemedy);
  read_vocabulary(*read_model(core, decoder), decoder.where);
}

void Tokenizer::read_vocabulary(const ov::Model& model, const std::string& where) {
  const auto ops = model.get_ops();
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
    fail(where, ": is not a detokenizer with a vocabulary and special tokens, expected one that `dsv4 convert` wrote");
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
  if (!consistent) fail(where, ": its vocabulary is damaged; ", kRemedy);
}

std::vector<int64_t> Tokenizer::encode(std::string_view text) const {
  check_text(text);
  const std::lock_guard lock(mutex_);
  ov::Tensor strings(ov::element::string, {1});
  strings.data<std::string>()[0] = text;
  return by_openvino(where_, "run it on this text", [&] {
    request_.set_input_tensor(strings);
    request_.infer();
    const ov::Tensor ids = request_.get_tensor("input_ids");  // [1,S]
    return std::vector<int64_t>(ids.data<int64_t>(), ids.data<int64_t>() + ids.get_size());
  });
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
  std::string text;
  characters_.push(tokenizer_.bytes(id, skip_special_), text);
  return text;
}

std::string TextStream::finish() {
  std::string text;
  characters_.finish(text);
  return text;
}

}  // namespace dsv4
