#include "client/commands/adapt_flags.h"

#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

#include "client/flag_checks.h"

namespace innerloop::client {

void AddAdaptFlags(CLI::App& app, AdaptOptions& options, Session& session) {
  app.add_option("CHECKPOINT", options.target,
                 "JOB, JOB@ITERATION or JOB@best on the coordinator, or a checkpoint file")
      ->required();
  app.add_option("--support", options.support,
                 "What to adapt to: a folder of class folders of images, or a table (CSV)")
      ->type_name("DIR|CSV")
      ->required();
  app.add_option("--query", options.queries,
                 "What to predict: images, folders of them (in class folders: tells how many are "
                 "right), or tables")
      ->type_name("DIR|CSV|IMAGE ...");
  app.add_option(
         "--group", options.group,
         "Of tables the rows of this group alone, by the column of groups that the training "
         "set was imported with")
      ->check(NonEmpty())
      ->type_name("NAME");
  app.add_option_function<uint32_t>(
         "--steps", [&options](uint32_t steps) { options.rule.set_inner_steps(steps); },
         "Inner steps [as in the job's final evaluation]")
      ->transform(WholeNumber(0, 10'000));
  app.add_option_function<uint32_t>(
         "--line-search", [&options](uint32_t most) { options.rule.set_line_search(most); },
         "Most halvings of an inner step that would raise the support loss [as in the job's final "
         "evaluation]")
      ->transform(WholeNumber(0, 30));
  app.add_option_function<std::string>(
         "--transductive",
         [&options](const std::string& how) {
           options.rule.set_transduction(how == "yes"  ? v1::TRANSDUCTION_ALL_QUERIES
                                         : how == "no" ? v1::TRANSDUCTION_SUPPORT_STATISTICS
                                                       : v1::TRANSDUCTION_SINGLE_QUERY);
         },
         "Batch norm over the support set alone (no), all queries (yes), or each query with the "
         "support set (single) [no]")
      ->check(CLI::IsMember({"no", "yes", "single"}));
  app.add_option("--out", options.out,
                 "Write the adapted model: FILE.safetensors, or FILE.pt (TorchScript)")
      ->check(NonEmpty())
      ->type_name("FILE");
  app.add_option("--model", options.model, "For a file: the TorchScript model that its job brought")
      ->type_name("FILE");
  app.add_option_function<std::string>(
         "--format",
         [&options, &session](const std::string& format) {
           session.json = format == "json";
           options.csv = format == "csv";
         },
         "table for people, json or csv for programs [table]")
      ->check(CLI::IsMember({"table", "json", "csv"}));
}

}  // namespace innerloop::client
