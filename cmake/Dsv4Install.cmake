# cmake --install: the program with the libraries that it needs, the library of ops for core.add_extension, the documentation, and the C++ API as a package
# (find_package(dsv4)). A prefix may be moved afterwards: everything finds its neighbours from where it lies.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/dsv4")

# What users link: everything else comes with it.
add_library(dsv4_api INTERFACE)
set_target_properties(dsv4_api PROPERTIES EXPORT_NAME dsv4)
target_include_directories(dsv4_api INTERFACE "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
target_compile_features(dsv4_api INTERFACE cxx_std_20)
target_link_libraries(dsv4_api INTERFACE dsv4_runtime)
add_library(dsv4::dsv4 ALIAS dsv4_api)

# OpenVINO and openvino-tokenizers, as the build found them: in a folder of their own, so that they are in nobody's way. The runtime, the CPU plugin, the reader of
# IRs and oneTBB with what it loads; other devices' plugins are not brought.
set(private_libraries lib/dsv4)
set_target_properties(dsv4 PROPERTIES
  BUILD_RPATH "$ORIGIN;$ORIGIN/lib;$ORIGIN/../${private_libraries}"  # a copied program, with libraries beside it
  INSTALL_RPATH "$ORIGIN;$ORIGIN/lib;$ORIGIN/../${private_libraries};${python_rpath}")  # the last: in the wheel
file(RELATIVE_PATH from_libraries "/${CMAKE_INSTALL_LIBDIR}" "/${private_libraries}")
set_target_properties(dsv4_ops_library PROPERTIES INSTALL_RPATH "$ORIGIN;$ORIGIN/${from_libraries};${python_rpath}")
get_target_property(openvino_library openvino::runtime LOCATION)
get_filename_component(openvino_directory "${openvino_library}" DIRECTORY)
foreach(name libopenvino.so libopenvino_ir_frontend.so libopenvino_intel_cpu_plugin.so libtbb.so libtbbmalloc.so libtbbbind_2_5.so libhwloc.so)
  file(GLOB found "${openvino_directory}/${name}*")
  install(FILES ${found} DESTINATION "${private_libraries}")
endforeach()
if(DSV4_TOKENIZERS_LIBRARY)
  install(FILES "${DSV4_TOKENIZERS_LIBRARY}" DESTINATION "${private_libraries}")
endif()
install(FILES README.md CHANGELOG.md LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(DIRECTORY docs DESTINATION "${CMAKE_INSTALL_DOCDIR}")

install(TARGETS dsv4 dsv4_ops_library RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY include/dsv4 DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(TARGETS dsv4_api dsv4_options dsv4_files dsv4_formats dsv4_checkpoint dsv4_ops dsv4_graph dsv4_runtime EXPORT dsv4-targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT dsv4-targets NAMESPACE dsv4:: DESTINATION "${package_dir}")
configure_package_config_file(cmake/dsv4-config.cmake.in "${CMAKE_CURRENT_BINARY_DIR}/dsv4-config.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/dsv4-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/dsv4-config.cmake" "${CMAKE_CURRENT_BINARY_DIR}/dsv4-config-version.cmake" cmake/Dsv4Highway.cmake cmake/Dsv4Xxhash.cmake
        DESTINATION "${package_dir}")
