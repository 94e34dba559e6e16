// Which weights each format takes, against rules written out by hand; that NNCF itself chooses the same is test_nncf_ir.py's to show.
#include "convert/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "dsv4/error.h"
#include "support/files.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using namespace testing_support;
namespace fs = std::filesystem;

const fs::path kData = DSV4_TEST_DATA;

float no_error(const WeightUnit&) { throw std::logic_error("no error was to be asked for"); }

std::vector<WeightUnit> units_of(const std::string& golden) {
  const Config config = read_config(kData / "goldens" / golden);
  return weight_units(config, tensor_table(config));
}

std::map<std::string, StoredFormat> forms_of(const std::vector<WeightUnit>& units, const CompressionOptions& options,
                                             const std::function<float(const WeightUnit&)>& error = no_error) {
  const std::vector<StoredFormat> forms = choose_forms(units, options, error);
  std::map<std::string, StoredFormat> by_name;
  for (size_t i = 0; i < units.size(); ++i) by_name[units[i].name] = forms[i];
  return by_name;
}

CompressionOptions int4(int64_t group) {
  CompressionOptions options;
  options.format = WeightFormat::kInt4;
  options.group_size = group;
  return options;
}

StoredFormat integer(NumberFormat type, int64_t group) { return {type, group}; }

bool is_published_coarse(const WeightUnit& unit) {
  return unit.published == NumberFormat::kF8E4M3 || unit.published == NumberFormat::kF4E2M1;
}

TEST(TrainedSelection, QuantisesWhatIsPublishedCoarseAndTheVocabulary) {
  for (const char* golden : {"toy", "hash"}) {
    const std::vector<WeightUnit> units = units_of(golden);
    CompressionOptions options = int4(32);
    const auto four = forms_of(units, options);
    options.format = WeightFormat::kInt8;
    const auto eight = forms_of(units, options);
    options.format = WeightFormat::kMxfp4;
    const auto mx = forms_of(units, options);
    for (const WeightUnit& unit : units) {
      SCOPED_TRACE(unit.name);
      const bool vocabulary = unit.name == "embed.weight" || unit.name == "head.weight";
      const bool experts = unit.name.find(".ffn.experts.") != std::string::npos;
      if (vocabulary || is_published_coarse(unit)) {
        EXPECT_EQ(eight.at(unit.name), integer(NumberFormat::kU8, -1));
        EXPECT_EQ(four.at(unit.name), vocabulary ? integer(NumberFormat::kU8, -1) : integer(NumberFormat::kU4, 32));
        EXPECT_EQ(mx.at(unit.name), experts ? StoredFormat{NumberFormat::kF4E2M1} : integer(NumberFormat::kU8, -1));
        continue;
      }
      const bool norm = unit.name.ends_with("norm.weight");
      NumberFormat expected = unit.published == NumberFormat::kF32 || norm ? NumberFormat::kF32 : NumberFormat::kF16;
      if (unit.published == NumberFormat::kI64) expected = NumberFormat::kI32;
      for (const auto* forms : {&four, &eight, &mx}) EXPECT_EQ(forms->at(unit.name), StoredFormat{expected});
    }
  }
}

TEST(NncfSelection, TakesEveryMatrixAndNoVector) {
  const std::vector<WeightUnit> units = units_of("toy");
  CompressionOptions options = int4(32);
  options.selection = Selection::kNncf;
  const auto forms = forms_of(units, options);
  size_t taken = 0;
  for (const WeightUnit& unit : units) {
    SCOPED_TRACE(unit.name);
    const bool matrix = unit.shape.size() > 1 && !unit.name.ends_with(".ape");
    EXPECT_EQ(is_integer_code(forms.at(unit.name).type), matrix);
    if (!matrix) {
      EXPECT_EQ(forms.at(unit.name).type, NumberFormat::kF32);
    }
    taken += matrix;
  }
  EXPECT_EQ(taken, 67u) << "nncf 3.4.0 compresses 67 constants of the toy";
  EXPECT_EQ(forms.at("layers.0.hc_attn_fn"), integer(NumberFormat::kU4, 32));
  EXPECT_EQ(forms.at("layers.0.ffn.gate.weight"), integer(NumberFormat::kU4, 32));
  EXPECT_EQ(forms.at("head.weight"), integer(NumberFormat::kU8, -1));
}

