# In place of Zephyr in the tests: what its CMake package does with the modules and the configuration
# of an application, as far as the generated files need it. Its functions only compile; `app` runs on
# this computer, or is a static library where a cross compiler is set.
cmake_minimum_required(VERSION 3.20.0)
project(Zephyr C)

add_library(zephyr_interface INTERFACE)
target_include_directories(zephyr_interface INTERFACE ${CMAKE_CURRENT_LIST_DIR}/include)
target_compile_options(zephyr_interface INTERFACE ${ZEPHYR_STANDIN_FLAGS})
if(CMAKE_CROSSCOMPILING)
  add_library(app STATIC "")
else()
  add_executable(app "")
endif()
target_link_libraries(app PRIVATE zephyr_interface)

file(STRINGS ${APPLICATION_CONFIG} lines REGEX "^CONFIG_")
foreach(line IN LISTS lines)
  string(REGEX MATCH "^([A-Z0-9_]+)=(.*)$" found "${line}")
  if(NOT CMAKE_MATCH_2 STREQUAL "n")
    set(${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
  endif()
endforeach()

macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} STATIC "")
  target_link_libraries(${name} PUBLIC zephyr_interface)
  target_link_libraries(app PRIVATE ${name})
endmacro()

function(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endfunction()

# After the options of all, so that those of a library count.
function(zephyr_library_compile_options)
  list(JOIN ARGN "" name)
  string(MD5 name "${name}")
  add_library(options_${name} INTERFACE)
  target_compile_options(options_${name} INTERFACE ${ARGN})
  target_link_libraries(${ZEPHYR_CURRENT_LIBRARY} PRIVATE options_${name})
endfunction()

function(zephyr_include_directories)
  target_include_directories(zephyr_interface INTERFACE ${ARGN})
endfunction()

foreach(module IN LISTS EXTRA_ZEPHYR_MODULES)
  file(STRINGS ${module}/zephyr/module.yml folder REGEX "^  cmake: ")
  string(REPLACE "  cmake: " "" folder "${folder}")
  add_subdirectory(${module}/${folder} ${CMAKE_BINARY_DIR}/modules/network)
endforeach()
