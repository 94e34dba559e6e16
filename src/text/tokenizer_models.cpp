// The graphs of the tokenizer and the detokenizer. Strings inside are triplets of begins, ends and characters; pieces of a string add a level of begins
// and ends over the strings of a batch ("ragged").
#include "text/tokenizer_models.h"

#include <algorithm>
#include <array>
#include <limits>
#include <sstream>
#include <utility>

#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "openvino/core/model.hpp"
#include "openvino/core/version.hpp"
#include "openvino/op/add.hpp"
#include "openvino/op/assign.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/convert.hpp"
#include "openvino/op/gather.hpp"
#include "openvino/op/parameter.hpp"
#include "openvino/op/range.hpp"
#include "openvino/op/read_value.hpp"
#include "openvino/op/reduce_max.hpp"
#include "openvino/op/result.hpp"
#include "openvino/op/select.hpp"
#include "openvino/op/shape_of.hpp"
#include "openvino/op/string_tensor_pack.hpp"
#include "openvino/op/string_tensor_unpack.hpp"
#include "openvino/op/subtract.hpp"
#include "openvino/pass/serialize.hpp"
#include "openvino/runtime/core.hpp"
#include "text/split_pattern.h"
#include "text/tokenizers_library.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;
namespace op = ov::op;
using ov::element::i32;
using ov::element::i64;

constexpr int64_t kMinCachedWords = 20000;
constexpr int32_t kNoLimit = std::numeric_limits<int32_t>::max() - 64;  // Truncate adds to it
constexpr int32_t kMaxLength = 1 << 20;                                 // model_max_length of every release

template <class T>
std::shared_ptr<ov::Node> constant(ov::element::Type type, const ov::Shape& shape, const std::vector<T>& values) {
  return op::v0::Constant::create(type, shape, values);
}

std::shared_ptr<ov::Node> scalar(int32_t value) { return constant<int32_t>(i32, {}, {value}); }

/// A string attribute of an operation.
std::shared_ptr<ov::Node> text_constant(const std::string& text) {
  return std::make_shared<op::v0::Constant>(ov::element::u8, ov::Shape{text.size()}, text.data());
}

/// [N] strings as begins i32 [N], ends i32 [N], chars u8 [total].
ov::OutputVector strings_constant(const std::vector<std::string>& strings) {
  std::vector<int32_t> begins, ends;
  std::string all;
  for (const std::string& text : strings) {
    begins.push_back(static_cast<int32_t>(all.size()));
    all += text;
    ends.push_back(static_cast<int32_t>(all.size()));
  }
  return {constant(i32, {begins.size()}, begins), constant(i32, {ends.size()}, ends), text_constant(all)};
}

