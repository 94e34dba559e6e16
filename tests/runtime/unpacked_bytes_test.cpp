// What FP4 and FP8 constants take when the CPU plugin unpacks them.
#include "runtime/unpacked_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "openvino/core/model.hpp"
#include "openvino/op/add.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/convert.hpp"
#include "openvino/op/parameter.hpp"
#include "runtime/available_memory.h"
#include "support/files.h"

namespace dsv4 {
namespace {

namespace op = ov::op;
using testing::AllOf;
using testing::HasSubstr;
using testing_support::error_of;

/// A model with one constant of `type`, [elements].
std::shared_ptr<ov::Model> model_with(ov::element::Type type, size_t elements) {
  const ov::Tensor data(type, {elements});
  const auto x = std::make_shared<op::v0::Parameter>(ov::element::f32, ov::Shape{1});
  const auto weight = std::make_shared<op::v0::Convert>(std::make_shared<op::v0::Constant>(data), ov::element::f32);
  return std::make_shared<ov::Model>(ov::OutputVector{std::make_shared<op::v1::Add>(x, weight)}, ov::ParameterVector{x});
}

TEST(UnpackedBytes, AreThoseOfFp4AndFp8Alone) {
  EXPECT_EQ(unpacked_bytes(*model_with(ov::element::f8e4m3, 1000)), 8000u);
  EXPECT_EQ(unpacked_bytes(*model_with(ov::element::f4e2m1, 1000)), 8000u);
  EXPECT_EQ(unpacked_bytes(*model_with(ov::element::u4, 1000)), 0u);
  EXPECT_EQ(unpacked_bytes(*model_with(ov::element::f16, 1000)), 0u);
}

TEST(UnpackedBytes, IsRefusedWhereItDoesNotFitAndSaysWhatToDo) {
  const auto model = model_with(ov::element::f4e2m1, 1000);
  check_unpacked_bytes(*model, 8000, "model");
  EXPECT_THAT(error_of([&] { check_unpacked_bytes(*model, 7999, "model"); }), HasSubstr("are free"));
  EXPECT_THAT(error_of([&] { check_unpacked_bytes(*model, 7990, "folder/model"); }),
              AllOf(HasSubstr("folder/model"), HasSubstr("FP4"), HasSubstr("takes 8.00 kB here; 7.99 kB are free"),
                    HasSubstr("--experts gather"), HasSubstr("int4")));
  check_unpacked_bytes(*model_with(ov::element::u4, 1000), 0, "model");
}

TEST(UnpackedBytes, SomeMemoryIsAvailable) {
  EXPECT_GT(available_memory(), uint64_t{1} << 20);
  EXPECT_LT(available_memory(), uint64_t{1} << 60) << "no file that tells was read";
}

}  // namespace
}  // namespace dsv4
