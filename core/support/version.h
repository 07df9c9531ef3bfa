#pragma once

#include <cstdint>

namespace innerloop {

// The project's version, from CMakeLists.txt.
inline constexpr char kVersion[] = INNERLOOP_VERSION;

// Of the API between clients, workers and coordinator. One of another number is refused.
inline constexpr uint32_t kApiVersion = 1;

}  // namespace innerloop
