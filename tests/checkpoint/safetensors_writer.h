// Writes safetensors files and checkpoint directories for tests. Shares no code with the reader: headers are put together as text.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace dsv4::test {

/// One tensor as it is to be stored: spelling of the dtype and little-endian data.
struct RawTensor {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::string data;
};

/// The eight bytes of a header length.
inline std::string length_field(uint64_t length) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(length >> (8 * i));
  return bytes;
}

/// Length field, header and data.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  return length_field(header.size()) + header + data;
}

/// The header entry of a tensor whose data are [begin, end).
inline std::string header_entry(const RawTensor& tensor, uint64_t begin, uint64_t end) {
  std::string shape;
  for (const int64_t dim : tensor.shape) shape += (shape.empty() ? "" : ",") + std::to_string(dim);
  return "\"" + tensor.name + "\":{\"dtype\":\"" + tensor.dtype + "\",\"shape\":[" + shape + "],\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

/// A whole file with the tensors one after another. `metadata` is the JSON text of an object, or empty for none.
inline std::string safetensors_bytes(const std::vector<RawTensor>& tensors, const std::string& metadata = "") {
  std::string header, data;
  if (!metadata.empty()) header = "\"__metadata__\":" + metadata;
  for (const RawTensor& tensor : tensors) {
    if (!header.empty()) header += ",";
    header += header_entry(tensor, data.size(), data.size() + tensor.data.size());
    data += tensor.data;
  }
  return safetensors_bytes("{" + header + "}", data);
}

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// The text of an index: tensor name and file name, in this order.
inline std::string index_text(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string map;
  for (const auto& [tensor, shard] : entries) map += (map.empty() ? "\"" : ",\"") + tensor + "\":\"" + shard + "\"";
  return "{\"metadata\":{\"total_size\":1},\"weight_map\":{" + map + "}}";
}

/// config.json and model.safetensors.
inline void write_checkpoint(const std::filesystem::path& directory, const std::string& config, const std::vector<RawTensor>& tensors) {
  std::filesystem::create_directories(directory);
  write_file(directory / "config.json", config);
  write_file(directory / "model.safetensors", safetensors_bytes(tensors));
}

/// config.json, two shards of half the tensors each, and their index.
inline void write_sharded_checkpoint(const std::filesystem::path& directory, const std::string& config,
                                     const std::vector<RawTensor>& tensors) {
  std::filesystem::create_directories(directory);
  write_file(directory / "config.json", config);
  const std::string names[2] = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"};
  std::vector<std::pair<std::string, std::string>> entries;
  for (size_t shard = 0; shard < 2; ++shard) {
    const auto middle = static_cast<std::ptrdiff_t>(tensors.size() / 2);
    const std::vector<RawTensor> part(shard == 0 ? tensors.begin() : tensors.begin() + middle,
                                      shard == 0 ? tensors.begin() + middle : tensors.end());
    for (const RawTensor& tensor : part) entries.emplace_back(tensor.name, names[shard]);
    write_file(directory / names[shard], safetensors_bytes(part));
  }
  write_file(directory / "model.safetensors.index.json", index_text(entries));
}

/// The bytes of numbers of one type.
template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// A directory of its own, deleted at the end of the test.
class TempDir {
 public:
  TempDir() {
    std::string pattern = testing::TempDir() + "/dsv4_XXXXXX";
    if (!mkdtemp(pattern.data())) throw std::runtime_error("cannot create " + pattern);
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace dsv4::test
