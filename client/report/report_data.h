// The data of a report as JSON: what `report --format=json` writes, the page holds, and later
// reports read again.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/render/views.h"
#include "client/report/history.h"

namespace innerloop::client {

// What JobJson gives, and: method, iterations, spec_text, published, evaluations (EvaluationJson
// with "periodic" and "final"), log ([{time, severity, source, iteration, message}]), and curves:
// [{key, fraction, width, points}]. A point is [first iteration, last iteration, mean, minimum,
// maximum] of at least one iteration and of all that begin in the same multiple of `width`; the
// last three are null where no value is finite.
Json ReportOfJob(const JobHistory& history);

// {format, made, jobs, groups: [{name, jobs: [index, ...]}]}: jobs of a group differ in nothing
// that matters but their seeds.
Json ReportOf(const std::vector<Json>& jobs, absl::Time made);

// The jobs of such an object in a file. NOT_FOUND or INVALID_ARGUMENT, naming the file and the
// field that has another form.
absl::StatusOr<std::vector<Json>> ReadReport(const std::string& path);

}  // namespace innerloop::client
