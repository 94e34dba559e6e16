// Conversions that are stopped: by request, by SIGKILL, by a disk that is full; and what the next one makes of what they left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "convert/convert.h"
#include "support/files.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace testing_support;
namespace fs = std::filesystem;

const fs::path kGoldens = fs::path(DSV4_TEST_DATA) / "goldens";

class Stopped : public testing::Test {
 protected:
  fs::path output() const { return directory_.path() / "model"; }
  fs::path partial() const { return directory_.path() / "model.partial"; }

  ConvertOptions options(WeightFormat format = WeightFormat::kInt4) {
    ConvertOptions o;
    o.checkpoint = checkpoint_;
    o.output = output();
    o.compression.format = format;
    o.compression.fallback = GroupSizeFallback::kAdjust;
    o.record_bytes = 1 << 18;  // often, so that there is something to go on from in a small model
    o.notice = [this](const std::string& line) { notices_ += line + "\n"; };
    return o;
  }

  /// The .bin of a conversion that nothing disturbs.
  std::string undisturbed(ConvertOptions o) const {
    o.output = directory_.path() / "undisturbed";
    o.notice = nullptr;
    o.progress = nullptr;
    o.stop = nullptr;
    convert(o);
    const std::string bin = read_file(o.output / "openvino_model.bin");
    fs::remove_all(o.output);
    return bin;
  }

  /// Bytes that the run reported as done when it began.
  uint64_t begins_at(ConvertOptions o) {
    uint64_t first = 0;
    bool seen = false;
    o.progress = [&](uint64_t done, uint64_t) {
      if (!std::exchange(seen, true)) first = done;
    };
    convert(o);
    return first;
  }

  /// Runs the conversion in a process of its own, which kills itself after half of the bytes.
  void killed_half_way(const ConvertOptions& o) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ConvertOptions doomed = o;
      doomed.progress = [](uint64_t done, uint64_t total) {
        if (done > total / 2) std::raise(SIGKILL);
      };
      convert(doomed);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  }

  /// From now on the checkpoint is one that a test may change.
  void use_a_copy() {
    const fs::path copy = directory_.path() / "checkpoint";
    fs::copy(checkpoint_, copy);
    checkpoint_ = copy;
  }

  /// Another number in the first weight that is converted; size and time of modification stay. Returns the shard.
  fs::path change_first_weight() const {
    for (const std::string& name : names_in(checkpoint_)) {
      const fs::path file = checkpoint_ / name;
      if (!name.starts_with("model-") || !StoredTensors(file).contains("embed.weight")) continue;
      const auto time = fs::last_write_time(file);
      std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
      out.seekp(static_cast<std::streamoff>(StoredTensors(file).place("embed.weight")));
      out.put(static_cast<char>(StoredTensors(file).bytes("embed.weight")[0] ^ 1));
      out.close();
      EXPECT_TRUE(out);
      fs::last_write_time(file, time);
      return file;
    }
    ADD_FAILURE() << "no embed.weight";
    return {};
  }

  TemporaryDirectory directory_;
  fs::path checkpoint_ = kGoldens / "hash";
  std::string notices_;
};

TEST_F(Stopped, ByRequestGoesOnWhereItWas) {
  for (const WeightFormat format : {WeightFormat::kFp16, WeightFormat::kInt4, WeightFormat::kMxfp4}) {
    SCOPED_TRACE(weight_format_name(format));
    std::atomic<bool> stop = false;
    ConvertOptions o = options(format);
    o.stop = &stop;
    o.progress = [&](uint64_t done, uint64_t total) { stop = done > total / 2; };
    EXPECT_THAT(error_of([&] { convert(o); }), AllOf(HasSubstr("interrupted"), HasSubstr(partial().string())));
    EXPECT_FALSE(fs::exists(output())) << "half a model under the final name";
    ASSERT_TRUE(fs::exists(partial()));

    o = options(format);
    EXPECT_GT(begins_at(o), 0u) << "it began anew";
    EXPECT_THAT(notices_, HasSubstr("going on"));
    EXPECT_THAT(names_in(directory_.path()), ElementsAre("model"));
    for (const std::string& name : names_in(output())) EXPECT_NE(name[0], '.') << name << ": a record was left";
    EXPECT_TRUE(read_file(output() / "openvino_model.bin") == undisturbed(o));
    fs::remove_all(output());
    notices_.clear();
  }
}

