// Each marker's id, and the ids of the texts between.
#include "text/prompt_tokens.h"

#include <optional>
#include <string>
#include <string_view>

namespace dsv4 {

std::vector<int64_t> prompt_tokens(const PromptText& prompt, const Tokenizer& tokenizer, size_t from) {
  std::vector<int64_t> ids;
  std::string run;  // text up to the next marker that is a token
  const auto end_run = [&] {
    const std::vector<int64_t> more = tokenizer.encode_plain(run);
    ids.insert(ids.end(), more.begin(), more.end());
    run.clear();
  };
  const std::string_view keys(prompt.keys());
  for (size_t at = from; at < keys.size();) {
    const size_t open = keys.find(PromptText::kOpen, at);
    run += keys.substr(at, open == keys.npos ? open : open - at);
    if (open == keys.npos) break;
    const size_t close = keys.find(PromptText::kClose, open);
    const std::string_view marker = keys.substr(open + 1, close - open - 1);
    if (const std::optional<int64_t> id = tokenizer.added(marker)) {
      end_run();
      ids.push_back(*id);
    } else {
      run += marker;
    }
    at = close + 1;
  }
  end_run();
  return ids;
}

}  // namespace dsv4
