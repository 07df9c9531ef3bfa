#pragma once

namespace innerloop {

// The project's version, from CMakeLists.txt.
inline constexpr char kVersion[] = INNERLOOP_VERSION;

}  // namespace innerloop
