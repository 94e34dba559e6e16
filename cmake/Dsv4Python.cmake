# The Python package `dsv4`: a library of C functions that Python calls through ctypes, beside the package's own files. Target python_module makes it importable in the
# build tree (PYTHONPATH=build/release/python); the component `python` of the installation is what `make wheel` packs (docs/python.md says why ctypes).
file(GLOB python_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/python/binding/*.cpp")
add_library(dsv4_python SHARED ${python_sources})
target_link_libraries(dsv4_python PRIVATE dsv4_cli)
target_include_directories(dsv4_python PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/python/binding")
target_compile_options(dsv4_python PRIVATE -fvisibility=hidden $<$<CONFIG:Release>:-O1>)
set(python_exports "${CMAKE_CURRENT_SOURCE_DIR}/python/binding/exports.map")
target_link_options(dsv4_python PRIVATE "-Wl,--version-script=${python_exports}")
set_target_properties(dsv4_python PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/python/dsv4/lib" LINK_DEPENDS "${python_exports}")

# In the build tree: links to the packages' files, the program and the ops, at the places that they have in the wheel.
set(python_tree "${CMAKE_BINARY_DIR}/python")
file(GLOB_RECURSE python_files CONFIGURE_DEPENDS RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}/python" "${CMAKE_CURRENT_SOURCE_DIR}/python/*.py"
     "${CMAKE_CURRENT_SOURCE_DIR}/python/*/py.typed")
foreach(file IN LISTS python_files)
  get_filename_component(folder "${python_tree}/${file}" DIRECTORY)
  file(MAKE_DIRECTORY "${folder}")
  file(CREATE_LINK "${CMAKE_CURRENT_SOURCE_DIR}/python/${file}" "${python_tree}/${file}" SYMBOLIC)
endforeach()
# dsv4_openvino knows the configuration that model folders bring along: the same file.
set(python_configuration src/convert/folder_files/configuration_deepseek_v4.py)
file(CREATE_LINK "${CMAKE_CURRENT_SOURCE_DIR}/${python_configuration}" "${python_tree}/dsv4_openvino/configuration_deepseek_v4.py" SYMBOLIC)
install(FILES ${python_configuration} DESTINATION dsv4_openvino COMPONENT python EXCLUDE_FROM_ALL)
file(MAKE_DIRECTORY "${python_tree}/dsv4/bin" "${python_tree}/dsv4/lib")
file(CREATE_LINK ../../../dsv4 "${python_tree}/dsv4/bin/dsv4" SYMBOLIC)
file(CREATE_LINK ../../../libdsv4_ops.so "${python_tree}/dsv4/lib/libdsv4_ops.so" SYMBOLIC)
add_custom_target(python_module DEPENDS dsv4_python dsv4 dsv4_ops_library)

# The wheel. Its files find OpenVINO's where pip puts it, beside the package; _library.py finds it elsewhere.
set(python_rpath "$ORIGIN/../../openvino/libs")
set_target_properties(dsv4_python PROPERTIES INSTALL_RPATH "${python_rpath}")
install(DIRECTORY python/ DESTINATION . COMPONENT python EXCLUDE_FROM_ALL FILES_MATCHING PATTERN "*.py" PATTERN "py.typed" PATTERN binding EXCLUDE PATTERN __pycache__ EXCLUDE)
install(TARGETS dsv4 RUNTIME DESTINATION dsv4/bin COMPONENT python EXCLUDE_FROM_ALL)
install(TARGETS dsv4_python dsv4_ops_library LIBRARY DESTINATION dsv4/lib COMPONENT python EXCLUDE_FROM_ALL)
