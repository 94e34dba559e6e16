// Names of the options' values.
#include "cli/engine_options.h"

#include <charconv>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cli/messages.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

template <class T>
using Names = std::vector<std::pair<std::string, T>>;

const Names<Program> kPrograms = {{"auto", Program::kAuto}, {"cpu", Program::kCpu}, {"portable", Program::kPortable}};
const Names<WeightMemory> kWeightMemory = {{"auto", WeightMemory::kAuto},
                                           {"map", WeightMemory::kMap},
                                           {"load", WeightMemory::kLoad},
                                           {"lock", WeightMemory::kLock},
                                           {"stream", WeightMemory::kStream}};
const Names<ActivationRounding> kActivations = {{"int8", ActivationRounding::kInt8}, {"f32", ActivationRounding::kF32}};
const Names<CachePrecision> kCaches = {{"bf16", CachePrecision::kBF16}, {"f32", CachePrecision::kF32}};

template <class T>
const std::string& name_of(T value, const Names<T>& names) {
  for (const auto& [name, known] : names) {
    if (known == value) return name;
  }
  throw std::logic_error("an option without a name");
}

template <class T>
void add_choice(Command& command, const std::string& flag, T& value, const Names<T>& names, const std::string& description) {
  const auto set = [&value, &names, flag](const std::string& text) {
    std::string known;
    for (const auto& [name, candidate] : names) {
      if (name == text) {
        value = candidate;
        return;
      }
      known += (known.empty() ? "" : ", ") + name;
    }
    throw UsageError(concat(flag, " ", text, ": expected one of ", known));
  };
  std::vector<std::string> words;
  for (const auto& [name, known] : names) words.push_back(name);
  command.word(flag, set, name_of(value, names), description).choices(words);
}

/// "12.5" -> 12500000000.
int64_t gigabytes_of(const std::string& text, const char* flag) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0.0) || value > 1e6)
    throw UsageError(concat(flag, " ", text, ": expected a number of GB, more than 0 and at most 1000000"));
  return static_cast<int64_t>(value * 1e9);
}

}  // namespace

void add_engine_options(Command& command, EngineOptions& options, Threads threads) {
  command.group("How the model runs");
  add_choice(command, "--program", options.program, kPrograms,
             "cpu: dsv4's own ops over the mapped weights; portable: the folder's openvino_model.xml in float32; auto: cpu where it can");
  add_choice(command, "--activations", options.activations, kActivations,
             "CPU program: int8 rounds the inputs of products with compressed weights, in groups of 32; f32 is exact and slower");
  add_choice(command, "--weights", options.weights, kWeightMemory,
             "CPU program: map reads them from the mapped file, load copies them into memory, lock keeps the mapped file in RAM, stream "
             "reads routed experts from the "
             "drive into a cache, for a model larger than memory; auto: map where the model fits, else stream");
  command
      .word(
          "--expert-cache", [&options](const std::string& text) { options.expert_cache_bytes = gigabytes_of(text, "--expert-cache"); },
          "what the machine leaves", "--weights stream: most memory for routed experts, in GB")
      .value("GB");
  command
      .option("--expert-profile", options.expert_profile,
              "--weights stream: which experts are used most, read from this file if it is there, so that they are in memory sooner, and "
              "written at the end")
      .value("FILE");
  add_choice(command, "--cache", options.cache, kCaches, "CPU program: precision of the cache");
  command.flag("--quantize-cache", options.quantize_cache, "CPU program: round the cache to FP8 and FP4 values, as the model was trained");
  command.option("-d,--device", options.device, "OpenVINO device of the portable program; only CPU is tested")
      .shows_default()
      .value("NAME");
  if (threads == Threads::kOfTheCommand) return;
  command
      .option("-t,--threads", options.threads, "Inference threads, on the CPU no more than there are processors; 0: the device's default")
      .shows_default()
      .within(0, kMostThreads);
}

Engine open_engine(const std::filesystem::path& folder, EngineOptions options, bool quiet) {
  if (!quiet) options.notice = [](const std::string& line) { print_notice(line); };
  return Engine(folder, options);
}

std::string program_name(Program program) { return name_of(program, kPrograms); }

}  // namespace dsv4
