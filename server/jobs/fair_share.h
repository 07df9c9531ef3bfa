// Weighted fair sharing of the workers.
#pragma once

#include <cstdint>

namespace innerloop::server {

// One lane's account: the time it had, divided by its weight. The lane that had least is served
// first (start-time fair queueing, Goyal et al. 1997). Times are estimated when an item is given
// out and corrected when it comes back. Thread-compatible.
class FairShare {
 public:
  // `now` is the account of the lane that was served last: one that had nothing to do for long may
  // not save up more than a second.
  double Position(double now) const;
  // An item is given out. Returns what was charged for it.
  double Charge(double now, double weight);
  // It took `seconds`, against the `charged` estimate.
  void Settle(double charged, double seconds, double weight);
  // It never ran: the charge is given back.
  void Refund(double charged) { used_ -= charged; }

 private:
  double used_ = 0;
  // Moving average of an item's seconds.
  double estimate_ = 0.001;
};

}  // namespace innerloop::server
