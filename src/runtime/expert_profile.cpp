// Writing and reading of usage profiles.
#include "runtime/expert_profile.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>
#include <system_error>

#include "checkpoint/quote.h"
#include "checkpoint/small_file.h"
#include "dsv4/error.h"
#include "runtime/fingerprint.h"
#include "runtime/new_file.h"

namespace dsv4 {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFirstWords = "dsv4 expert profile 1, ";
constexpr size_t kDigits = 32, kFloat = 4;
constexpr size_t kMostExperts = size_t{1} << 22;  // of all layers: a thousand times V4-Pro's
constexpr SmallFileKind kKind = {"expert profile", "a file that --expert-profile wrote", kMostExperts* kFloat + 256};

std::string digest_of(std::string_view text) {
  Digest digest;
  digest.add(text);
  return digest.text();
}

std::string first_line(size_t layers, size_t experts) { return concat(kFirstWords, layers, " x ", experts, "\n"); }

/// Takes a number and what follows it off the front of `text`.
std::optional<size_t> take_number(std::string_view& text, std::string_view after) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (!text.starts_with(after) || number < 1 || number > kMostExperts) return std::nullopt;
  text.remove_prefix(after.size());
  return number;
}

}  // namespace

std::string expert_profile_text(const ExpertProfile& profile) {
  std::string text = first_line(profile.layers, profile.experts);
  for (const float frequency : profile.frequencies) {
    const auto bits = std::bit_cast<uint32_t>(frequency);
    for (unsigned shift = 0; shift < 32; shift += 8) text += static_cast<char>(bits >> shift & 0xFFu);
  }
  return text + digest_of(text);
}

ExpertProfile parse_expert_profile(const std::string& text, const std::string& file) {
  constexpr const char* kRemedy = "; delete it, and this run writes a new one";
  std::string_view left = text;
  if (!left.starts_with(kFirstWords)) fail(file, ": is no expert profile; expected ", kKind.expected);
  left.remove_prefix(kFirstWords.size());
  const std::optional<size_t> layers = take_number(left, " x "), experts = layers ? take_number(left, "\n") : std::nullopt;
  if (!experts || *layers > kMostExperts / *experts || !text.starts_with(first_line(*layers, *experts)))
    fail(file, ": the expert profile is damaged: its first line says no sizes", kRemedy);
  const size_t count = *layers * *experts;
  if (left.size() != count * kFloat + kDigits) {
    fail(file, ": the expert profile is damaged: ", left.size(), " bytes after its first line, expected ", count * kFloat + kDigits,
         kRemedy);
  }
  if (left.substr(count * kFloat) != digest_of(std::string_view(text).substr(0, text.size() - kDigits)))
    fail(file, ": the expert profile is damaged: its bytes are not those that were written", kRemedy);
  ExpertProfile profile{*layers, *experts, {}};
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits = 0;
    for (unsigned b = 0; b < kFloat; ++b) bits |= uint32_t{static_cast<unsigned char>(left[i * kFloat + b])} << (8 * b);
    profile.frequencies.push_back(std::bit_cast<float>(bits));
    if (!std::isfinite(profile.frequencies.back()) || profile.frequencies.back() < 0.0f)
      fail(file, ": the expert profile is damaged: number ", i, " is no frequency", kRemedy);
  }
  return profile;
}

std::optional<ExpertProfile> read_expert_profile(const fs::path& file, size_t layers, size_t experts) {
  std::error_code ec;
  if (!fs::exists(file, ec)) return std::nullopt;
  const ExpertProfile profile = parse_expert_profile(read_named_file(file, kKind), path_text(file));
  if (profile.layers != layers || profile.experts != experts) {
    fail(path_text(file), ": the expert profile is of a model of ", profile.layers, " layers with ", profile.experts,
         " experts each; this one has ", layers, " with ", experts, "; give another file");
  }
  return profile;
}

void write_expert_profile(const fs::path& file, const ExpertProfile& profile) {
  const std::string text = expert_profile_text(profile);
  NewFile out(file);
  out.write(std::as_bytes(std::span(text)));
  out.finish();
}

}  // namespace dsv4
