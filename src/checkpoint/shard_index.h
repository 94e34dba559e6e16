// model.safetensors.index.json: which shard holds which tensor.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

struct ShardIndex {
  std::vector<std::string> shards;          ///< file names without a directory, ascending, each once
  std::map<std::string, uint32_t> tensors;  ///< stored name -> position in `shards`
};

/// Parses the text of an index. `where` names the file in messages. Throws Error: not JSON or nested too deeply, not an object, no
/// weight_map or an empty one, wrong JSON types, a tensor twice, a shard name that is not a plain `*.safetensors` file name (a directory,
/// "..", an absolute path).
ShardIndex parse_index(std::string_view text, const std::string& where);

}  // namespace dsv4
