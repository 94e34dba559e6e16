// Each marker's id, and the ids of the texts between.
#include "text/prompt_tokens.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace dsv4 {

namespace {

/// Ids of keys [from, to) of a prompt.
class Ids {
 public:
  explicit Ids(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void add_text(std::string_view keys) {
    std::string run;  // text up to the next marker that is a token
    for (size_t at = 0; at < keys.size();) {
      const size_t open = keys.find(PromptText::kOpen, at);
      run += keys.substr(at, open == keys.npos ? open : open - at);
      if (open == keys.npos) break;
      const size_t close = keys.find(PromptText::kClose, open);
      const std::string_view marker = keys.substr(open + 1, close - open - 1);
      if (const std::optional<int64_t> id = tokenizer_.added(marker)) {
        add(tokenizer_.encode_plain(run));
        run.clear();
        ids_.push_back(*id);
      } else {
        run += marker;
      }
      at = close + 1;
    }
    add(tokenizer_.encode_plain(run));
  }
  void add(const std::vector<int64_t>& more) { ids_.insert(ids_.end(), more.begin(), more.end()); }

  std::vector<int64_t> take() { return std::move(ids_); }

 private:
  const Tokenizer& tokenizer_;
  std::vector<int64_t> ids_;
};

}  // namespace

std::vector<int64_t> prompt_tokens(const PromptText& prompt, const Tokenizer& tokenizer, size_t from) {
  Ids ids(tokenizer);
  const std::string_view keys(prompt.keys());
  size_t at = from;
  for (const PromptText::Sampled& sampled : prompt.sampled()) {
    if (sampled.begin < at) continue;  // its text alone is left from a border within it on
    ids.add_text(keys.substr(at, sampled.begin - at));
    ids.add(sampled.ids);
    at = sampled.end;
  }
  ids.add_text(keys.substr(at));
  return ids.take();
}

}  // namespace dsv4