ov::OutputVector operator+(ov::OutputVector a, const ov::OutputVector& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Strings [B] as ragged [B] of one piece each.
ov::OutputVector add_ragged_level(const ov::OutputVector& strings) {
  const auto zero = constant<int64_t>(i64, {}, {0}), one = constant<int64_t>(i64, {}, {1});
  const auto batch = std::make_shared<op::v8::Gather>(std::make_shared<op::v3::ShapeOf>(strings[0]), zero, zero);
  const auto begins = std::make_shared<op::v4::Range>(zero, batch, one, i32);
  const auto ends = std::make_shared<op::v4::Range>(one, std::make_shared<op::v1::Add>(batch, one), one, i32);
  return ov::OutputVector{begins, ends} + strings;
}

/// Added tokens become pieces that nothing splits further.
ov::OutputVector split_added_tokens(const ov::OutputVector& pieces, const TokenizerJson& tokenizer) {
  if (tokenizer.added_tokens.empty()) return pieces;
  std::vector<std::string> contents;
  for (const AddedToken& token : tokenizer.added_tokens) contents.push_back(token.content);
  return tokenizers_node("SpecialTokensSplit", pieces + ov::OutputVector{text_constant(longest_of(contents))});
}

/// Ids by the merges. An added token is found in the vocabulary whole, because no merge makes it.
ov::OutputVector bpe(const ov::OutputVector& pieces, const TokenizerJson& tokenizer) {
  std::vector<std::string> vocabulary = tokenizer.vocabulary;
  vocabulary.resize(static_cast<size_t>(tokenizer.size()));
  for (const AddedToken& token : tokenizer.added_tokens) vocabulary[static_cast<size_t>(token.id)] = token.content;
  std::vector<std::string> left, right;
  for (const auto& [a, b] : tokenizer.merges) {
    left.push_back(a);
    right.push_back(b);
  }
  const int64_t cached = std::max(kMinCachedWords, tokenizer.size() / 5);
  return tokenizers_node("BPETokenizer",
                         ov::OutputVector(pieces.begin(), pieces.begin() + 5) + strings_constant(vocabulary) + strings_constant(left) +
                             strings_constant(right),
                         {{"unk_token", ""},
                          {"fuse_unk", false},
                          {"suffix_indicator", ""},
                          {"end_suffix", ""},
                          {"byte_fallback", false},
                          {"cache_capacity", cached}});
}

/// Cuts to a length that a caller may set: off by default. GenAI looks for these nodes to make length and padding settable.
ov::OutputVector truncate(const ov::OutputVector& ids, ov::SinkVector& sinks) {
  const auto variable =
      std::make_shared<ov::op::util::Variable>(ov::op::util::VariableInfo{ov::Shape{}, ov::element::boolean, "truncation"});
  const auto enabled = std::make_shared<op::v6::ReadValue>(constant<bool>(ov::element::boolean, {}, {false}), variable);
  sinks.push_back(std::make_shared<op::v6::Assign>(enabled, variable));
  const auto length = std::make_shared<op::v1::Select>(enabled, scalar(kMaxLength), scalar(kNoLimit));
  return tokenizers_node("Truncate", ids + ov::OutputVector{length, text_constant("right"), text_constant("longest_first")},
                         {{"m_num_inputs", int64_t{1}}});
}

void name_output(const ov::Output<ov::Node>& output, const std::string& name) { output.get_tensor().set_names({name}); }

std::shared_ptr<ov::Model> tokenizer_graph(const TokenizerJson& tokenizer, const SpecialIds& special) {
  const auto text = std::make_shared<op::v0::Parameter>(ov::element::string, ov::PartialShape{-1});
  text->set_friendly_name("string_input");
  name_output(text->output(0), "string_input");
  ov::OutputVector pieces = add_ragged_level(std::make_shared<op::v15::StringTensorUnpack>(text)->outputs());
  pieces = split_added_tokens(pieces, tokenizer);
  for (const std::string& pattern : tokenizer.split_patterns) {
    // One node a step: a look-ahead must not see beyond the piece, as it would in one pattern of all alternatives.
    pieces = tokenizers_node("RegexSplit", pieces + ov::OutputVector{text_constant(pattern)},
                             {{"behaviour", "isolate"}, {"invert", false}, {"max_splits", int64_t{-1}}});
  }
  ov::SinkVector sinks;
  ov::OutputVector ids = truncate(bpe(pieces, tokenizer), sinks);
  ids = tokenizers_node("CombineSegments", ids + ov::OutputVector{constant<int32_t>(i32, {1}, {0})});

  const auto longest = std::make_shared<op::v1::ReduceMax>(std::make_shared<op::v1::Subtract>(ids[1], ids[0]), scalar(0));
  const ov::OutputVector dense =
      tokenizers_node("RaggedToDense", {ids[0], ids[1], ids[2], longest, scalar(static_cast<int32_t>(std::max<int64_t>(special.pad, 0)))},
                      {{"pad_right", false}, {"m_pad_max_length", false}});
  const auto input_ids = std::make_shared<op::v0::Convert>(dense[0], i64);
  const auto mask = std::make_shared<op::v0::Convert>(std::make_shared<op::v0::Convert>(dense[1], i32), i64);
  name_output(input_ids->output(0), "input_ids");
  name_output(mask->output(0), "attention_mask");
  const ov::ResultVector results = {std::make_shared<op::v0::Result>(input_ids), std::make_shared<op::v0::Result>(mask)};
  return std::make_shared<ov::Model>(results, sinks, ov::ParameterVector{text}, "tokenizer");
}

std::shared_ptr<ov::Model> detokenizer_graph(const TokenizerJson& tokenizer) {
  const auto ids = std::make_shared<op::v0::Parameter>(i64, ov::PartialShape{-1, -1});
  ids->set_friendly_name("token_ids");
  name_output(ids->output(0), "token_ids");
  std::vector<int32_t> skipped;
  for (const AddedToken& token : tokenizer.added_tokens) {
    if (token.special) skipped.push_back(static_cast<int32_t>(token.id));
  }
  const ov::OutputVector tokens = tokenizers_node("VocabDecoder", ov::OutputVector{std::make_shared<op::v0::Convert>(ids, i32)} +
                                                                      strings_constant(tokenizer.decoded_bytes()) +
                                                                      ov::OutputVector{constant(i32, {skipped.size()}, skipped)});
  const ov::OutputVector fused = tokenizers_node("FuzeRagged", {tokens[0], tokens[1], tokens[2], tokens[3]});
  const ov::OutputVector valid = tokenizers_node("UTF8Validate", {fused[0], fused[1], tokens[4]}, {{"replace_mode", true}});
  const auto text = std::make_shared<op::v15::StringTensorPack>(valid[0], valid[1], valid[2]);
  name_output(text->output(0), "string_output");
  return std::make_shared<ov::Model>(ov::ResultVector{std::make_shared<op::v0::Result>(text)}, ov::ParameterVector{ids}, "detokenizer");
}

/// What openvino_tokenizers' converter states and its readers look for.
void state_facts(ov::Model& model, const SpecialIds& ids, const std::string& chat_template) {
  const std::string version = ov::get_openvino_version().buildNumber;
  model.set_rt_info(version, "openvino_version");
  model.set_rt_info(version.substr(0, version.find('-')) + ".0", "openvino_tokenizers_version");
  if (ids.bos >= 0) model.set_rt_info(std::to_string(ids.bos), "bos_token_id");
  if (ids.eos >= 0) model.set_rt_info(std::to_string(ids.eos), "eos_token_id");
  if (ids.pad >= 0) model.set_rt_info(std::to_string(ids.pad), "pad_token_id");
  if (!chat_template.empty()) model.set_rt_info(chat_template, "chat_template");
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, const char*>>{{"add_special_tokens", "True"},
                                                                                              {"skip_special_tokens", "True"},
                                                                                              {"add_attention_mask", "True"},
                                                                                              {"number_of_inputs", "1"},
                                                                                              {"tokenizer_output_type", "i64"},
                                                                                              {"detokenizer_input_type", "i64"},
                                                                                              {"streaming_detokenizer", "False"},
                                                                                              {"truncation", "False"},
                                                                                              {"use_max_padding", "False"},
                                                                                              {"utf8_replace_mode", "replace"},
                                                                                              {"with_detokenizer", "True"}}) {
    model.set_rt_info(std::string(value), name);
  }
}

