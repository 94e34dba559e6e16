// Files for tests: a directory that is gone afterwards, whole files as bytes, and a safetensors reader of the tests' own.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dsv4/error.h"

namespace dsv4::testing_support {

/// A fresh directory, removed with everything in it at the end of its life.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::path(testing::TempDir()) / "dsv4_test_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  EXPECT_TRUE(in.is_open()) << file;
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void write_file(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream out(file, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  EXPECT_TRUE(out) << file;
}

/// Names in a directory, ascending.
inline std::vector<std::string> names_in(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  for (const auto& item : std::filesystem::directory_iterator(directory)) names.push_back(item.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// What `call` says when it fails, which has to be one line; empty when it does not.
template <class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    return text;
  }
  return {};
}

/// A safetensors file in memory: its header as JSON, its data as bytes.
class StoredTensors {
 public:
  explicit StoredTensors(const std::filesystem::path& file) : bytes_(read_file(file)) {
    uint64_t length = 0;
    std::memcpy(&length, bytes_.data(), sizeof length);
    header_ = nlohmann::json::parse(bytes_.substr(8, length));
    header_.erase("__metadata__");
    data_ = 8 + length;
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, entry] : header_.items()) names.push_back(name);
    return names;
  }
  bool contains(const std::string& name) const { return header_.contains(name); }
  std::string dtype(const std::string& name) const { return header_.at(name).at("dtype"); }
  std::vector<int64_t> shape(const std::string& name) const { return header_.at(name).at("shape"); }
  /// First byte of the tensor in the file.
  size_t place(const std::string& name) const { return data_ + header_.at(name).at("data_offsets").at(0).get<size_t>(); }
  std::string bytes(const std::string& name) const {
    const auto& offsets = header_.at(name).at("data_offsets");
    return bytes_.substr(data_ + offsets[0].get<size_t>(), offsets[1].get<size_t>() - offsets[0].get<size_t>());
  }
  template <class T>
  std::vector<T> values(const std::string& name) const {
    const std::string raw = bytes(name);
    std::vector<T> values(raw.size() / sizeof(T));
    std::memcpy(values.data(), raw.data(), values.size() * sizeof(T));
    return values;
  }

 private:
  std::string bytes_;
  nlohmann::json header_;
  size_t data_ = 0;
};

}  // namespace dsv4::testing_support
