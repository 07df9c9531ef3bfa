#include "core/meta/guarded.h"

#include <exception>
#include <new>

#include <c10/util/Exception.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace innerloop::meta {
namespace {

absl::string_view FirstLine(absl::string_view text) { return text.substr(0, text.find('\n')); }

}  // namespace

absl::Status Guarded(absl::string_view what, absl::FunctionRef<void()> compute) {
  try {
    compute();
    return absl::OkStatus();
  } catch (const c10::Error& error) {
    const absl::string_view line = FirstLine(error.what_without_backtrace());
    // The processor's allocator throws a plain c10::Error.
    const bool memory = dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
                        absl::StrContains(line, "DefaultCPUAllocator");
    const std::string message = absl::StrCat(what, ": ", line);
    return memory ? absl::ResourceExhaustedError(message) : absl::InternalError(message);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(what, ": out of memory"));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(what, ": ", FirstLine(error.what())));
  }
}

}  // namespace innerloop::meta
