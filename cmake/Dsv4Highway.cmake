# Finds Highway (Debian: libhwy-dev), whose own CMake files not every release ships. Its headers are not held to our warnings.
find_path(DSV4_HIGHWAY_INCLUDE_DIR hwy/highway.h)
find_library(DSV4_HIGHWAY_LIBRARY hwy)
if(NOT DSV4_HIGHWAY_INCLUDE_DIR OR NOT DSV4_HIGHWAY_LIBRARY)
  message(FATAL_ERROR "Highway was not found. Install libhwy-dev (tools/install-deps.sh does), or set CMAKE_PREFIX_PATH.")
endif()
add_library(dsv4_highway UNKNOWN IMPORTED)
# Not for SSSE3: OpenVINO's CPU plugin needs SSE4.2, and our loops were no faster there than without vectors.
set_target_properties(dsv4_highway PROPERTIES
  IMPORTED_LOCATION "${DSV4_HIGHWAY_LIBRARY}"
  INTERFACE_INCLUDE_DIRECTORIES "${DSV4_HIGHWAY_INCLUDE_DIR}"
  INTERFACE_COMPILE_DEFINITIONS "HWY_DISABLED_TARGETS=HWY_SSSE3")
