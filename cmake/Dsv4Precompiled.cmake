# Precompiled headers: the standard library's, OpenVINO's and GoogleTest's take seconds to parse, most of our files less. Sources include what they use all the
# same, so that the build works without (-DDSV4_PRECOMPILE=OFF). Not nlohmann's: what it leaves to be instantiated costs every file a second, used or not.
option(DSV4_PRECOMPILE "Parse the large headers once for each group of targets" ON)

set(DSV4_HEADERS_STANDARD
    <algorithm> <cstdint> <filesystem> <fstream> <functional> <map> <memory> <optional> <span> <sstream> <string> <string_view> <utility> <vector>)
set(DSV4_HEADERS_TESTS <gmock/gmock.h> <gtest/gtest.h>)
set(DSV4_HEADERS_OPENVINO
    <openvino/core/model.hpp> <openvino/core/parallel.hpp> <openvino/op/constant.hpp> <openvino/op/convert.hpp> <openvino/op/gather.hpp> <openvino/op/op.hpp>
    <openvino/op/parameter.hpp> <openvino/op/reshape.hpp> <openvino/runtime/core.hpp>)

# Written once, not at each configuring, after which it would be compiled again.
file(CONFIGURE OUTPUT "${CMAKE_BINARY_DIR}/precompiled.cpp" CONTENT "// What an object library needs beside its precompiled header.\n" @ONLY)

# dsv4_precompiled(NAME GROUPS group... DEPENDS libs...): the headers of the groups and the standard library's, in their own target. What shares them is compiled
# with the same options, but for the level of optimisation.
function(dsv4_precompiled name)
  cmake_parse_arguments(arg "" "" "GROUPS;DEPENDS" ${ARGN})
  set(headers ${DSV4_HEADERS_STANDARD})
  foreach(group IN LISTS arg_GROUPS)
    list(APPEND headers ${DSV4_HEADERS_${group}})
  endforeach()
  add_library(dsv4_precompiled_${name} OBJECT EXCLUDE_FROM_ALL "${CMAKE_BINARY_DIR}/precompiled.cpp")
  target_link_libraries(dsv4_precompiled_${name} PRIVATE dsv4_options ${arg_DEPENDS})
  target_precompile_headers(dsv4_precompiled_${name} PRIVATE ${headers})
endfunction()

# dsv4_use_precompiled(NAME targets...)
function(dsv4_use_precompiled name)
  if(DSV4_PRECOMPILE)
    foreach(target IN LISTS ARGN)
      target_precompile_headers(${target} REUSE_FROM dsv4_precompiled_${name})
    endforeach()
  endif()
endfunction()