TEST_F(Stopped, BySigkillGoesOnWhereItWas) {
  const ConvertOptions o = options();
  killed_half_way(o);
  EXPECT_FALSE(fs::exists(output()));
  EXPECT_GT(begins_at(o), 0u);
  EXPECT_TRUE(read_file(output() / "openvino_model.bin") == undisturbed(o));
}

TEST_F(Stopped, TwiceGoesOnTwice) {
  const ConvertOptions o = options();
  killed_half_way(o);
  ConvertOptions again = o;
  std::atomic<bool> stop = false;
  again.stop = &stop;
  again.progress = [&](uint64_t done, uint64_t total) { stop = done > total / 4 * 3; };
  EXPECT_THAT(error_of([&] { convert(again); }), HasSubstr("interrupted"));
  EXPECT_GT(begins_at(o), 0u);
  EXPECT_TRUE(read_file(output() / "openvino_model.bin") == undisturbed(o));
}

TEST_F(Stopped, StartsAnewWithOtherOptionsAndSaysSo) {
  killed_half_way(options(WeightFormat::kInt4));
  const ConvertOptions other = options(WeightFormat::kInt8);
  EXPECT_EQ(begins_at(other), 0u);
  EXPECT_THAT(notices_, AllOf(HasSubstr("starts anew"), HasSubstr("options")));
  EXPECT_TRUE(read_file(output() / "openvino_model.bin") == undisturbed(other));
}

TEST_F(Stopped, StartsAnewWithOtherWeightsOfTheSameSizeAndTimeAndNamesTheShard) {
  use_a_copy();
  killed_half_way(options());
  const fs::path shard = change_first_weight();
  EXPECT_EQ(begins_at(options()), 0u);
  EXPECT_THAT(notices_, AllOf(HasSubstr("starts anew"), HasSubstr(shard.filename().string())));
  EXPECT_TRUE(read_file(output() / "openvino_model.bin") == undisturbed(options()));
}

TEST_F(Stopped, GoesOnWithTheSameWeightsInOtherFiles) {
  use_a_copy();
  killed_half_way(options());
  for (const std::string& name : names_in(checkpoint_)) {  // as a second download: other inodes and times
    const fs::path file = checkpoint_ / name, again = checkpoint_ / (name + ".again");
    fs::copy_file(file, again);
    fs::rename(again, file);
  }
  uint64_t read_again = 0;
  ConvertOptions o = options();
  o.check_progress = [&](uint64_t done, uint64_t) { read_again = done; };
  EXPECT_GT(begins_at(o), 0u);
  EXPECT_GT(read_again, 0u);
  EXPECT_THAT(notices_, HasSubstr("going on"));
  EXPECT_TRUE(read_file(output() / "openvino_model.bin") == undisturbed(options()));
}

TEST_F(Stopped, WhileItReadsAgainLosesNothing) {
  killed_half_way(options());
  std::atomic<bool> stop = false;
  ConvertOptions o = options();
  o.stop = &stop;
  o.check_progress = [&](uint64_t, uint64_t) { stop = true; };
  EXPECT_THAT(error_of([&] { convert(o); }), AllOf(HasSubstr("interrupted"), HasSubstr("the same command goes on")));
  EXPECT_GT(begins_at(options()), 0u);
  EXPECT_TRUE(read_file(output() / "openvino_model.bin") == undisturbed(options()));
}

