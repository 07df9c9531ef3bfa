# innerloop_library(NAME SOURCES ... [PUBLIC ...] [PRIVATE ...]): a static library of one layer, with the project's warnings.
# innerloop_test(NAME SOURCES ... LIBS ...): a GoogleTest program whose tests ctest sees one by one.
set(INNERLOOP_WARNINGS -Wall -Wextra -Werror -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  list(APPEND INNERLOOP_WARNINGS -Wthread-safety)
endif()

function(innerloop_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${INNERLOOP_WARNINGS})
  target_link_libraries(${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
endfunction()

function(innerloop_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_compile_options(${name} PRIVATE ${INNERLOOP_WARNINGS})
  target_link_libraries(${name} PRIVATE ${arg_LIBS})
endfunction()

function(innerloop_test name)
  if(NOT INNERLOOP_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LIBS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  innerloop_program(${name} SOURCES ${arg_SOURCES} LIBS ${arg_LIBS} GTest::gmock GTest::gtest GTest::gtest_main)
  # Tests of many values by their names or numbers: values may be of any type.
  gtest_discover_tests(${name} NO_PRETTY_VALUES DISCOVERY_TIMEOUT 120 PROPERTIES TIMEOUT ${arg_TIMEOUT})
endfunction()
