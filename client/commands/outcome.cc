#include "client/commands/outcome.h"

#include "absl/strings/str_cat.h"
#include "client/render/numbers.h"
#include "client/render/table.h"

namespace innerloop::client {
namespace {

// The job's own field is about the last seconds.
double MeanRate(const v1::Job& job, const EarlierRuns& earlier) {
  const double seconds = job.training_seconds() - earlier.seconds;
  return seconds > 0 && job.iteration() > earlier.iterations
             ? static_cast<double>(job.iteration() - earlier.iterations) / seconds
             : 0;
}

// "70,000 in 6 min 3 s, 193/s"; of a run that went on also what was new in it.
std::string IterationsText(const v1::Job& job, const EarlierRuns& earlier) {
  std::string text =
      absl::StrCat(Count(job.iteration()), " in ", Span(absl::Seconds(job.training_seconds())));
  if (earlier.iterations > 0 && job.iteration() > earlier.iterations) {
    absl::StrAppend(&text, ", of these ", Count(job.iteration() - earlier.iterations), " now");
  }
  const double rate = MeanRate(job, earlier);
  return rate > 0 ? absl::StrCat(text, ", ", Rate(rate)) : text;
}

}  // namespace

absl::Status OutcomeOf(const v1::Job& job) {
  switch (job.state()) {
    case v1::JOB_STATE_SUCCEEDED:
      return absl::OkStatus();
    case v1::JOB_STATE_CANCELLED:
      return absl::AbortedError(
          absl::StrCat("job ", job.id(), " was cancelled at iteration ", Count(job.iteration())));
    default:
      break;
  }
  const std::string why = absl::StrCat("job ", job.id(), " failed: ", job.failure_message());
  return job.failure_code() == static_cast<int>(absl::StatusCode::kInvalidArgument)
             ? absl::InvalidArgumentError(why)
             : absl::InternalError(why);
}

Json ResultJson(const v1::Job& job, const std::vector<v1::Evaluation>& periodic,
                const EarlierRuns& earlier) {
  Json json;
  json["job"] = job.id();
  json["state"] = StateName(job.state());
  json["iterations"] = job.iteration();
  json["seconds"] = job.training_seconds();
  json["iterations_per_second"] = MeanRate(job, earlier);
  json["checkpoint"] = job.has_last_checkpoint() ? Json(job.last_checkpoint().path()) : Json();
  json["best_checkpoint"] = job.has_best_checkpoint() ? Json(job.best_checkpoint().path()) : Json();
  json["parameters_sha256"] =
      job.has_last_checkpoint() ? Json(job.last_checkpoint().parameters_sha256()) : Json();
  json["evaluation"] = job.has_final() ? EvaluationJson(job.final(), job.spec()) : Json();
  json["periodic_evaluations"] = Json::array();
  for (const v1::Evaluation& evaluation : periodic) {
    json["periodic_evaluations"].push_back(EvaluationJson(evaluation, job.spec()));
  }
  json["published"] = Json::array();
  for (const v1::PublishedResult& result : job.spec().published()) {
    json["published"].push_back(PublishedJson(result));
  }
  json["warnings"] = std::vector<std::string>(job.warnings().begin(), job.warnings().end());
  return json;
}

std::string ResultText(const v1::Job& job, const EarlierRuns& earlier) {
  std::string text;
  if (job.has_final()) {
    text = absl::StrCat(EvaluationTable(job.final(), job.spec()), "\n");
  }
  Fields fields;
  fields.Add("job", absl::StrCat(job.id(), " ", StateName(job.state())));
  fields.Add("iterations", IterationsText(job, earlier));
  if (job.has_last_checkpoint()) {
    fields.Add("checkpoint", job.last_checkpoint().path());
    fields.Add("parameters sha256", job.last_checkpoint().parameters_sha256());
  }
  if (job.has_best_checkpoint()) {
    fields.Add("best by validation", job.best_checkpoint().path());
  }
  for (const std::string& warning : job.warnings()) {
    fields.Add("warning", warning);
  }
  return absl::StrCat(text, fields.Render());
}

}  // namespace innerloop::client
