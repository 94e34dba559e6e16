# Finds libedit (Debian: libedit-dev), which has a pkg-config file but none of CMake's.
find_path(DSV4_LIBEDIT_INCLUDE_DIR histedit.h)
find_library(DSV4_LIBEDIT_LIBRARY edit)
if(NOT DSV4_LIBEDIT_INCLUDE_DIR OR NOT DSV4_LIBEDIT_LIBRARY)
  message(FATAL_ERROR "libedit was not found. Install libedit-dev (tools/install-deps.sh does), or set CMAKE_PREFIX_PATH.")
endif()
add_library(dsv4_libedit UNKNOWN IMPORTED)
set_target_properties(dsv4_libedit PROPERTIES IMPORTED_LOCATION "${DSV4_LIBEDIT_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${DSV4_LIBEDIT_INCLUDE_DIR}")
