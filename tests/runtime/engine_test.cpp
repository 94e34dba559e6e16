// Loading model folders: what is refused, and that each message says what is wrong.
#include "dsv4/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "openvino/core/graph_util.hpp"
#include "openvino/core/model.hpp"
#include "openvino/op/abs.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/gather.hpp"
#include "openvino/op/parameter.hpp"
#include "openvino/op/relu.hpp"
#include "openvino/runtime/core.hpp"
#include "runtime/converted_model.h"
#include "runtime/engine_model.h"
#include "runtime/errors.h"
#include "runtime/inner.h"

namespace dsv4 {
namespace {

namespace op = ov::op;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using namespace testing_support;
namespace fs = std::filesystem;

class Folder : public testing::Test {
 protected:
  Folder() : folder_(convert_golden("toy", directory_.path())) {
    fs::remove(folder_ / "dsv4_files.json");  // which would refuse every other file
  }

  std::string loading_error(const EngineOptions& options = last_position()) const {
    return error_of([&] { const Engine engine(folder_, options); });
  }

  TemporaryDirectory directory_;
  fs::path folder_;
};

TEST_F(Folder, LoadsAsConverted) {
  const Engine engine(folder_, last_position());
  EXPECT_TRUE(engine.stateful());
  EXPECT_EQ(Inner::config(engine).vocab_size, 512);
  EXPECT_EQ(Inner::config(engine).num_hidden_layers, 4);
  EXPECT_GT(engine.open_seconds(), 0.0);
}

TEST_F(Folder, NamesAMissingFile) {
  for (const char* name : {"openvino_model.xml", "openvino_model.bin", "config.json"}) {
    fs::rename(folder_ / name, folder_ / "hidden");
    EXPECT_THAT(loading_error(), HasSubstr((folder_ / name).string())) << name;
    fs::rename(folder_ / "hidden", folder_ / name);
  }
  EXPECT_EQ(loading_error(), "");
}

TEST_F(Folder, OfACheckpointIsNotAModel) {
  folder_ = dsv4_test::golden_checkpoint("toy");
  EXPECT_THAT(loading_error(), AllOf(HasSubstr("openvino_model.xml"), HasSubstr("dsv4 convert")));
}

TEST_F(Folder, RefusesATextThatIsNoIr) {
  for (const char* text : {"", "hello", "<?xml version=\"1.0\"?><net></net>"}) {
    write_file(folder_ / "openvino_model.xml", text);
    EXPECT_THAT(loading_error(), HasSubstr("openvino_model.xml")) << '"' << text << '"';
  }
}

TEST_F(Folder, RefusesATruncatedBin) {
  const uint64_t whole = fs::file_size(folder_ / "openvino_model.bin");
  for (const uint64_t size : {whole - 4096, whole / 2, uint64_t{0}}) {
    fs::resize_file(folder_ / "openvino_model.bin", size);
    EXPECT_THAT(loading_error(), HasSubstr("openvino_model")) << size << " of " << whole;
  }
}

TEST_F(Folder, RefusesAConfigOfAnotherModel) {
  set_in_config(folder_, "vocab_size", 300);
  EXPECT_THAT(loading_error(), AllOf(HasSubstr("vocab_size is 300"), HasSubstr("512")));
}

TEST_F(Folder, RefusesABrokenConfig) {
  write_file(folder_ / "config.json", "{");
  EXPECT_THAT(loading_error(), HasSubstr("config.json"));
  write_file(folder_ / "config.json", "{\"model_type\": \"llama\"}");
  EXPECT_THAT(loading_error(), HasSubstr("config.json"));
}

TEST_F(Folder, RefusesAnIrWithOtherInputs) {
  const auto x = std::make_shared<op::v0::Parameter>(ov::element::f32, ov::PartialShape{-1, -1, 512});
  x->output(0).set_names({"pixels"});
  const auto y = std::make_shared<op::v0::Relu>(x);
  y->output(0).set_names({"logits"});
  const auto model = std::make_shared<ov::Model>(ov::OutputVector{y}, ov::ParameterVector{x});
  ov::save_model(model, folder_ / "openvino_model.xml", false);
  EXPECT_THAT(loading_error(), HasSubstr("inputs"));
}

TEST_F(Folder, RefusesAnIrWithoutLogits) {
  const auto ids = std::make_shared<op::v0::Parameter>(ov::element::i64, ov::PartialShape{-1, -1});
  ids->output(0).set_names({"input_ids"});
  const auto model = std::make_shared<ov::Model>(ov::OutputVector{std::make_shared<op::v0::Abs>(ids)}, ov::ParameterVector{ids});
  ov::save_model(model, folder_ / "openvino_model.xml", false);
  EXPECT_THAT(loading_error(), HasSubstr("no output logits"));
}

TEST_F(Folder, RefusesAModelThatEndsInNoMatMulForTheLastPosition) {
  const auto ids = std::make_shared<op::v0::Parameter>(ov::element::i64, ov::PartialShape{-1, -1});
  ids->output(0).set_names({"input_ids"});
  const auto table = std::make_shared<op::v0::Constant>(ov::element::f32, ov::Shape{4, 512}, std::vector<float>(2048, 0.0f));
  const auto rows = std::make_shared<op::v8::Gather>(table, ids, op::v0::Constant::create(ov::element::i32, {}, {0}));
  rows->output(0).set_names({"logits"});
  const auto model = std::make_shared<ov::Model>(ov::OutputVector{rows}, ov::ParameterVector{ids});
  ov::save_model(model, folder_ / "openvino_model.xml", false);
  EXPECT_THAT(loading_error(), HasSubstr("MatMul"));
  EXPECT_EQ(loading_error(every_position()), "");
}

TEST_F(Folder, NamesAnUnknownDevice) {
  EngineOptions options = last_position();
  options.device = "TOASTER";
  EXPECT_THAT(loading_error(options), HasSubstr("TOASTER"));
}

TEST_F(Folder, RunsInFloat32) {
  const Engine engine(folder_, last_position());
  EXPECT_EQ(Inner::model(engine).compiled.get_property(ov::hint::inference_precision), ov::element::f32);
}

TEST(FirstLine, LeavesOutWhereInTheSourceItWas) {
  const std::string text = "Exception from src/inference/src/cpp/core.cpp:126:\nException from src/core.cpp:9:\nthe reason,\nand more\n\n";
  EXPECT_EQ(first_line(text), "the reason, and more");
  EXPECT_EQ(
      first_line(
          "[CPU] Reshape node with name 'R' Check 'a <= 1 && b' failed at src/plugins/intel_cpu/reshape.cpp:77: the shape conflicts\n"),
      "[CPU] Reshape node with name 'R' the shape conflicts");
  EXPECT_EQ(first_line("Check 'a > b' failed at src/core/model.cpp:12:\n"), "Check 'a > b'");
  EXPECT_EQ(first_line(""), "");
  EXPECT_EQ(first_line("plain"), "plain");
  EXPECT_THAT(first_line(std::string(5000, 'x') + "\nmore"), AllOf(Not(HasSubstr("\n")), testing::SizeIs(400)));
}

}  // namespace
}  // namespace dsv4
