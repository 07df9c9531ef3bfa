#include "client/commands/watching.h"

#include "absl/strings/str_cat.h"
#include "client/render/numbers.h"

namespace innerloop::client {

TransferProgress TransferLine(LiveLine& live, const std::string& file) {
  return [&live, file](uint64_t done, uint64_t total) {
    live.Update(absl::StrCat(file, ": ", Bytes(done), " of ", Bytes(total)));
  };
}

TrainingClient::Watcher WatchWith(Progress& progress, LiveLine& live) {
  return {.on_events = [&progress](const v1::JobEvents& events) { progress.OnEvents(events); },
          .on_break =
              [&live](const absl::Status& why) {
                live.Update(absl::StrCat("waiting for the coordinator: ",
                                         absl::string_view(why.message())));
              }};
}

}  // namespace innerloop::client
