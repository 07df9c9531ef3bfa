#include "server/jobs/float_work.h"

namespace innerloop::server {

FloatResult Do(FloatWork work, OuterLoop* loop, const v1::JobSpec& spec, const Clock& clock) {
  FloatResult result;
  if (work.start.has_value()) {
    result.started = OuterLoop::Create(spec, *std::move(work.start), clock);
    return result;
  }
  if (work.capture_held) {
    result.held = loop->Capture();
  }
  if (work.capture_offered) {
    result.offered = loop->Capture();
  }
  if (work.begin > 0) {
    loop->Begin(work.begin);
  }
  for (auto& [shard, sum] : work.add) {
    loop->Add(shard, std::move(sum));
  }
  if (work.step) {
    result.step = loop->Step(work.iterations);
  }
  return result;
}

}  // namespace innerloop::server
