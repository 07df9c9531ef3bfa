#include "client/commands/watching.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/render/numbers.h"

namespace innerloop::client {

TransferProgress TransferLine(LiveLine& live, const std::string& file) {
  return [&live, file](uint64_t done, uint64_t total) {
    if (done < total) {
      live.Update(absl::StrCat(file, ": ", Bytes(done), " of ", Bytes(total)));
    }
  };
}

TrainingClient::Watcher WatchWith(Progress& progress, LiveLine& live) {
  // Each attempt to open the stream again fails while the coordinator is away; once is enough.
  const auto away = std::make_shared<bool>(false);
  return {.on_events =
              [&progress, away](const v1::JobEvents& events) {
                *away = false;
                progress.OnEvents(events);
              },
          .on_break =
              [&live, away](const absl::Status& why) {
                if (!std::exchange(*away, true)) {
                  live.Print(absl::StrCat("waiting for the coordinator: ",
                                          absl::string_view(why.message())));
                }
              }};
}

std::function<void(int count)> Interrupter(Session& session, const std::string& words) {
  return [&session, words](int /*count*/) {
    session.cancellation.Cancel(absl::CancelledError(words));
  };
}

}  // namespace innerloop::client
