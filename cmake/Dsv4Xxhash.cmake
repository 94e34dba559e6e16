# Finds libxxhash (Debian: libxxhash-dev), whose own CMake files not every release ships.
find_path(DSV4_XXHASH_INCLUDE_DIR xxhash.h)
find_library(DSV4_XXHASH_LIBRARY xxhash)
if(NOT DSV4_XXHASH_INCLUDE_DIR OR NOT DSV4_XXHASH_LIBRARY)
  message(FATAL_ERROR "libxxhash was not found. Install libxxhash-dev (tools/install-deps.sh does), or set CMAKE_PREFIX_PATH.")
endif()
add_library(dsv4_xxhash UNKNOWN IMPORTED)
set_target_properties(dsv4_xxhash PROPERTIES IMPORTED_LOCATION "${DSV4_XXHASH_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${DSV4_XXHASH_INCLUDE_DIR}")
