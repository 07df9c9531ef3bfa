# Finds LibTorch (CPU) and defines the target LibTorch::LibTorch.
#
# Looks in CMAKE_PREFIX_PATH (a LibTorch distribution: include/, lib/), then in the cache that deploy/setup.sh fills. PyTorch's own
# TorchConfig.cmake is not used: that of the wheels asks for a CUDA compiler.
set(_cache "$ENV{INNERLOOP_CACHE}")
if(NOT _cache)
  set(_cache "$ENV{HOME}/.cache/innerloop")
endif()
if(EXISTS ${PROJECT_SOURCE_DIR}/deploy/libtorch.txt)
  # The same name as deploy/setup.sh gives: a hash of the list's lines that are no comments.
  file(STRINGS ${PROJECT_SOURCE_DIR}/deploy/libtorch.txt _lines REGEX "^[^#]")
  list(JOIN _lines "\n" _lines)
  string(SHA256 _hash "${_lines}\n")
  string(SUBSTRING ${_hash} 0 12 _hash)
  set(_unpacked ${_cache}/libtorch-2.11.0-${_hash}/torch)
endif()

find_path(LIBTORCH_INCLUDE torch/csrc/api/include/torch/torch.h PATH_SUFFIXES include PATHS ${_unpacked} NO_CMAKE_SYSTEM_PATH)
find_library(LIBTORCH_CPU torch_cpu PATH_SUFFIXES lib PATHS ${_unpacked} NO_CMAKE_SYSTEM_PATH)
find_library(LIBTORCH_C10 c10 PATH_SUFFIXES lib PATHS ${_unpacked} NO_CMAKE_SYSTEM_PATH)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  LibTorch REQUIRED_VARS LIBTORCH_CPU LIBTORCH_C10 LIBTORCH_INCLUDE
  REASON_FAILURE_MESSAGE "run deploy/setup.sh, or name a LibTorch of your own in CMAKE_PREFIX_PATH")

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  add_library(LibTorch::LibTorch INTERFACE IMPORTED)
  target_include_directories(LibTorch::LibTorch SYSTEM INTERFACE ${LIBTORCH_INCLUDE} ${LIBTORCH_INCLUDE}/torch/csrc/api/include)
  target_link_libraries(LibTorch::LibTorch INTERFACE ${LIBTORCH_CPU} ${LIBTORCH_C10})
  cmake_path(GET LIBTORCH_CPU PARENT_PATH _lib)
  target_link_options(LibTorch::LibTorch INTERFACE -Wl,-rpath,${_lib})
endif()