TEST_F(Stopped, StartsAnewWhenTheBinIsNotAsItWasLeft) {
  const std::string right = undisturbed(options());
  const auto damaged = [&](const std::function<void(const fs::path& bin)>& damage) {
    killed_half_way(options());
    damage(partial() / "openvino_model.bin");
    EXPECT_EQ(begins_at(options()), 0u);
    EXPECT_THAT(notices_, AllOf(HasSubstr("starts anew"), HasSubstr("openvino_model.bin")));
    EXPECT_TRUE(read_file(output() / "openvino_model.bin") == right);
    fs::remove_all(output());
    notices_.clear();
  };
  damaged([](const fs::path& bin) { fs::remove(bin); });
  damaged([](const fs::path& bin) { fs::resize_file(bin, 100); });
  damaged([](const fs::path& bin) {
    std::string bytes = read_file(bin);
    bytes[1000] = static_cast<char>(bytes[1000] ^ 1);
    write_file(bin, bytes);
  });
}

TEST_F(Stopped, StartsAnewWithOtherGraphOptionsAndTheBinHasItsLength) {
  killed_half_way(options());
  ConvertOptions other = options();
  other.stateful = false;
  EXPECT_EQ(begins_at(other), 0u);
  EXPECT_THAT(notices_, AllOf(HasSubstr("starts anew"), HasSubstr("graph options")));
  EXPECT_TRUE(read_file(output() / "openvino_model.bin") == undisturbed(other));
}

TEST_F(Stopped, StartsAnewWhenASmallFileIsAnother) {
  use_a_copy();
  killed_half_way(options());
  write_file(checkpoint_ / "LICENSE", "another");
  EXPECT_EQ(begins_at(options()), 0u);
  EXPECT_THAT(notices_, AllOf(HasSubstr("starts anew"), HasSubstr("checkpoint file LICENSE")));
  EXPECT_EQ(read_file(output() / "LICENSE"), "another");
}

TEST_F(Stopped, ABinThatIsTooLongIsCut) {
  killed_half_way(options());
  const fs::path bin = partial() / "openvino_model.bin";
  fs::resize_file(bin, fs::file_size(bin) + 1000);
  EXPECT_GT(begins_at(options()), 0u);
  EXPECT_TRUE(read_file(output() / "openvino_model.bin") == undisturbed(options()));
}

TEST_F(Stopped, SmallFilesAreThoseOfTheBeginning) {
  use_a_copy();
  write_file(checkpoint_ / "LICENSE", "the first");
  const std::string config = read_file(checkpoint_ / "config.json");
  ConvertOptions o = options();
  o.progress = [&](uint64_t done, uint64_t) {
    if (done == 0) return;
    write_file(checkpoint_ / "config.json", "{");
    write_file(checkpoint_ / "generation_config.json", "{");
    write_file(checkpoint_ / "LICENSE", "the second");
  };
  convert(o);
  EXPECT_EQ(read_file(output() / "LICENSE"), "the first");
  auto written = nlohmann::ordered_json::parse(read_file(output() / "config.json")), expected = nlohmann::ordered_json::parse(config);
  for (const char* field : {"auto_map", "rope_parameters"}) written.erase(field);
  for (const char* field : {"quantization_config", "rope_scaling"}) expected.erase(field);
  EXPECT_EQ(written, expected);
  EXPECT_EQ(nlohmann::json::parse(read_file(output() / "generation_config.json")).count("do_sample"), 1u) << "the one that is made";
}

TEST_F(Stopped, AShardThatIsTouchedMeanwhileIsReadAgain) {
  use_a_copy();
  ConvertOptions o = options();
  uint64_t read_again = 0;
  o.check_progress = [&](uint64_t done, uint64_t) { read_again = done; };
  o.progress = [&](uint64_t done, uint64_t total) {
    if (done < total / 2) return;
    for (const std::string& name : names_in(checkpoint_)) fs::permissions(checkpoint_ / name, fs::perms::owner_all);
  };
  convert(o);
  EXPECT_GT(read_again, 0u);
  EXPECT_TRUE(read_file(output() / "openvino_model.bin") == undisturbed(options()));
}

