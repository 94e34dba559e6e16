// Running a test once for every instruction set that Highway compiled and this processor has.
#pragma once

#include <gtest/gtest.h>
#include <hwy/highway.h>

namespace dsv4::testing_support {

inline void use_instruction_sets(int64_t targets) {
  hwy::SetSupportedTargetsForTest(static_cast<decltype(hwy::SupportedTargets())>(targets));
  hwy::GetChosenTarget().DeInit();  // the next call chooses anew
}

/// `check()` under each; the program's own choice is back afterwards.
template <class Check>
void for_each_instruction_set(const Check& check) {
  const auto all = hwy::SupportedAndGeneratedTargets();
  ASSERT_FALSE(all.empty());
  for (const auto one : all) {
    SCOPED_TRACE(hwy::TargetName(one));
    use_instruction_sets(static_cast<int64_t>(one));
    check();
  }
  use_instruction_sets(0);
}

}  // namespace dsv4::testing_support
