// The shared library of openvino-tokenizers: where it is, and nodes made with its operations.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <variant>

#include "openvino/core/node_vector.hpp"

namespace dsv4 {

/// The file that the environment variable DSV4_TOKENIZERS_LIBRARY names, else libopenvino_tokenizers.so beside the program, in lib/ there or in ../lib/dsv4, where
/// the build found it, beside libopenvino, or in the Python package beside OpenVINO's. Error that says what to do when there is none.
std::filesystem::path tokenizers_library();

/// Of the library that the build found, which is the one that is installed; "of DSV4_TOKENIZERS_LIBRARY" when that names another.
std::string tokenizers_version();

using NodeAttributes = std::map<std::string, std::variant<bool, int64_t, std::string>>;

/// A node of one of the library's operations, such as "RegexSplit"; attributes that are not named keep the operation's default.
ov::OutputVector tokenizers_node(const std::string& type, const ov::OutputVector& inputs, const NodeAttributes& attributes = {});

}  // namespace dsv4
