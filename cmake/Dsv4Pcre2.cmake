# Finds PCRE2 for bytes (Debian: libpcre2-dev), whose own CMake files not every release ships.
find_path(DSV4_PCRE2_INCLUDE_DIR pcre2.h)
find_library(DSV4_PCRE2_LIBRARY pcre2-8)
if(NOT DSV4_PCRE2_INCLUDE_DIR OR NOT DSV4_PCRE2_LIBRARY)
  message(FATAL_ERROR "PCRE2 was not found. Install libpcre2-dev (tools/install-deps.sh does), or set CMAKE_PREFIX_PATH.")
endif()
add_library(dsv4_pcre2 UNKNOWN IMPORTED)
set_target_properties(dsv4_pcre2 PROPERTIES IMPORTED_LOCATION "${DSV4_PCRE2_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${DSV4_PCRE2_INCLUDE_DIR}")
