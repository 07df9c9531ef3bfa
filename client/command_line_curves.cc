#include "client/command_line_curves.h"

#include <memory>

#include "client/commands/report.h"

namespace innerloop::client {

void AddChartFlag(CLI::App& app, Session& session) {
  app.add_flag("--chart,!--no-chart", session.chart,
               "Draw meta-loss and accuracy above the progress line, on a terminal [on]");
}

void AddReport(CLI::App& root, Session& session, std::function<absl::Status()>& chosen) {
  const auto options = std::make_shared<ReportOptions>();
  CLI::App* app = root.add_subcommand(
      "report", "One page with the curves, evaluations and specifications of jobs");
  app->callback([&session, &chosen, options] {
    chosen = [&session, options] { return Report(*options, session); };
  });
  app->add_option("JOB", options->sources,
                  "Job on the coordinator, state folder of `train`, or file that "
                  "`report --format=json` wrote")
      ->required();
  app->add_option("-o,--out", options->out,
                  "File to make [innerloop-report.html; with --format=json standard output]")
      ->type_name("FILE");
}

}  // namespace innerloop::client
