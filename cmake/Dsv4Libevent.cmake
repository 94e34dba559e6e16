# Finds the core of libevent 2.1 (Debian: libevent-dev): sockets without a thread each. Its HTTP part is not used (docs/architecture.md says why).
find_path(DSV4_LIBEVENT_INCLUDE_DIR event2/bufferevent.h)
find_library(DSV4_LIBEVENT_LIBRARY event_core)
if(NOT DSV4_LIBEVENT_INCLUDE_DIR OR NOT DSV4_LIBEVENT_LIBRARY)
  message(FATAL_ERROR "libevent was not found. Install libevent-dev (tools/install-deps.sh does), or set CMAKE_PREFIX_PATH.")
endif()
add_library(dsv4_libevent UNKNOWN IMPORTED)
set_target_properties(dsv4_libevent PROPERTIES IMPORTED_LOCATION "${DSV4_LIBEVENT_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${DSV4_LIBEVENT_INCLUDE_DIR}")