TEST_F(Stopped, AShardThatIsChangedBehindItsTimeIsFound) {
  use_a_copy();
  ConvertOptions o = options();
  bool changed = false;
  o.progress = [&](uint64_t done, uint64_t total) {
    if (done > total / 2 && !std::exchange(changed, true)) change_first_weight();
  };
  EXPECT_THAT(error_of([&] { convert(o); }), AllOf(HasSubstr(".safetensors"), HasSubstr("changed while it was read")));
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("checkpoint"));
}

TEST_F(Stopped, StartsAnewWithoutAReadableRecord) {
  const std::string right = undisturbed(options());
  for (const std::string& damage : {std::string(), std::string("{"), std::string("[]"), std::string(R"({"identity":{},"pieces":-1})"),
                                    std::string(R"({"identity":3,"pieces":1})"), std::string(1 << 10, '[')}) {
    SCOPED_TRACE(damage.substr(0, 40));
    killed_half_way(options());
    write_file(partial() / ".dsv4-progress.json", damage);
    EXPECT_EQ(begins_at(options()), 0u);
    EXPECT_THAT(notices_, HasSubstr("starts anew"));
    EXPECT_TRUE(read_file(output() / "openvino_model.bin") == right);
    fs::remove_all(output());
  }
}

TEST_F(Stopped, StartsAnewWithARecordThatCannotBe) {
  const std::string right = undisturbed(options());
  using Json = nlohmann::ordered_json;
  const auto changed = [&](const std::function<void(Json & finished)>& change) {
    killed_half_way(options());
    const fs::path record = partial() / ".dsv4-progress.json";
    Json json = Json::parse(read_file(record));
    change(json["finished"]);
    SCOPED_TRACE(json["finished"].dump());
    write_file(record, json.dump());
    EXPECT_EQ(begins_at(options()), 0u);
    EXPECT_THAT(notices_, HasSubstr("starts anew"));
    EXPECT_TRUE(read_file(output() / "openvino_model.bin") == right);
    fs::remove_all(output());
    notices_.clear();
  };
  changed([](Json& finished) { finished["pieces"] = uint64_t{1} << 60; });
  changed([](Json& finished) { finished["bin bytes"] = uint64_t{1} << 60; });
  changed([](Json& finished) { finished["xxh3_128 of these"] = std::string(32, '0'); });
  changed([](Json& finished) { finished["xxh3_128 of these"] = std::string(32, 'x'); });
  changed([](Json& finished) { finished["shards"] = Json::object(); });
  changed([](Json& finished) {
    for (auto& [name, shard] : finished["shards"].items()) shard["inode"] = 1, shard["xxh3_128 of what was read"] = std::string(32, '1');
  });
}

TEST_F(Stopped, AnOutputThatAppearsMeanwhileIsLeftAloneAndTheWorkStays) {
  ConvertOptions o = options();
  o.progress = [&](uint64_t done, uint64_t) {
    if (done == 0 || fs::exists(output())) return;
    fs::create_directory(output());
    write_file(output() / "precious", "data");
  };
  EXPECT_THAT(error_of([&] { convert(o); }), AllOf(HasSubstr("cannot get the name"), HasSubstr("the same command goes on")));
  EXPECT_THAT(names_in(output()), ElementsAre("precious"));
  EXPECT_TRUE(fs::exists(partial()));
  fs::remove_all(output());
  const uint64_t first = begins_at(options());
  EXPECT_GT(first, fs::file_size(output() / "openvino_model.bin") / 2) << "it was made again";
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("model"));
  EXPECT_TRUE(read_file(output() / "openvino_model.bin") == undisturbed(options()));
}

TEST_F(Stopped, ACheckpointThatChangesMeanwhileIsNamedAndNothingStays) {
  const fs::path copy = directory_.path() / "checkpoint";
  fs::copy(checkpoint_, copy);
  checkpoint_ = copy;
  const std::string shard = "model-00001-of-00002.safetensors";
  ConvertOptions o = options();
  o.progress = [&](uint64_t done, uint64_t total) {
    if (done > total / 2) fs::last_write_time(copy / shard, fs::last_write_time(copy / shard) + std::chrono::seconds(5));
  };
  EXPECT_THAT(error_of([&] { convert(o); }), AllOf(HasSubstr(shard), HasSubstr("changed")));
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("checkpoint"));
}