TEST(Int4, FollowsSymmetryBackupAndAllLayers) {
  const std::vector<WeightUnit> units = units_of("toy");
  CompressionOptions options = int4(64);
  options.symmetric = true;
  options.backup = BackupPrecision::kInt8Sym;
  auto forms = forms_of(units, options);
  EXPECT_EQ(forms.at("layers.0.attn.wq_a.weight"), integer(NumberFormat::kI4, 64));
  EXPECT_EQ(forms.at("embed.weight"), integer(NumberFormat::kI8, -1));
  options.backup = BackupPrecision::kNone;
  forms = forms_of(units, options);
  EXPECT_EQ(forms.at("embed.weight"), StoredFormat{NumberFormat::kF16});
  options.selection = Selection::kNncf;
  EXPECT_EQ(forms_of(units, options).at("embed.weight"), StoredFormat{NumberFormat::kF32}) << "NNCF leaves the float32 constant";
  options.all_layers = true;
  forms = forms_of(units, options);
  for (const char* name : {"embed.weight", "head.weight"}) EXPECT_EQ(forms.at(name), integer(NumberFormat::kI4, 64)) << name;
}

TEST(Int4, GroupSizeThatDoesNotDivideFollowsTheFallback) {
  const std::vector<WeightUnit> units = units_of("toy");  // rows of 128, 64 and others
  CompressionOptions options = int4(128);
  const std::string message = error_of([&] { forms_of(units, options); });
  EXPECT_THAT(message, AllOf(HasSubstr("--group-size 128"), HasSubstr("64 inputs"), HasSubstr("--group-size-fallback")));

  options.fallback = GroupSizeFallback::kAdjust;
  auto forms = forms_of(units, options);
  EXPECT_EQ(forms.at("layers.0.attn.wq_a.weight"), integer(NumberFormat::kU4, 128));
  EXPECT_EQ(forms.at("layers.0.attn.wq_b.weight"), integer(NumberFormat::kU4, 64));

  options.fallback = GroupSizeFallback::kIgnore;
  forms = forms_of(units, options);
  EXPECT_EQ(forms.at("layers.0.attn.wq_a.weight"), integer(NumberFormat::kU4, 128));
  EXPECT_EQ(forms.at("layers.0.attn.wq_b.weight"), StoredFormat{NumberFormat::kF16});

  options.group_size = -1;
  EXPECT_EQ(forms_of(units, options).at("layers.0.attn.wq_b.weight"), integer(NumberFormat::kU4, -1));
}

TEST(Int4, RowsWithoutALargePowerOfTwoKeepTheBackup) {
  std::vector<WeightUnit> units = {{"odd", WeightUse::kMatrix, NumberFormat::kF8E4M3, {4, 48}, {{"odd", 0, 4}}},
                                   {"head.weight", WeightUse::kHead, NumberFormat::kBF16, {4, 64}, {{"head.weight", 0, 4}}}};
  CompressionOptions options = int4(64);
  options.fallback = GroupSizeFallback::kAdjust;
  EXPECT_EQ(forms_of(units, options).at("odd"), integer(NumberFormat::kU8, -1)) << "16 is below NNCF's smallest group of 32";
}

