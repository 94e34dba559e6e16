// README.md of a model folder: its facts against the folder and the checkpoint, and the section that verify fills.
#include "convert/model_card.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/file_list.h"
#include "support/files.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using namespace testing_support;
namespace fs = std::filesystem;

const fs::path kToy = fs::path(DSV4_TEST_DATA) / "goldens/toy";

class Card : public testing::Test {
 protected:
  fs::path folder() const { return directory_.path() / "model"; }
  std::string card() const { return read_file(folder() / "README.md"); }

  ConvertReport made(WeightFormat format = WeightFormat::kFp32, bool stateful = true, int64_t layers = -1) {
    ConvertOptions options;
    options.checkpoint = kToy;
    options.output = folder();
    options.compression = {.format = format, .group_size = 32};
    options.stateful = stateful;
    options.layers = layers;
    return convert(options);
  }

  TemporaryDirectory directory_;
};

TEST_F(Card, TellsWhatWasConvertedAndHow) {
  const ConvertReport report = made(WeightFormat::kInt4);
  EXPECT_THAT(card(), AllOf(HasSubstr("# toy for OpenVINO, int4"), HasSubstr("| checkpoint | `toy` |"), HasSubstr("| layers | 4 |"),
                            HasSubstr("`--weight-format` int4, asymmetric, groups of 32"), HasSubstr("published in FP4")));
  uint64_t written = 0;
  for (const FormSummary& form : report.forms) {
    EXPECT_THAT(card(), HasSubstr(concat("| ", form.published, " | ", form.stored, " | ", form.tensors, " | ", form.bytes_read, " | ",
                                         form.bytes_written, " |")));
    written += form.bytes_written;
  }
  EXPECT_THAT(card(), HasSubstr(concat("| ", report.checkpoint_bytes, " | ", written, " |")));
  EXPECT_THAT(card(), Not(HasSubstr(kToy.parent_path().string()))) << "paths of the machine are nobody's business";
}

// The metadata between the two lines "---".
std::string metadata_of(const std::string& card) {
  EXPECT_THAT(card, testing::StartsWith("---\n"));
  return card.substr(4, card.find("\n---\n") - 3);
}

TEST_F(Card, HasTheMetadataOfAnUpload) {
  made(WeightFormat::kInt8);
  EXPECT_THAT(metadata_of(card()),
              AllOf(HasSubstr("license: unknown  # "), HasSubstr("\nbase_model: \"toy\"  # "),
                    HasSubstr("\nbase_model_relation: quantized\n"), HasSubstr("\nlibrary_name: openvino\n"),
                    HasSubstr("\npipeline_tag: text-generation\n"), HasSubstr("\ntags:\n- openvino\n"), HasSubstr("\n- int8\n")));
}

TEST_F(Card, TellsTheLicenceByItsText) {
  const auto of = [&](const char* name, const char* text) {
    const fs::path copy = directory_.path() / "copy";
    fs::remove_all(copy);
    fs::copy(kToy, copy);
    write_file(copy / name, text);
    fs::remove_all(folder());
    ConvertOptions options;
    options.checkpoint = copy;
    options.output = folder();
    convert(options);
    return metadata_of(card());
  };
  EXPECT_THAT(of("LICENSE", "MIT License\n\nCopyright (c) 2023 DeepSeek\n"), HasSubstr("license: mit\n"));
  EXPECT_THAT(of("LICENSE.txt", "   Apache License\n   Version 2.0, January 2004"), HasSubstr("license: apache-2.0\n"));
  EXPECT_THAT(of("LICENSE.md", "Our own terms; parts are MIT."),
              HasSubstr("license: other\nlicense_name: license-of-the-checkpoint\nlicense_link: LICENSE.md\n"));
}

TEST_F(Card, NamesTheBaseModelByPlaceOrConfig) {
  const auto of = [&](const fs::path& place, const char* name_or_path) {
    fs::create_directories((directory_.path() / place).parent_path());
    fs::copy(kToy, directory_.path() / place);
    const std::string config = read_file(kToy / "config.json");
    write_file(directory_.path() / place / "config.json",
               concat("{\"_name_or_path\": \"", name_or_path, "\",", config.substr(config.find('{') + 1)));
    fs::remove_all(folder());
    ConvertOptions options;
    options.checkpoint = directory_.path() / place;
    options.output = folder();
    convert(options);
    return metadata_of(card());
  };
  EXPECT_THAT(of("hub/models--some-org--My--Model/snapshots/0123abc", ""), HasSubstr("base_model: \"some-org/My--Model\"\n"));
  EXPECT_THAT(of("fine-tune", "other_org/Fine.Tune-1"), HasSubstr("base_model: \"other_org/Fine.Tune-1\"\n"));
  EXPECT_THAT(of("a/DeepSeek-V4-Flash-0731", "/home/me/model"), HasSubstr("base_model: \"deepseek-ai/DeepSeek-V4-Flash-0731\"\n"));
  EXPECT_THAT(of("my: \"model\"", "not an id"), HasSubstr("base_model: \"my: \\\"model\\\"\"  # "));
}

