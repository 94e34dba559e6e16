// The weight format of a conversion that does not name one.
#include "convert/default_format.h"

#include "checkpoint/amounts.h"
#include "checkpoint/cut.h"
#include "checkpoint/names.h"
#include "checkpoint/tensor_table.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr int64_t kLarge = 1'000'000'000;

}  // namespace

DefaultFormat default_format(const Checkpoint& checkpoint, int64_t layers) {
  const Config config = layers < 0 ? checkpoint.config() : first_layers(checkpoint.config(), layers);
  int64_t parameters = 0;
  bool fp4 = true;
  for (const TensorSpec& spec : tensor_table(config)) {
    if (spec.mtp || spec.published == NumberFormat::kI64) continue;
    parameters += element_count(spec.shape);
    if (parse_expert_name(spec.name)) fp4 = fp4 && checkpoint.encoding(spec.name) == Encoding::kFp4;
  }
  if (parameters <= kLarge) return {};
  const std::string size = concat("no --weight-format for a model of ", count_text(parameters), " parameters: ");
  if (fp4) return {WeightFormat::kMxfp4, size + "mxfp4, which keeps the experts' published FP4 bit for bit"};
  return {WeightFormat::kInt8, size + "int8, because its experts are not published in FP4; int4 is half as large"};
}

}  // namespace dsv4
