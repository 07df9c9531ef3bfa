// What Abseil's mutexes look after besides locking.
#pragma once

#include "absl/synchronization/mutex.h"

namespace innerloop {

// Switches the search for deadlocks off in release builds. Debian builds Abseil without NDEBUG, so
// that every lock would update a graph of all mutexes: a hundredth of a busy coordinator's time,
// for what tests of debug builds look for. Call first thing in main.
inline void CheckMutexesInDebugBuildsOnly() {
#ifdef NDEBUG
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
}

}  // namespace innerloop
