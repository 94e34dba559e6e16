// The golden data of tests: a small reader of expected.safetensors and tokens.json that shares no code with src/.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace dsv4_test {

inline std::filesystem::path data_directory() { return DSV4_TEST_DATA; }

/// "toy", "hash" and "mini". The trained mini checkpoint is published with the repository, apart from its expected values.
inline std::filesystem::path golden_checkpoint(const std::string& name) {
  if (name == "mini") return data_directory().parent_path().parent_path() / "models" / "mini";
  return data_directory() / "goldens" / name;
}

inline nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot open " + path.string());
  return nlohmann::json::parse(in);
}

/// tokens.json of a golden; `key` is "tokens" or, in mini, "nll_stretch".
inline std::vector<int64_t> golden_tokens(const std::string& name, const std::string& key = "tokens") {
  return read_json(data_directory() / "goldens" / name / "tokens.json").at(key).get<std::vector<int64_t>>();
}

/// The F32, I32 and I64 tensors of one small safetensors file, held in memory.
class GoldenData {
 public:
  explicit GoldenData(const std::string& name) : GoldenData(data_directory() / "goldens" / name / "expected.safetensors") {}

  explicit GoldenData(const std::filesystem::path& path) : path_(path.string()) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw std::runtime_error("cannot open " + path_);
    uint64_t header_bytes = 0;
    in.read(reinterpret_cast<char*>(&header_bytes), 8);
    std::string text(header_bytes, '\0');
    in.read(text.data(), static_cast<std::streamsize>(header_bytes));
    header_ = nlohmann::json::parse(text);
    data_.assign(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }

  bool contains(const std::string& tensor) const { return header_.contains(tensor); }
  std::vector<int64_t> shape(const std::string& tensor) const { return entry(tensor).at("shape").get<std::vector<int64_t>>(); }
  std::vector<float> f32(const std::string& tensor) const { return values<float>(tensor, "F32"); }
  std::vector<int32_t> i32(const std::string& tensor) const { return values<int32_t>(tensor, "I32"); }
  std::vector<int64_t> i64(const std::string& tensor) const { return values<int64_t>(tensor, "I64"); }

 private:
  const nlohmann::json& entry(const std::string& tensor) const {
    if (!header_.contains(tensor)) throw std::runtime_error(path_ + " has no " + tensor);
    return header_.at(tensor);
  }

  template <class T>
  std::vector<T> values(const std::string& tensor, const std::string& dtype) const {
    const nlohmann::json& e = entry(tensor);
    if (e.at("dtype") != dtype) throw std::runtime_error(tensor + " is not " + dtype);
    const auto begin = e.at("data_offsets").at(0).get<size_t>();
    const auto end = e.at("data_offsets").at(1).get<size_t>();
    if (begin > end || end > data_.size()) throw std::runtime_error(path_ + " is truncated at " + tensor);
    std::vector<T> out((end - begin) / sizeof(T));
    std::memcpy(out.data(), data_.data() + begin, out.size() * sizeof(T));
    return out;
  }

  std::string path_;
  nlohmann::json header_;
  std::vector<char> data_;
};

}  // namespace dsv4_test
