# Build settings and the two functions every folder uses: boreal_layer() and boreal_test().

set(BOREAL_SANITIZE "" CACHE STRING "address or thread")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
# -O2 also in Release: -O3 costs build time and buys nothing outside kernels/, which asks for it itself.
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
# Instrumented code at -O1: at -O2 and -O3 it takes GCC 2 to 10 times as long (minutes for one file of kernels/cpu).
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")
set(BOREAL_LOOPS -O3)
if(BOREAL_SANITIZE)
  set(BOREAL_LOOPS -O1)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

option(BOREAL_WERROR "treat warnings as errors" ON)
add_library(boreal_flags INTERFACE)
# x86-64-v2 is the baseline of the binary; wider instructions sit behind run-time dispatch in kernels/.
target_compile_options(boreal_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wold-style-cast -Wnon-virtual-dtor -Woverloaded-virtual
  -Wno-missing-field-initializers -Wduplicated-cond -Wlogical-op -ffp-contract=off
  $<$<BOOL:${BOREAL_WERROR}>:-Werror>
  $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-march=x86-64-v2>)
target_compile_definitions(boreal_flags INTERFACE BOREAL_VERSION="${PROJECT_VERSION}" _GLIBCXX_ASSERTIONS)
target_include_directories(boreal_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)

if(BOREAL_SANITIZE STREQUAL "address")
  target_compile_options(boreal_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  target_link_options(boreal_flags INTERFACE -fsanitize=address,undefined)
elseif(BOREAL_SANITIZE STREQUAL "thread")
  target_compile_options(boreal_flags INTERFACE -fsanitize=thread)
  target_link_options(boreal_flags INTERFACE -fsanitize=thread)
endif()

# layers.txt is the single list of folders and their allowed edges.
file(STRINGS ${CMAKE_SOURCE_DIR}/layers.txt layer_lines REGEX "^[a-z]+:")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/layers.txt)
set(BOREAL_LAYERS "")
foreach(line ${layer_lines})
  string(REGEX MATCH "^([a-z]+):(.*)$" _ "${line}")
  set(layer ${CMAKE_MATCH_1})
  string(STRIP "${CMAKE_MATCH_2}" uses)
  string(REPLACE " " ";" uses "${uses}")
  list(APPEND BOREAL_LAYERS ${layer})
  set(BOREAL_USES_${layer} ${uses})
endforeach()

# One target a folder: every .cc of the folder (and its subfolders), linked to the folders that layers.txt allows.
# LIBS: third-party targets of this folder, private.
function(boreal_layer name)
  cmake_parse_arguments(arg "" "" "LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  add_library(boreal_${name} STATIC ${sources})
  target_link_libraries(boreal_${name} PUBLIC boreal_flags PRIVATE ${arg_LIBS})
  foreach(use ${BOREAL_USES_${name}})
    if(EXISTS ${CMAKE_SOURCE_DIR}/src/${use}/CMakeLists.txt)
      target_link_libraries(boreal_${name} PUBLIC boreal_${use})
    endif()
  endforeach()
  if(NOT name STREQUAL "base")
    target_link_libraries(boreal_${name} PUBLIC boreal_base)
  endif()
endfunction()

# Links boreal folders (without prefix) or third-party targets.
function(boreal_link target)
  foreach(lib ${ARGN})
    if(TARGET boreal_${lib})
      set(lib boreal_${lib})
    endif()
    target_link_libraries(${target} PRIVATE ${lib})
  endforeach()
endfunction()

# What ./run builds for the thread sanitizer and for ./run bench; boreal_test() and boreal_bench() fill them.
add_custom_target(threads_tests)
add_custom_target(benches)

# One test program a folder of tests/: every *_test.cc in it. LIBS: as boreal_link().
# LABELS: unit, golden, story; threads: also run with the thread sanitizer; slow: not run with the address sanitizer.
function(boreal_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "LIBS;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  add_executable(${name}_test ${sources})
  target_include_directories(${name}_test PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_definitions(${name}_test PRIVATE BOREAL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  boreal_link(${name}_test ${arg_LIBS})
  target_link_libraries(${name}_test PRIVATE GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name}_test WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT})
  if("threads" IN_LIST arg_LABELS)
    add_dependencies(threads_tests ${name}_test)
  endif()
endfunction()

# One benchmark a hot path: bench/NAME.cc becomes bench_NAME, which prints one table, or JSON lines with --json.
# ./run bench NAME runs it. LIBS: as boreal_link().
function(boreal_bench name)
  cmake_parse_arguments(arg "" "" "LIBS" ${ARGN})
  add_executable(bench_${name} ${name}.cc)
  target_compile_definitions(bench_${name} PRIVATE BOREAL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  boreal_link(bench_${name} ${arg_LIBS})
  add_dependencies(benches bench_${name})
endfunction()
