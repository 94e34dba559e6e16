# The commit that is built, for --version: commit.cpp, written anew at each build and only where it changed. As a script (-P) it writes the file OUTPUT.
if(CMAKE_SCRIPT_MODE_FILE)
  set(commit unknown)  # outside of a git tree, or in one that is another project's
  execute_process(COMMAND git -C "${SOURCE}" rev-parse --show-toplevel OUTPUT_VARIABLE top OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  file(REAL_PATH "${SOURCE}" source)
  if(NOT failed AND top STREQUAL source)
    execute_process(COMMAND git -C "${SOURCE}" describe --always --dirty --exclude * --abbrev=12 OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE
                    ERROR_QUIET RESULT_VARIABLE failed)
    if(NOT failed)
      set(commit "${described}")
    endif()
  endif()
  file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT "// The commit of this build.
namespace dsv4 {
extern const char* const kCommit;
const char* const kCommit = \"@commit@\";
}  // namespace dsv4
" @ONLY)
else()
  set(DSV4_COMMIT_FILE "${CMAKE_BINARY_DIR}/commit.cpp")
  add_custom_target(dsv4_commit BYPRODUCTS "${DSV4_COMMIT_FILE}"
                    COMMAND ${CMAKE_COMMAND} "-DSOURCE=${CMAKE_CURRENT_SOURCE_DIR}" "-DOUTPUT=${DSV4_COMMIT_FILE}" -P "${CMAKE_CURRENT_LIST_FILE}" VERBATIM)
endif()
