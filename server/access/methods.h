// Who may call what: the one table of all methods.
#pragma once

#include "absl/strings/string_view.h"

namespace innerloop::server {

// What a method asks of its caller.
enum class Need {
  kNothing,
  // Any role but worker.
  kViewer,
  kUser,
  // As a user, by a certificate: a token makes no tokens.
  kUserCertificate,
  // As a worker; only certificates have that role.
  kWorker,
};

// Of a method as calls name it, "/innerloop.v1.Training/GetJob". A method that is not in the table
// needs a user's certificate, so that one that was forgotten is closed and not open.
Need NeedOf(absl::string_view method);

// Whether the method is in the table.
bool HasNeed(absl::string_view method);

}  // namespace innerloop::server
