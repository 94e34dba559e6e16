// NaN and infinity in any weight are found, with shard, tensor and place.
#include "checkpoint/finite_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "checkpoint/tiny_checkpoint.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

using test::RawTensor;
using test::TempDir;
using testing::AllOf;
using testing::HasSubstr;

using Tensors = std::vector<RawTensor>;

std::string outcome(Tensors tensors) {
  const TempDir dir;
  test::write_sharded_checkpoint(dir.path(), test::tiny_config(), tensors);
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  uint64_t last = 0, all = 0;
  try {
    check_weights_finite(checkpoint, [&](uint64_t done, uint64_t total) {
      EXPECT_GT(done, last);
      last = done;
      all = total;
    });
  } catch (const Error& error) {
    return error.what();
  }
  EXPECT_EQ(last, all);
  EXPECT_GT(all, 0u);
  return "finite";
}

Tensors with(const std::string& name, const std::string& dtype, size_t at, const std::string& bits) {
  Tensors tensors = test::random_tensors(test::tiny_config());
  RawTensor& tensor = test::tensor_named(tensors, name);
  if (tensor.dtype != dtype) {  // as a weight that was dequantised
    test::RandomBytes random(5);
    tensor.data = random.data(dtype, static_cast<uint64_t>(test::count_of(tensor.shape)), 1);
    tensor.dtype = dtype;
  }
  tensor.data.replace(at * bits.size(), bits.size(), bits);
  return tensors;
}

TEST(FiniteWeights, AGoodCheckpointPasses) { EXPECT_EQ(outcome(test::random_tensors(test::tiny_config())), "finite"); }

TEST(FiniteWeights, ACulpritIsNamedInEveryType) {
  // wq_a is [32, 64], head [24, 64], a norm [64] is one row.
  const std::string first = "model-00001-of-00002.safetensors", second = "model-00002-of-00002.safetensors";
  const auto named = [](const std::string& shard, const std::string& tensor, const std::string& place) {
    return AllOf(HasSubstr(shard + ": tensor \"" + tensor + "\""), HasSubstr(place),
                 HasSubstr("which is no weight; the checkpoint is damaged"));
  };
  EXPECT_THAT(outcome(with("layers.0.attn.wq_a.weight", "F8_E4M3", 5 * 64 + 3, "\x7f")),
              named(first, "layers.0.attn.wq_a.weight", "holds nan at row 5, column 3"));
  EXPECT_THAT(outcome(with("layers.0.attn.wq_a.weight", "F8_E4M3", 0, "\xff")),
              named(first, "layers.0.attn.wq_a.weight", "nan at row 0, column 0"));
  EXPECT_THAT(outcome(with("head.weight", "BF16", 23 * 64 + 63, std::string("\x80\x7f", 2))),
              named(second, "head.weight", "holds inf at row 23, column 63"));
  EXPECT_THAT(outcome(with("head.weight", "F16", 64, std::string("\x00\xfc", 2))),
              named(second, "head.weight", "holds -inf at row 1, column 0"));
  EXPECT_THAT(outcome(with("norm.weight", "F32", 7, std::string("\x00\x00\xc0\x7f", 4))),
              named(second, "norm.weight", "holds nan at row 0, column 7"));
  EXPECT_THAT(outcome(with("layers.1.ffn.experts.2.w2.scale", "F8_E8M0", 1, "\xff")),
              AllOf(HasSubstr(second), HasSubstr("layers.1.ffn.experts.2.w2.scale"), HasSubstr("not a finite number")));
}

TEST(FiniteWeights, TheFirstOfTheModelIsNamedAndTheOthersAreCounted) {
  Tensors tensors = with("head.weight", "BF16", 3, std::string("\x80\x7f", 2));
  for (const char* name : {"layers.0.attn.wkv.weight", "layers.1.attn.wkv.weight"}) test::tensor_named(tensors, name).data[70] = '\x7f';
  EXPECT_THAT(outcome(tensors),
              AllOf(HasSubstr("tensor \"layers.0.attn.wkv.weight\" holds nan at row 1, column 6"), HasSubstr("; so do 2 more tensors;")));
}

}  // namespace
}  // namespace dsv4