TEST(Int4, RatioTakesTheLeastSensitiveAndStopsAtTheShare) {
  std::vector<WeightUnit> units;
  for (const auto& [name, rows] : std::map<std::string, size_t>{{"a", 10}, {"b", 20}, {"c", 30}, {"d", 40}}) {
    units.push_back({name, WeightUse::kMatrix, NumberFormat::kF8E4M3, {rows, 32}, {{name, 0, static_cast<int64_t>(rows)}}});
  }
  units.push_back({"head.weight", WeightUse::kHead, NumberFormat::kBF16, {1000, 32}, {{"head.weight", 0, 1000}}});
  // A large INT8 error is a low score: NNCF takes those first.
  const std::map<std::string, float> errors = {{"a", 4e-3f}, {"b", 1e-3f}, {"c", 3e-3f}, {"d", 2e-3f}};
  const auto taken = [&](double ratio) {
    CompressionOptions options = int4(32);
    options.ratio = ratio;
    std::set<std::string> names;
    for (const auto& [name, form] : forms_of(units, options, [&](const WeightUnit& unit) { return errors.at(unit.name); })) {
      if (is_integer_code(form.type) && bits_of(form.type) == 4) names.insert(name);
    }
    return names;
  };
  using Names = std::set<std::string>;
  EXPECT_EQ(taken(0.05), Names());
  EXPECT_EQ(taken(0.1), Names()) << "the share itself is excluded";
  EXPECT_EQ(taken(0.11), (Names{"a"}));
  EXPECT_EQ(taken(0.4), (Names{"a"}));
  EXPECT_EQ(taken(0.5), (Names{"a", "c"}));
  EXPECT_EQ(taken(0.85), (Names{"a", "c", "d"})) << "it stops at the first that is too large; b would not fit either";
  EXPECT_EQ(taken(0.999), (Names{"a", "c", "d"}));
}

TEST(Int4, ErrorFallbackDoesNotMindWhatTheRatioLeavesOut) {
  std::vector<WeightUnit> units = {{"fits", WeightUse::kMatrix, NumberFormat::kF8E4M3, {10, 64}, {{"fits", 0, 10}}},
                                   {"odd", WeightUse::kMatrix, NumberFormat::kF8E4M3, {10, 48}, {{"odd", 0, 10}}}};
  CompressionOptions options = int4(64);
  options.ratio = 0.7;
  const auto error = [](const WeightUnit& unit) { return unit.name == "fits" ? 1.0f : 1e-6f; };
  EXPECT_EQ(forms_of(units, options, error).at("odd"), integer(NumberFormat::kU8, -1));
}

TEST(Mxfp4, BackupIsWhatTheRestBecomes) {
  CompressionOptions options;
  options.format = WeightFormat::kMxfp4;
  options.backup = BackupPrecision::kNone;
  const auto forms = forms_of(units_of("toy"), options);
  EXPECT_EQ(forms.at("layers.1.ffn.experts.w2.weight"), StoredFormat{NumberFormat::kF4E2M1});
  EXPECT_EQ(forms.at("layers.1.attn.wq_a.weight"), StoredFormat{NumberFormat::kF16});
}

template <class Parse>
void expect_usage_error(const Parse& parse, const std::string& text, const std::string& flag) {
  try {
    parse(text);
    ADD_FAILURE() << flag << ' ' << text << " was accepted";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr(flag + " " + text), HasSubstr("expected one of")));
  }
}

TEST(Options, AreParsedFromTheirNamesAndNothingElse) {
  for (const char* name : {"fp32", "fp16", "int8", "int4", "mxfp4"}) EXPECT_EQ(weight_format_name(parse_weight_format(name)), name);
  EXPECT_EQ(parse_selection("nncf"), Selection::kNncf);
  EXPECT_EQ(parse_group_size_fallback("ignore"), GroupSizeFallback::kIgnore);
  EXPECT_EQ(parse_backup_precision("int8_sym"), BackupPrecision::kInt8Sym);
  for (const char* text : {"", "FP16", "bf16", "fp16 ", "int4_sym"}) expect_usage_error(parse_weight_format, text, "--weight-format");
  expect_usage_error(parse_selection, "all", "--selection");
  expect_usage_error(parse_group_size_fallback, "none", "--group-size-fallback");
  expect_usage_error(parse_backup_precision, "int8", "--backup-precision");
}

}  // namespace
}  // namespace dsv4
