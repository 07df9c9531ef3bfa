#include "server/jobs/fair_share.h"

#include <algorithm>

namespace innerloop::server {
namespace {

// Synchronous jobs have nothing to give out while they wait for their last shard; what they miss
// then is made up for within this window.
constexpr double kMostCredit = 1.0;
// Seconds that an item may have taken.
constexpr double kLeast = 1e-6;
constexpr double kMost = 3600;

}  // namespace

double FairShare::Position(double now) const { return std::max(used_, now - kMostCredit); }

double FairShare::Charge(double now, double weight) {
  const double charged = estimate_ / weight;
  used_ = Position(now) + charged;
  return charged;
}

void FairShare::Settle(double charged, double seconds, double weight) {
  // A worker's word, within reason: it may be any number, or none.
  const double took = seconds > kLeast ? std::min(seconds, kMost) : kLeast;
  used_ += took / weight - charged;
  estimate_ += 0.2 * (took - estimate_);
}

}  // namespace innerloop::server
