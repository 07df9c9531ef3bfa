#include "client/commands/group.h"

#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/commands/outcome.h"
#include "client/render/numbers.h"
#include "client/render/protocol.h"
#include "client/render/table.h"

namespace innerloop::client {
namespace {

using Align = Table::Align;

// Over the jobs that succeeded.
struct GroupStep {
  uint32_t step = 0;
  Spread loss;
  std::optional<Spread> accuracy;
};

// The jobs whose final evaluation counts.
std::vector<const v1::Job*> Measured(const std::vector<SeedResult>& results) {
  std::vector<const v1::Job*> jobs;
  for (const SeedResult& result : results) {
    if (result.job.state() == v1::JOB_STATE_SUCCEEDED && result.job.has_final()) {
      jobs.push_back(&result.job);
    }
  }
  return jobs;
}

// All jobs have one specification but for the seed, so their evaluations have the same steps.
std::vector<GroupStep> StepsOf(const std::vector<const v1::Job*>& jobs) {
  std::vector<GroupStep> steps;
  for (int i = 0; !jobs.empty() && i < jobs[0]->final().steps_size(); ++i) {
    GroupStep step;
    std::vector<double> losses;
    std::vector<double> accuracies;
    for (const v1::Job* job : jobs) {
      const v1::StepMeasure& measure = job->final().steps(i);
      step.step = measure.step();
      losses.push_back(measure.loss());
      if (measure.has_accuracy()) {
        accuracies.push_back(measure.accuracy());
      }
    }
    step.loss = SpreadOf(losses);
    if (!accuracies.empty()) {
      step.accuracy = SpreadOf(accuracies);
    }
    steps.push_back(step);
  }
  return steps;
}

std::string PercentText(const Spread& spread) {
  return std::isnan(spread.deviation) ? Percent(spread.mean)
                                      : PercentInterval(spread.mean, spread.deviation);
}

std::string LossText(const Spread& spread) {
  return std::isnan(spread.deviation) ? Loss(spread.mean)
                                      : LossInterval(spread.mean, spread.deviation);
}

std::vector<StepRow> RowsOf(const std::vector<GroupStep>& steps) {
  std::vector<StepRow> rows;
  rows.reserve(steps.size());
  for (const GroupStep& step : steps) {
    rows.push_back({.step = step.step,
                    .accuracy = step.accuracy.has_value() ? PercentText(*step.accuracy) : "",
                    .loss = LossText(step.loss)});
  }
  return rows;
}

// Of a job's final evaluation, after its last inner step.
std::string LastStepText(const v1::Job& job) {
  if (!job.has_final() || job.final().steps().empty()) {
    return "";
  }
  const v1::StepMeasure& last = *job.final().steps().rbegin();
  return last.has_accuracy()
             ? absl::StrCat(PercentInterval(last.accuracy(), last.accuracy_ci95()), " %")
             : LossInterval(last.loss(), last.loss_ci95());
}

std::string RunsTable(const std::vector<SeedResult>& results) {
  Table table({{"SEED", Align::kRight},
               {"STATE"},
               {"ITERATIONS", Align::kRight},
               {"TIME", Align::kRight},
               {"LAST STEP, ± 95 % INTERVAL", Align::kRight},
               {"PARAMETERS SHA-256"},
               {"CHECKPOINT"}});
  for (const auto& [seed, job, periodic, earlier] : results) {
    table.Add({absl::StrCat(seed), StateName(job.state()), Count(job.iteration()),
               Span(absl::Seconds(job.training_seconds())), LastStepText(job),
               job.last_checkpoint().parameters_sha256(), job.last_checkpoint().path()});
  }
  return table.Render();
}

}  // namespace

Spread SpreadOf(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  Spread spread;
  for (const double value : values) {
    spread.mean += value / count;
  }
  double squares = 0;
  for (const double value : values) {
    squares += (value - spread.mean) * (value - spread.mean);
  }
  spread.deviation = values.size() > 1 ? std::sqrt(squares / (count - 1))
                                       : std::numeric_limits<double>::quiet_NaN();
  return spread;
}

Json GroupJson(const std::string& name, const std::vector<SeedResult>& results) {
  Json json;
  json["name"] = name;
  json["seeds"] = Json::array();
  for (const SeedResult& result : results) {
    json["seeds"].push_back(result.seed);
  }
  const std::vector<const v1::Job*> jobs = Measured(results);
  json["evaluation"] = nullptr;
  if (!jobs.empty()) {
    Json evaluation;
    AddProtocol(evaluation, jobs[0]->final(), jobs[0]->spec());
    evaluation["steps"] = Json::array();
    for (const GroupStep& measured : StepsOf(jobs)) {
      Json step;
      step["step"] = measured.step;
      step["runs"] = jobs.size();
      step["loss"] = measured.loss.mean;
      step["loss_deviation"] = measured.loss.deviation;
      if (measured.accuracy) {
        step["accuracy"] = measured.accuracy->mean;
        step["accuracy_deviation"] = measured.accuracy->deviation;
      }
      evaluation["steps"].push_back(std::move(step));
    }
    json["evaluation"] = std::move(evaluation);
  }
  json["runs"] = Json::array();
  for (const SeedResult& result : results) {
    Json run;
    run["seed"] = result.seed;
    run.update(ResultJson(result.job, result.periodic, result.earlier));
    json["runs"].push_back(std::move(run));
  }
  return json;
}

std::string GroupText(const std::vector<SeedResult>& results) {
  const std::vector<const v1::Job*> jobs = Measured(results);
  const std::vector<GroupStep> steps = StepsOf(jobs);
  std::string text;
  if (!steps.empty()) {
    text = absl::StrCat("evaluation over ", jobs.size(), " of ", results.size(),
                        results.size() == 1 ? " seed: " : " seeds: ",
                        ProtocolText(jobs[0]->final(), jobs[0]->spec()),
                        ", mean ± standard deviation over seeds\n",
                        StepsTable(RowsOf(steps), jobs[0]->spec(), /*published=*/true), "\n");
  }
  return absl::StrCat(text, RunsTable(results));
}

}  // namespace innerloop::client
