# Finds OpenVINO and the library of openvino-tokenizers, of the one version that dsv4 is tested with: an installed SDK, else the wheel that tools/get-openvino.sh unpacked.
set(DSV4_OPENVINO_VERSION 2026.4.1)
set(DSV4_OPENVINO_WHEEL_DIR "${CMAKE_CURRENT_SOURCE_DIR}/build/deps/openvino-${DSV4_OPENVINO_VERSION}")

find_package(OpenVINO ${DSV4_OPENVINO_VERSION} EXACT QUIET COMPONENTS Runtime Threading)
if(NOT OpenVINO_FOUND)
  find_package(OpenVINO ${DSV4_OPENVINO_VERSION} EXACT QUIET COMPONENTS Runtime Threading
               PATHS "${DSV4_OPENVINO_WHEEL_DIR}/openvino/cmake" NO_DEFAULT_PATH)
endif()
if(NOT OpenVINO_FOUND)
  message(FATAL_ERROR "OpenVINO ${DSV4_OPENVINO_VERSION} was not found. Run tools/get-openvino.sh (make build does), or set OpenVINO_DIR.")
endif()
message(STATUS "OpenVINO ${OpenVINO_VERSION}: ${OpenVINO_DIR}")

# Only a path: the library is loaded when a tokenizer is converted or used, and DSV4_TOKENIZERS_LIBRARY in the environment overrides it then.
find_file(DSV4_TOKENIZERS_LIBRARY libopenvino_tokenizers.so
          PATHS "${CMAKE_CURRENT_SOURCE_DIR}/build/deps/openvino_tokenizers-${DSV4_OPENVINO_VERSION}/openvino_tokenizers/lib" NO_DEFAULT_PATH)
set(DSV4_TOKENIZERS_VERSION "of an unknown version")
if(DSV4_TOKENIZERS_LIBRARY)
  get_filename_component(tokenizers_package "${DSV4_TOKENIZERS_LIBRARY}" DIRECTORY)
  if(EXISTS "${tokenizers_package}/../__version__.py")
    file(READ "${tokenizers_package}/../__version__.py" tokenizers_version)
    if(tokenizers_version MATCHES "__version__ = \"([^\"]+)\"")
      set(DSV4_TOKENIZERS_VERSION "${CMAKE_MATCH_1}")
    endif()
  endif()
  message(STATUS "openvino-tokenizers: ${DSV4_TOKENIZERS_LIBRARY}")
else()
  set(DSV4_TOKENIZERS_LIBRARY "")
  message(STATUS "openvino-tokenizers: not found (tools/get-openvino.sh fetches it); looked for at run time beside libopenvino")
endif()
