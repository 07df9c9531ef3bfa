#include "client/command_line_data.h"

#include <memory>
#include <string>
#include <utility>

#include "client/commands/datasets.h"
#include "client/flag_checks.h"

namespace innerloop::client {
namespace {

using Command = std::function<absl::Status()>;

// Where flags are parsed to; the commands share it.
struct Arguments {
  Session& session;
  Command& chosen;

  std::string target{};
  std::string out{};
  bool classes = false;
  bool force = false;
  ImageImportOptions images{};
  IdxImportOptions idx{};
  CsvImportOptions csv{};
  uint64_t example_seed = 1;
};
using Shared = std::shared_ptr<Arguments>;

CLI::App* Add(CLI::App& parent, const Shared& arguments, const std::string& name,
              const std::string& description, Command command) {
  CLI::App* app = parent.add_subcommand(name, description);
  app->callback([arguments, command = std::move(command)] { arguments->chosen = command; });
  return app;
}

void AddImport(CLI::App& parent, const Shared& arguments) {
  CLI::App* app = parent.add_subcommand("import", "Make a data set file");
  app->require_subcommand(1);
  CLI::App* images =
      Add(*app, arguments, "images", "From folders or archives of class folders of images",
          [arguments] {
            return ImportImageDataSet(arguments->images, arguments->out, arguments->session);
          });
  images->add_option("SOURCE", arguments->images.sources, "Folder, zip, tar or tar.gz")->required();
  images->add_option("--size", arguments->images.size, "Height and width to resize to [28]")
      ->transform(WholeNumber(1, 4096));
  images->add_flag("--grayscale", arguments->images.grayscale, "One channel instead of three");
  images->add_flag("--invert", arguments->images.invert, "For dark ink on a light ground");
  images->add_option("--name", arguments->images.name, "Name of the data set [the file's]");
  images->add_option("--out", arguments->out, "File to make")->required();

  CLI::App* idx = Add(*app, arguments, "idx", "From MNIST's IDX files, plain or gzip", [arguments] {
    return ImportIdxDataSet(arguments->idx, arguments->out, arguments->session);
  });
  idx->add_option("--images", arguments->idx.images, "Images; several are joined")->required();
  idx->add_option("--labels", arguments->idx.labels, "Labels, one file for each of images")
      ->required();
  idx->add_option("--name", arguments->idx.name, "Name of the data set [the file's]");
  idx->add_option("--out", arguments->out, "File to make")->required();

  CsvImportOptions& table = arguments->csv;
  CLI::App* csv = Add(
      *app, arguments, "csv", "From a table whose first line names the columns, plain or gzip",
      [arguments] { return ImportCsvDataSet(arguments->csv, arguments->out, arguments->session); });
  csv->add_option("FILE", table.file, "Comma-separated values")->required();
  csv->add_option("--features", table.features,
                  "Columns of numbers, and runs FIRST-LAST of them [all but target and group]")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("COLUMN,...");
  csv->add_option("--target", table.targets, "Column of classes, or columns of numbers")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("COLUMN,...")
      ->required();
  csv->add_option("--group", table.group, "Column of groups: a task for each")->type_name("COLUMN");
  csv->add_flag("--regression", table.regression, "The target is numbers, not classes");
  csv->add_flag("--skip-missing", table.skip_missing,
                "Leave out rows with an empty cell in these columns");
  csv->add_option("--name", table.name, "Name of the data set [the file's]");
  csv->add_option("--out", arguments->out, "File to make")->required();
}

void AddExampleData(CLI::App& parent, const Shared& arguments) {
  CLI::App* app = parent.add_subcommand("example", "Make up a table to try grouped tasks on");
  app->require_subcommand(1);
  for (const ExampleData& example : ExampleDataSets()) {
    CLI::App* made = Add(*app, arguments, example.name, example.description, [arguments, &example] {
      return MakeExampleData(example, arguments->example_seed, arguments->out, arguments->session);
    });
    made->add_option("--seed", arguments->example_seed, "Seed of everything in it [1]")
        ->transform(Seed());
    made->add_option("--out", arguments->out, "CSV file to make")->required();
  }
}

}  // namespace

void AddDataSets(CLI::App& root, Session& session, std::function<absl::Status()>& chosen) {
  const auto arguments =
      std::make_shared<Arguments>(Arguments{.session = session, .chosen = chosen});
  CLI::App* app = root.add_subcommand("dataset", "Data sets on the coordinator and in files");
  app->require_subcommand(1);
  AddImport(*app, arguments);
  AddExampleData(*app, arguments);
  Add(*app, arguments, "add", "Send a data set to the coordinator",
      [arguments] { return AddDataSet(arguments->target, arguments->session); })
      ->add_option("DATASET", arguments->target, "FILE, or NAME=FILE")
      ->required();
  Add(*app, arguments, "list", "Data sets of the coordinator",
      [arguments] { return ListDataSets(arguments->session); });
  CLI::App* show = Add(*app, arguments, "show", "A data set", [arguments] {
    return ShowDataSet(arguments->target, arguments->classes, arguments->session);
  });
  show->add_option("DATASET", arguments->target, "File, or name or SHA-256 on the coordinator")
      ->required();
  show->add_flag("--classes", arguments->classes, "List a file's classes or groups");
  CLI::App* remove =
      Add(*app, arguments, "remove", "Remove a data set from the coordinator", [arguments] {
        return RemoveDataSet(arguments->target, arguments->force, arguments->session);
      });
  remove->add_option("DATASET", arguments->target, "Name or SHA-256")->required();
  remove->add_flag("--force", arguments->force,
                   "Also when jobs that have ended need it to be evaluated or extended");
}

}  // namespace innerloop::client
