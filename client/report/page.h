// The page of a report.
#pragma once

#include <string>

#include "client/render/views.h"

namespace innerloop::client {

// One HTML file that shows what ReportOf gives and fetches nothing.
std::string ReportPage(const Json& data);

}  // namespace innerloop::client