/// A pattern that PCRE2 does not compile splits nothing, without a word. So: every added token must be found in its own text.
void check_added_tokens(const TokenizerJson& tokenizer, const std::shared_ptr<ov::Model>& model, const std::string& where) {
  if (tokenizer.added_tokens.empty()) return;
  ov::InferRequest request = ov::Core().compile_model(model, "CPU").create_infer_request();
  ov::Tensor texts(ov::element::string, {tokenizer.added_tokens.size()});
  for (size_t i = 0; i < tokenizer.added_tokens.size(); ++i) texts.data<std::string>()[i] = tokenizer.added_tokens[i].content;
  request.set_input_tensor(texts);
  request.infer();
  const ov::Tensor ids = request.get_tensor("input_ids");  // [B,S]
  for (size_t i = 0; i < tokenizer.added_tokens.size(); ++i) {
    const AddedToken& token = tokenizer.added_tokens[i];
    const size_t width = ids.get_shape()[1];
    if (width != 1 || ids.data<int64_t>()[i * width] != token.id) {
      fail(where, ": added token ", quote(token.content), ": OpenVINO Tokenizers does not give its id ", token.id,
           "; convert with --disable-convert-tokenizer and add tokenizer models by other means");
    }
  }
}

/// Tokens that were added without resizing the embeddings, such as one for padding in training, are refused where they occur; a vocabulary that is larger is of
/// another model.
void note_ids_beyond(const TokenizerJson& tokenizer, int64_t vocab_size, const std::string& where, std::vector<std::string>& notices) {
  std::vector<const AddedToken*> beyond;
  for (const AddedToken& token : tokenizer.added_tokens) {
    if (token.id >= vocab_size) beyond.push_back(&token);
  }
  const int64_t ids = tokenizer.size() - vocab_size;
  if (ids <= 0) return;
  if (static_cast<int64_t>(beyond.size()) < ids) {
    fail(where, ": has ids up to ", tokenizer.size() - 1, ", expected less than ", vocab_size,
         ", the vocab_size of config.json; is it of another model?");
  }
  notices.push_back(concat(where, ": the added token ", quote(beyond.front()->content),
                           ids > 1 ? concat(" and ", ids - 1, " more have ids") : std::string(" has the id"), " ", beyond.front()->id,
                           ids > 1 ? " and above" : "", ", which a model of ", vocab_size,
                           " tokens does not have; a text with it is refused"));
}

}  // namespace