TEST_F(Stopped, ACheckpointThatEndsEarlyMeanwhileIsNamedAndNothingStays) {
  const fs::path copy = directory_.path() / "checkpoint";
  fs::copy(checkpoint_, copy);
  checkpoint_ = copy;
  const std::string shard = "model-00002-of-00002.safetensors";
  ConvertOptions o = options();
  o.progress = [&](uint64_t done, uint64_t) {
    if (done > 0 && fs::file_size(copy / shard) > 4096) fs::resize_file(copy / shard, 4096);
  };
  EXPECT_THAT(error_of([&] { convert(o); }), AllOf(HasSubstr(shard), HasSubstr("truncated")));
  EXPECT_THAT(names_in(directory_.path()), ElementsAre("checkpoint"));
}

TEST_F(Stopped, AnotherConversionToTheSameNameIsRefusedMeanwhile) {
  ConvertOptions o = options();
  std::string message;
  o.progress = [&](uint64_t, uint64_t) {
    if (message.empty()) message = error_of([&] { convert(options()); });
  };
  convert(o);
  EXPECT_THAT(message, AllOf(HasSubstr("another conversion"), HasSubstr(partial().string())));
  EXPECT_TRUE(read_file(output() / "openvino_model.bin") == undisturbed(options()));
}

TEST_F(Stopped, WhatIsNoPartialConversionIsLeftAlone) {
  fs::create_directory(partial());
  write_file(partial() / "precious", "data");
  EXPECT_THAT(error_of([&] { convert(options()); }), AllOf(HasSubstr(partial().string()), HasSubstr("remove it")));
  EXPECT_THAT(names_in(partial()), ElementsAre("precious"));
  fs::remove_all(partial());
  write_file(partial(), "a file");
  EXPECT_THAT(error_of([&] { convert(options()); }), HasSubstr(partial().string()));
  EXPECT_EQ(read_file(partial()), "a file");
}

/// Runs the conversion in a process of its own that may write files of `bytes` only, which stands for a full disk. The exit code says what it threw:
/// 7 a WriteError that names the partial folder, 8 another WriteError that names a file of the folder, 9 anything else.
int converts_with_room_for(uint64_t bytes, const ConvertOptions& o) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {bytes, bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      convert(o);
    } catch (const WriteError& error) {
      const std::string text = error.what();
      const bool file = text.find("model.partial/") != std::string::npos;
      ::_exit(!file ? 9 : text.find("model.partial") + 15 < text.size() && text.find("goes on") != std::string::npos ? 7 : 8);
    } catch (...) {
      ::_exit(9);
    }
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(Stopped, AKilledOneThatWentPastThePageCacheGoesOnEitherWay) {
  const std::string expected = undisturbed(options());
  for (const uint64_t direct_bytes : {uint64_t{0}, ~uint64_t{0}}) {
    ConvertOptions direct = options();
    direct.direct_bytes = 0;
    killed_half_way(direct);
    ConvertOptions next = options();
    next.direct_bytes = direct_bytes;
    EXPECT_GT(begins_at(next), 0u);
    EXPECT_TRUE(read_file(output() / "openvino_model.bin") == expected);
    fs::remove_all(output());
  }
}

TEST_F(Stopped, ADiskWithoutRoomIsFoundBeforeAnyWorkAndLeavesNothing) {
  EXPECT_EQ(converts_with_room_for(1 << 20, options()), 8);
  EXPECT_THAT(names_in(directory_.path()), IsEmpty());
}

TEST_F(Stopped, ADiskThatIsFullWhenItGoesOnKeepsWhatIsFinished) {
  killed_half_way(options());
  EXPECT_EQ(converts_with_room_for(1 << 10, options()), 7);
  EXPECT_FALSE(fs::exists(output()));
  EXPECT_GT(begins_at(options()), 0u);
  EXPECT_TRUE(read_file(output() / "openvino_model.bin") == undisturbed(options()));
}

}  // namespace
}  // namespace dsv4