TEST_F(Card, SaysWhatClientsHaveToKnow) {
  ConvertOptions options;
  options.checkpoint = fs::path(DSV4_TEST_DATA) / "../../models/mini";
  options.output = folder();
  convert(options);
  EXPECT_THAT(card(),
              AllOf(HasSubstr("padding_side"), HasSubstr("do_sample=False"), HasSubstr("pipeline_type: LM"),
                    HasSubstr("No ScaledDotProductAttention operation observed in the graph, cannot perform the SDPAToPagedAttention "
                              "transformation.")));
}

TEST_F(Card, ListsEveryOtherFile) {
  made();
  for (const std::string& name : names_in(folder())) {
    EXPECT_EQ(card().find("| `" + name + "` |") != std::string::npos, name != "README.md") << name;
  }
  char size[32];
  std::snprintf(size, sizeof size, "%.2f MB", static_cast<double>(fs::file_size(folder() / "openvino_model.bin")) / 1e6);
  EXPECT_THAT(card(), HasSubstr(concat("| `openvino_model.bin` | ", size, " |")));
}

TEST_F(Card, ShowsClientsThatCanRunTheForm) {
  made(WeightFormat::kFp32, false);
  EXPECT_THAT(card(), AllOf(HasSubstr("use_cache=False"), HasSubstr("prefill-only"), Not(HasSubstr("import openvino_genai"))));
}

TEST_F(Card, NamesTheOtherOptions) {
  ConvertOptions options;
  options.checkpoint = kToy;
  options.output = folder();
  options.stateful = false;
  options.experts = ExpertForm::kGather;
  options.static_shape = StaticShape{.batch = 2, .length = 16};
  convert(options);
  EXPECT_THAT(card(), AllOf(HasSubstr("`--weight-format` fp32, `--experts gather`, `--disable-stateful`, `--static-shape 2,16`"),
                            HasSubstr("exactly 2 x 16 ids"), Not(HasSubstr("optimum.intel"))));
}

TEST_F(Card, SaysThatLayersAreMissing) {
  made(WeightFormat::kFp32, true, 2);
  EXPECT_THAT(card(), HasSubstr("| layers | the first 2 of 4"));
}

TEST_F(Card, VerificationIsFilledAndFilledAgain) {
  made();
  const std::string before = card();
  EXPECT_THAT(before, HasSubstr("Not measured."));
  set_card_verification(folder(), "largest difference 1e-5");
  EXPECT_THAT(card(), AllOf(HasSubstr("largest difference 1e-5\n<!-- dsv4 verify: end -->"), Not(HasSubstr("Not measured."))));
  set_card_verification(folder(), "largest difference 2e-5\n");
  EXPECT_THAT(card(), AllOf(HasSubstr("largest difference 2e-5\n<!--"), Not(HasSubstr("1e-5"))));
  EXPECT_EQ(card().substr(0, before.find("Not measured.")), before.substr(0, before.find("Not measured."))) << "the rest stays";
  EXPECT_THAT(names_in(folder()), Not(testing::Contains(testing::HasSubstr(".new"))));
  EXPECT_TRUE(check_files(folder(), read_file_list(folder()).value(), nullptr).empty()) << "the list knows the new card";
}

TEST_F(Card, ACardWithoutItsMarksIsLeftAlone) {
  EXPECT_THAT(error_of([&] { set_card_verification(folder(), "x"); }), HasSubstr("README.md: no such file"));
  fs::create_directory(folder());
  for (const char* text :
       {"", "my own card", "<!-- dsv4 verify: begin -->\n", "<!-- dsv4 verify: end -->\n<!-- dsv4 verify: begin -->\n"}) {
    write_file(folder() / "README.md", text);
    EXPECT_THAT(error_of([&] { set_card_verification(folder(), "x"); }), HasSubstr("dsv4 verify: begin"));
    EXPECT_EQ(card(), text);
  }
}

}  // namespace
}  // namespace dsv4
