// What the fuzz target of model folders runs: a small folder with damaged files and no list that says what they were. It is refused in one line that names it, or it computes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/tiny_checkpoint.h"
#include "convert/convert.h"
#include "dsv4/session.h"
#include "fuzz/targets.h"
#include "runtime/errors.h"
#include "runtime/read_ir.h"
#include "runtime/stated_config.h"
#include "runtime/stored_formats.h"
#include "support/files.h"

namespace dsv4::fuzz {

/// A converted checkpoint of a few kilobytes, in INT4 with every kind of layer; made once.
class SmallFolder {
 public:
  static constexpr const char* kFiles[] = {"config.json", "openvino_model.xml", "openvino_model.bin"};

  static const SmallFolder& get() {
    static const SmallFolder folder;
    return folder;
  }
  const std::vector<std::string>& files() const { return files_; }
  const std::filesystem::path& damaged() const { return damaged_; }

 private:
  SmallFolder() {
    const std::filesystem::path checkpoint = directory_.path() / "checkpoint";
    std::filesystem::create_directory(checkpoint);
    const std::string config = test::tiny_config({{"num_hidden_layers", 3}, {"compress_ratios", {0, 4, 128}}});
    testing_support::write_file(checkpoint / "config.json", config);
    testing_support::write_file(checkpoint / "model.safetensors", test::safetensors_bytes(test::random_tensors(config)));
    ConvertOptions options;
    options.checkpoint = checkpoint;
    options.output = directory_.path() / "folder";
    options.compression.format = WeightFormat::kInt4;
    options.compression.group_size = 16;
    options.compression.fallback = GroupSizeFallback::kAdjust;
    convert(options);
    for (const char* name : kFiles) files_.push_back(testing_support::read_file(options.output / name));
    std::filesystem::create_directory(damaged_);
  }

  testing_support::TemporaryDirectory directory_;
  std::vector<std::string> files_;
  std::filesystem::path damaged_ = directory_.path() / "damaged";
};

/// Six bytes a damage: which file and how; where, as a share of it; how much and with what.
inline void damage(std::vector<std::string>& files, std::span<const uint8_t> six) {
  constexpr const char* kWords[] = {"0", "1",  "-1", "3", "4294967296", "18446744073709551615", "u4", "f32", "i64", "\"", "<",
                                    ">", "/>", ",",  "",  "null"};
  std::string& file = files[six[0] % files.size()];
  if (file.empty()) return;
  const size_t at = (static_cast<size_t>(six[2]) * 65536 + static_cast<size_t>(six[3]) * 256 + six[4]) * file.size() / (1u << 24);
  const size_t length = std::min<size_t>(six[1] >> 4, file.size() - at);
  const std::string word = kWords[six[5] % std::size(kWords)];
  switch (six[1] % 6) {
    case 0:
      file[at] = static_cast<char>(six[5]);
      break;
    case 1:
      file.erase(at, length);
      break;
    case 2:
      file.insert(at, word);
      break;
    case 3:
      file.insert(at, file.substr(at, length));
      break;
    case 4: {  // the next number
      const size_t first = file.find_first_of("0123456789", at), last = file.find_first_not_of("0123456789", first);
      if (first != std::string::npos) file.replace(first, std::min(last, file.size()) - first, word);
      break;
    }
    default:
      if (six[5] < 16) file.resize(at);
  }
}

/// Tells whether the folder was taken and computed.
inline bool model_folder(std::span<const uint8_t> bytes) {
  const SmallFolder& folder = SmallFolder::get();
  std::vector<std::string> files = folder.files();
  bool whole = false;
  for (size_t i = 0; i + 6 <= bytes.size() && i < 48; i += 6) {
    damage(files, bytes.subspan(i, 6));
    whole = whole || bytes[i + 5] % 4 == 0;
  }
  for (size_t i = 0; i < files.size(); ++i) testing_support::write_file(folder.damaged() / SmallFolder::kFiles[i], files[i]);
  try {
    const Config config = read_config(folder.damaged());
    const std::shared_ptr<ov::Model> ir = read_ir(folder.damaged());
    check_stated_config(config, *ir, folder.damaged());
    in_file(folder.damaged(), [&] {
      check_weights(*ir, config);
      check_tables(*ir, config);
    });
    if (!whole) return true;
    EngineOptions options;
    options.program = Program::kCpu;
    options.threads = 1;
    options.context = 16;
    const Engine engine(folder.damaged(), options);
    Session session(engine);
    const std::vector<int64_t> tokens = {1, 2, 3};
    require(session.feed(tokens).size() == static_cast<size_t>(engine.vocab_size()), "logits of the vocabulary");
    return true;
  } catch (const Error& error) {
    require_one_line(error, folder.damaged().string());
    return false;
  }
}

}  // namespace dsv4::fuzz
