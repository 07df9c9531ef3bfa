#include "server/jobs/revision.h"

#include <google/protobuf/util/message_differencer.h>

#include "absl/strings/str_cat.h"

namespace innerloop::server {

using google::protobuf::util::MessageDifferencer;

std::string Changes(const v1::JobSpec& before, const v1::JobSpec& after) {
  std::string changes;
  MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&changes);
  differencer.Compare(before, after);
  return changes.empty() ? "nothing" : changes;
}

std::string DoubtOf(const v1::JobSpec& before, uint64_t done, const v1::JobSpec& after) {
  const v1::LearningRateSchedule& schedule = after.outer_optimizer().schedule();
  if (done == 0 || after.iterations() == before.iterations() ||
      (!schedule.has_linear() && !schedule.has_cosine())) {
    return "";
  }
  return absl::StrCat("its learning rate goes ", schedule.has_linear() ? "linearly" : "by a cosine",
                      " to the last iteration, which was ", before.iterations(), " for its first ",
                      done, " and is ", after.iterations(),
                      " now: the rate jumps, and the bits are not those of a run of ",
                      after.iterations(), " from the beginning");
}

}  // namespace innerloop::server