std::map<std::string, std::string> TokenizerModels::files() const {
  std::map<std::string, std::string> files;
  for (const auto& [name, model] : {std::pair("openvino_tokenizer", tokenizer), std::pair("openvino_detokenizer", detokenizer)}) {
    std::ostringstream xml, bin;
    ov::pass::Serialize(xml, bin).run_on_model(model);
    files[concat(name, ".xml")] = std::move(xml).str();
    files[concat(name, ".bin")] = std::move(bin).str();
  }
  return files;
}

TokenizerModels make_tokenizer_models(const TokenizerJson& tokenizer, const SpecialIds& ids, const std::string& chat_template,
                                      const std::string& where) {
  try {
    const TokenizerModels models = {tokenizer_graph(tokenizer, ids), detokenizer_graph(tokenizer), {}};
    check_added_tokens(tokenizer, models.tokenizer, where);
    for (const auto& model : {models.tokenizer, models.detokenizer}) state_facts(*model, ids, chat_template);
    return models;
  } catch (const ov::Exception&) {
    fail(where,
         ": OpenVINO cannot make tokenizer models of it; convert with --disable-convert-tokenizer and add tokenizer models by other means");
  }
}

std::optional<TokenizerModels> make_tokenizer_models(const TokenizerTexts& texts, const fs::path& directory, int64_t vocab_size) {
  if (!texts.tokenizer) return std::nullopt;
  const std::string where = path_text(directory / "tokenizer.json");
  const TokenizerJson tokenizer = parse_tokenizer_json(*texts.tokenizer, where);
  std::vector<std::string> notices = tokenizer.notices;
  note_ids_beyond(tokenizer, vocab_size, where, notices);
  SpecialIds ids;
  std::string jinja;
  if (texts.tokenizer_config) {
    const std::string file = path_text(directory / "tokenizer_config.json");
    ids = special_ids(*texts.tokenizer_config, file, tokenizer);
    if (ids.pad >= vocab_size) ids.pad = ids.eos < vocab_size ? ids.eos : -1;  // padding is fed to the model
    jinja = chat_template(*texts.tokenizer_config, file);
  }
  if (texts.chat_template) jinja = *texts.chat_template;
  TokenizerModels models = make_tokenizer_models(tokenizer, ids, jinja, where);
  models.notices = std::move(notices);
  return models;
}

}  // namespace dsv4
