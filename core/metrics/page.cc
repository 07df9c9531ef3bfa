#include "core/metrics/page.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/types/span.h"
#include "core/metrics/coordinator_metrics.h"
#include "core/metrics/shared_metrics.h"
#include "core/metrics/worker_metrics.h"

namespace innerloop::metrics {
namespace {

using DefinitionSpan = absl::Span<const Definition* const>;

const char* TypeName(Type type) {
  switch (type) {
    case Type::kGauge:
      return "gauge";
    case Type::kCounter:
      return "counter";
    case Type::kHistogram:
      return "histogram";
    case Type::kSummary:
      return "summary";
  }
  return "";
}

std::string Labels(const Definition& definition) {
  std::string text;
  for (const Label& label : definition.labels) {
    if (label.name == nullptr) {
      continue;
    }
    const std::string values =
        label.values == nullptr ? label.meaning : absl::StrReplaceAll(label.values, {{"|", ", "}});
    absl::StrAppend(&text, text.empty() ? "" : "<br>", "`", label.name, "`: ", values);
  }
  return text;
}

void AppendTable(const char* title, DefinitionSpan definitions, std::string& page) {
  absl::StrAppend(&page, "\n## ", title,
                  "\n\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n");
  for (const Definition* definition : definitions) {
    absl::StrAppend(&page, "| `", definition->name, "` | ", TypeName(definition->type), " | ",
                    definition->unit, " | ", Labels(*definition), " | ", definition->help, " |\n");
  }
}

}  // namespace

std::vector<const Definition*> CoordinatorDefinitions() {
  std::vector<const Definition*> all(kOnJobs.begin(), kOnJobs.end());
  all.insert(all.end(), kOnCluster.begin(), kOnCluster.end());
  all.insert(all.end(), kOnBothPages.begin(), kOnBothPages.end());
  return all;
}

std::vector<const Definition*> WorkerDefinitions() {
  std::vector<const Definition*> all(kOnWorker.begin(), kOnWorker.end());
  all.insert(all.end(), kOnBothPages.begin(), kOnBothPages.end());
  return all;
}

std::string DescribeMetrics() {
  std::string page =
      "# Metrics\n\n"
      "What the coordinator (`--metrics-listen`, 127.0.0.1:7401) and the workers show to "
      "Prometheus "
      "under `/metrics`. The target `describe_metrics`\nwrites this page from `core/metrics`. "
      "Alerts, and what to do about them: [operations](../docs/operations.md).\n\n"
      "An ended job's series stay for `--metrics-retention` (5 minutes). Counters begin at 0 with "
      "their process, a job's when the coordinator takes it up.\n";
  AppendTable("Of each job, on the coordinator's page", kOnJobs, page);
  AppendTable("Of the cluster, on the coordinator's page", kOnCluster, page);
  AppendTable("On a worker's page", kOnWorker, page);
  AppendTable("On both pages", kOnBothPages, page);
  return page;
}

}  // namespace innerloop::metrics
